"""LiveDash's tables: made where there are none, given the three indexes where they are."""

from alembic import context, op

from batch_assets.store.migrating.livedash import add_what_is_missing, remove_what_was_added

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_what_is_missing(op.get_context(), context.config.attributes["report"])


def downgrade() -> None:
    remove_what_was_added(
        op.get_context(),
        context.config.attributes["report"],
        drop_rows=context.get_x_argument(as_dictionary=True).get("drop-livedash") == "yes",
    )
