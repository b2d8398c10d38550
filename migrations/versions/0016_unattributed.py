"""What the server has billed of a batch, and what of that no answer was read for."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0016_unattributed_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0016_unattributed_drop.sql")
