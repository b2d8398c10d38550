"""The one MetaData of the project: LiveDash's tables in `public`, ours in `batch_assets`."""

from typing import Final

from sqlalchemy import Column, DateTime, MetaData, text

LIVEDASH_SCHEMA: Final = "public"
OWN_SCHEMA: Final = "batch_assets"

# PostgreSQL's own default names, which Prisma uses too, so that a name is never left to chance.
metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def timestamp(name: str, *, required: bool = False) -> Column[object]:
    """A `timestamptz` column; one that is required is the transaction's time unless it is given."""
    default = text("CURRENT_TIMESTAMP") if required else None
    return Column(name, DateTime(timezone=True), nullable=not required, server_default=default)
