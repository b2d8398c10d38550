"""What an attempt has cost in USD, its tokens and tier, and the price of its batch."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0015_costs_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0015_costs_drop.sql")
