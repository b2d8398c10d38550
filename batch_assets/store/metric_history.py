"""The figures of earlier runs, for whoever takes them elsewhere."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.metrics import KEYS
from batch_assets.store.sql import load
from batch_assets.store.tables.monitoring import run_metric

SQL = load(Path(__file__).with_suffix(".sql"))

COMPANY_KEYS: Final = (
    *("company_id", "company", "settled_batches", "completed_requests", "failed_requests"),
    *("returned_requests", "discarded_requests", "prompt_tokens", "completion_tokens"),
    *("cost_eur", "live_cost_eur", "saved_eur", "unpriced_answers"),
)
"""What is known of each company in a time."""

_ROWS_A_FETCH: Final = 500
_COLUMNS: Final = run_metric.columns


class MetricHistory(EngineQueries):
    """Reads `run_metric`, and what batches have cost."""

    def runs(self, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        """The figures of the runs that ended from `since` on and before `until`, oldest first.

        Streamed in one transaction, so that a year takes no more memory than a day.
        """
        wanted = (
            select(*(_COLUMNS[key] for key in KEYS))
            .where(_COLUMNS.recorded_at >= since, _COLUMNS.recorded_at < until)
            .order_by(_COLUMNS.recorded_at, _COLUMNS.id)
        )
        with self.engine.connect() as connection:
            streamed = connection.execution_options(yield_per=_ROWS_A_FETCH)
            for row in streamed.execute(wanted):
                yield {**row._mapping, "recorded_at": row.recorded_at.astimezone(UTC)}

    @retry_lost
    def companies(self, since: datetime, until: datetime) -> list[Mapping[str, Any]]:
        """What came of each company's batches that were settled in this time, dearest first."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["companies"], {"since": since, "until": until})
            return [dict(row._mapping) for row in rows]
