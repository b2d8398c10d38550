"""What forecasts are made of: how batches like these went, what is open, what days have cost.

People ask for it, and `report_job` once an hour; no run of `batch_processing_job` does. It reads of
the history a sample of each model, the batches that were read last, and the days of four weeks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batch_assets.domain.budgets import read_budgets
from batch_assets.domain.forecasts import (
    DayMoney,
    OpenBatch,
    SettledRequests,
    Standing,
    WaitingRequests,
)
from batch_assets.domain.packing import Candidate
from batch_assets.domain.turnarounds import PastBatch
from batch_assets.store.base import EngineQueries
from batch_assets.store.budgets import BUDGET_PARTS
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"), parts_of=[BUDGET_PARTS])
MOST_SIZED: Final = 20_000
"""Requests whose size is read, where nobody knows what such have cost; others are like these."""


class Standings(EngineQueries):
    """Reads, and changes nothing."""

    @retry_lost
    def read(self) -> Standing:
        """What is so at this moment; ten statements of one transaction, all as of its begin."""
        with (
            self.engine.connect().execution_options(
                isolation_level="REPEATABLE READ"
            ) as connection,
            connection.begin(),
        ):
            today = connection.execute(SQL["today"]).one()
            batches = [PastBatch(*row) for row in connection.execute(SQL["past_batches"])]
            settled = [SettledRequests(*row) for row in connection.execute(SQL["settled"])]
            open_ones = [OpenBatch(*row) for row in connection.execute(SQL["open"])]
            waiting = [WaitingRequests(*row) for row in connection.execute(SQL["waiting"])]
            later = {
                (row.company_id, row.day): row.cost_eur for row in connection.execute(SQL["later"])
            }
            spent = {
                (row.company_id, row.day): row.cost_eur for row in connection.execute(SQL["days"])
            }
            days = [
                DayMoney(*key, spent.get(key, 0.0), later.get(key, 0.0))
                for key in sorted(spent.keys() | later.keys())
            ]
            budgets = read_budgets(
                connection.execute(SQL["budgets"], {"budgets_of": None}).scalar_one()
            )
            used_today = {
                row.company_id: (float(row.requests), row.cost_eur)
                for row in connection.execute(SQL["used_today"])
            }
            which = {one.company_id for some in (open_ones, waiting, days) for one in some}
            names = connection.execute(SQL["names"], {"company_ids": sorted(which)})
            return Standing(
                today=today.today,
                first_day=today.first_day,
                batches=batches,
                settled=settled,
                open=open_ones,
                waiting=waiting,
                days=days,
                companies={row.id: row.name for row in names},
                budgets=budgets,
                used_today=used_today,
            )

    @retry_lost
    def sizes(self, models: Sequence[str]) -> Sequence[tuple[Candidate, int]]:
        """What waits of these models, by its size: one like each, and how many there are of it.

        Of a long backlog no more than `MOST_SIZED` are looked at; one statement.
        """
        which = {"models": list(models), "most": MOST_SIZED}
        with self.autocommit.connect() as connection:
            return [
                (
                    Candidate(
                        request_id="-",
                        session_id="-",
                        company_id=row.company_id,
                        model=row.model,
                        processing_type=row.processing_type,
                        message_count=row.message_count,
                        content_bytes=row.content_bytes,
                    ),
                    row.requests,
                )
                for row in connection.execute(SQL["sizes"], which)
            ]
