"""What a second batch of one intent has really cost."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0017_duplicates_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0017_duplicates_drop.sql")
