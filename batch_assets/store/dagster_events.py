"""What Dagster keeps in its schema and deletes with no run: it has no call for these rows."""

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from batch_assets.store.base import EngineQueries
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

Kind = Literal["evaluations", "events"]
"""Evaluations of asset checks, and events of assets outside any run."""


class DagsterEvents(EngineQueries):
    """On the database that has the schema `dagster`; without its tables there is nothing old."""

    def count(self, kind: Kind, before: datetime) -> int:
        """How many of a kind are older; one statement."""
        if not self._has_tables:
            return 0
        with self.autocommit.connect() as connection:
            return int(connection.execute(SQL[f"count_{kind}"], {"before": before}).scalar_one())

    def delete(self, kind: Kind, before: datetime, limit: int) -> int:
        """Delete at most `limit` of them, the oldest first; how many."""
        if not self._has_tables:
            return 0
        which = {"before": before, "limit": limit}
        with self.autocommit.connect() as connection:
            return connection.execute(SQL[f"delete_{kind}"], which).rowcount

    @cached_property
    def _has_tables(self) -> bool:
        with self.autocommit.connect() as connection:
            return bool(connection.execute(SQL["has_tables"]).scalar_one())
