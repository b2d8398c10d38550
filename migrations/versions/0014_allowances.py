"""What the server was seen to take: kept by account and model."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0014_allowances_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0014_allowances_drop.sql")
