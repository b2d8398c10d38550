"""Tables, columns and states under the words of docs/glossary.md; nothing else changes."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "0013_trade_words_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0013_trade_words_drop.sql")
