"""What large sets need: models in the intake, how far it was read, and how operations fared."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0003_large_sets_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0003_large_sets_drop.sql")
