"""The money of a UTC day as sums, by company and model: kept once all its batches have ended.

A day is that of the claim. What there is in all is what is kept and the batches that are not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Connection

from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL_FILE: Final = Path(__file__).with_suffix(".sql")
"""Its part `all_sums` is for whoever adds up what everything has cost."""
SQL: Final = load(SQL_FILE)

DAYS_A_STEP: Final = 7


class DailyCosts(EngineQueries):
    """Keeps the sums of days."""

    def keep(self, is_late: Callable[[], bool] = lambda: False) -> int:
        """Keep the sums of the days before today of which nothing is open any more; how many.

        In steps, each a transaction: a day is kept whole or not at all, and the same again changes
        nothing. What `is_late` leaves is kept the next time.
        """
        kept = 0
        while True:
            days = self._keep()
            kept += days
            if days < DAYS_A_STEP or is_late():
                return kept

    @retry_lost
    def _keep(self) -> int:
        with self.engine.begin() as connection:
            connection.execute(SQL["lock"])
            return int(connection.execute(SQL["keep"], {"days": DAYS_A_STEP}).scalar_one())


Period = Literal["month", "day"]

SUMS: Final = (
    *("batches", "open_batches", "requests", "usable_answers", "unpriced_answers"),
    *("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"),
    *("cost_usd", "cost_eur", "synchronous_cost_eur", "saved_eur", "unusable_eur"),
    *("discarded_eur", "unattributed_usd", "unattributed_eur", "duplicates_usd"),
    *("duplicates_eur", "abandoned_usd", "abandoned_eur", "estimated_usd", "estimated_eur"),
    *("billed_usd", "billed_eur"),
)
"""What a line of the report adds up; what is billed is all but what is part of another sum."""


@dataclass(frozen=True, slots=True)
class Border:
    """What counts to one span by the day of sending, and to another by that of the end."""

    ended_after_usd: float
    """Of what was sent in the span."""
    sent_before_usd: float
    """Of what has ended in it."""


class CostReports(EngineQueries):
    """Reads what there is in all: the days that are kept, and the batches that are not."""

    @retry_lost
    def sums(
        self,
        *,
        period: Period | None = None,
        by_company: bool = False,
        by_model: bool = False,
        since: date | None = None,
        until: date | None = None,
    ) -> list[Mapping[str, Any]]:
        """What batches have come to that were claimed from `since` on and before `until`, UTC days.

        In the order of what they are divided by: `period`, `company_id` with `company` (`None` once
        LiveDash has deleted it) and `model` (empty where LiveDash made the batch) are `None` where
        nothing is divided by them. Then come `SUMS`.
        """
        asked = {"period": period, "by_company": by_company, "by_model": by_model}
        span = {"since": since, "until": until}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["report"], {**asked, **span})
            return [dict(row._mapping) for row in rows]

    @retry_lost
    def border(self, since: date, until: date) -> Border:
        """What is billed in a span by the one reckoning and outside of it by the other."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["border"], {"since": since, "until": until}).one()
            return Border(**row._mapping)


def keep_again(connection: Connection, batch_ids: Sequence[str]) -> None:
    """Write the sums of the days of some batches anew, as far as they are kept.

    In the transaction of what has changed them.
    """
    connection.execute(SQL["lock"])
    connection.execute(SQL["keep_again"], {"batch_ids": list(batch_ids)})
