"""When each batch was to be done, and how far off forecasts were."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0020_forecasts_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0020_forecasts_drop.sql")
