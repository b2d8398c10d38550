"""What Prisma makes besides on LiveDash's tables: added where these were made here."""

from alembic import context, op

from batch_assets.store.migrating.prisma import add_what_prisma_makes, remove_what_prisma_makes

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_what_prisma_makes(op.get_context(), context.config.attributes["report"])


def downgrade() -> None:
    remove_what_prisma_makes(
        op.get_context(),
        context.config.attributes["report"],
        drop_rows=context.get_x_argument(as_dictionary=True).get("drop-livedash") == "yes",
    )
