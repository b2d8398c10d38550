"""Accounts: whose key a batch was made with, which account serves a company, and what is an
account's own."""

from alembic import op

from batch_assets.store.migrating.project import run_script

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None
# It would claim what another account serves, with the default account's key.
SUITS_OLDER_CODE = False


def upgrade() -> None:
    run_script(op.get_bind(), "0023_accounts_create.sql")


def downgrade() -> None:
    run_script(op.get_bind(), "0023_accounts_drop.sql")
