"""The money of each day as sums, and what each run has read of each batch."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0018_daily_costs_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0018_daily_costs_drop.sql")
