"""Old rows that may go: what our runs measured, and what Dagster deletes with no run.

What was paid for is never among them.
"""

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class Measurements(EngineQueries):
    """Rows of `run_metric`, `run_reading`, `operation_run` and `livedash_act`; each call is one
    statement."""

    @retry_lost
    def metrics_before(self, before: datetime) -> int:
        """How many runs' metrics are older."""
        return self._count("count_metrics", before)

    @retry_lost
    def delete_metrics(self, before: datetime, limit: int) -> int:
        """Delete at most `limit` of them, the oldest first; how many."""
        return self._delete("delete_metrics", before, limit)

    @retry_lost
    def readings_before(self, before: datetime) -> int:
        """How many readings of batches are older, the metrics of whose runs are, too."""
        return self._count("count_readings", before)

    @retry_lost
    def delete_readings(self, before: datetime, limit: int) -> int:
        """Delete the readings of whole batches, at most `limit`, the metrics of whose runs have
        gone; how many."""
        return self._delete("delete_readings", before, limit)

    @retry_lost
    def operations_before(self, before: datetime) -> int:
        """How many measurements of operations are older."""
        return self._count("count_operations", before)

    @retry_lost
    def delete_operations(self, before: datetime, limit: int) -> int:
        """Delete at most `limit` of them, the oldest first; how many."""
        return self._delete("delete_operations", before, limit)

    @retry_lost
    def acts_before(self, before: datetime) -> int:
        """How many acts of LiveDash's timers were noticed before that."""
        return self._count("count_acts", before)

    @retry_lost
    def delete_acts(self, before: datetime, limit: int) -> int:
        """Delete at most `limit` of them, the oldest first; how many."""
        return self._delete("delete_acts", before, limit)

    def _count(self, name: str, before: datetime) -> int:
        with self.autocommit.connect() as connection:
            return int(connection.execute(SQL[name], {"before": before}).scalar_one())

    def _delete(self, name: str, before: datetime, limit: int) -> int:
        with self.autocommit.connect() as connection:
            return connection.execute(SQL[name], {"before": before, "limit": limit}).rowcount


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
