"""What proves an answer, an absence and an end."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0009_whose_word_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0009_whose_word_drop.sql")
