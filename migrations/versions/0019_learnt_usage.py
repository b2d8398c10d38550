"""What answers have used, by which the next ones are estimated."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0019_learnt_usage_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0019_learnt_usage_drop.sql")
