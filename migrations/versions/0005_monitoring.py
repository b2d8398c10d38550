"""What people watch over time: the figures of each run, and which alerts are raised."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0005_monitoring_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0005_monitoring_drop.sql")
