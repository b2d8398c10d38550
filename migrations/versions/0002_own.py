"""Our own tables: the installation, batches, attempts, intake, retries and dead letters."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0002_own_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0002_own_drop.sql")
