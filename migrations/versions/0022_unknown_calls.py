"""The share of synchronous requests whose outcome nobody knows."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0022_unknown_calls_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0022_unknown_calls_drop.sql")
