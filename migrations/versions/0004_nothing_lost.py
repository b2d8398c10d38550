"""What it takes to lose nothing: lines of input files, suspects, live calls, breakers, pauses."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0004_nothing_lost_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0004_nothing_lost_drop.sql")
