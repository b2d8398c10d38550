"""Several receivers of alerts, each with its own deliveries."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0012_receivers_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0012_receivers_drop.sql")
