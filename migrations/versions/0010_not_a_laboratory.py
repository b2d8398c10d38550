"""What a database and a host do that no laboratory does."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0010_not_a_laboratory_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0010_not_a_laboratory_drop.sql")
