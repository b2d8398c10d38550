"""What may be spent, and how many requests wait for that."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0021_budgets_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0021_budgets_drop.sql")
