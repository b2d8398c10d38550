"""Out of the reach of LiveDash's timers, and no conversation twice."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0008_beside_livedash_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0008_beside_livedash_drop.sql")
