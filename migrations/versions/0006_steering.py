"""What operators choose for all runs, and which run has read a batch."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0006_steering_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0006_steering_drop.sql")
