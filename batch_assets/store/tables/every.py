"""Every table that there is: whoever compares them with a database has to have imported all."""

from typing import Final

from sqlalchemy import MetaData

from batch_assets.store.tables import (
    beside_livedash,
    livedash,
    monitoring,
    operations,
    own,
    processes,
    provenance,
    searching,
    staging,
    trouble,
)
from batch_assets.store.tables.base import metadata

MODULES: Final = (
    beside_livedash,
    livedash,
    monitoring,
    operations,
    own,
    processes,
    provenance,
    searching,
    staging,
    trouble,
)
"""Imported for what they add to `metadata`."""

EVERY_TABLE: Final[MetaData] = metadata
