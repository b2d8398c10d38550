"""What the ops of a run hand on, by run and op."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0011_run_state_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0011_run_state_drop.sql")
