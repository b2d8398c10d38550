"""The intake, for all companies at once: in bounded parts, so that a tick costs what is new."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.records import Backlog
from batch_assets.store.base import SetQueries
from batch_assets.store.database_errors import refuses_value
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of what waits is read at one time.

    A request that LiveDash commits more than `overlap_seconds` after its date, or puts back among
    the waiting, is found by the sweep: within as many calls as there are `swept_rows` waiting.
    """

    overlap_seconds: float = 10 * 60
    noticed_rows: int = 20_000
    swept_rows: int = 5_000
    looked_up_rows: int = 1_000
    """Of those, rows that LiveDash may have answered before: whether we did is looked up."""
    tied_rows: int = 20_000
    """With those that have the date of the last one of them."""
    checked_entries: int = 5_000


class IntakeQueries(SetQueries):
    """The part of `store.protocol.Queries` that fills the intake and counts what is in it."""

    def notice_pending(self, limit: int) -> int:
        """See `Queries.notice_pending`; two statements, and one more for each 20,000 new rows.

        Where another run notices at the same moment, it is waited for, with one more for each time.
        If the database refuses a row, the others are noticed row by row.
        """
        try:
            return notice_pending(self.autocommit, limit, Reading())
        except DBAPIError as error:
            if not refuses_value(error):
                raise
        return self.row_by_row.notice_pending(limit)

    def pending_by_company(
        self, company_ids: Sequence[str], account_name: str = DEFAULT_ACCOUNT
    ) -> list[Backlog]:
        """See `Queries.pending_by_company`; one statement."""
        which = {"company_ids": list(company_ids), "account_name": account_name}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["pending_by_company"], which)
            return [Backlog(**row._mapping) for row in rows]


def notice_pending(autocommit: Engine, limit: int, reading: Reading) -> int:
    """See `Queries.notice_pending`; each statement is a transaction of its own."""
    noticed = 0
    resume_at: datetime | None = None
    with autocommit.connect() as connection:
        connection.execute(SQL["forget_gone"], {"entries": reading.checked_entries})
        while noticed < limit:
            row = connection.execute(
                SQL["notice_pending"],
                {
                    "resume_at": resume_at,
                    "overlap_seconds": reading.overlap_seconds,
                    "swept_rows": reading.swept_rows,
                    "looked_up_rows": reading.looked_up_rows,
                    "tied_rows": reading.tied_rows,
                    "most": min(reading.noticed_rows, limit - noticed),
                },
            ).one()
            if row.has_waited:
                continue
            noticed += row.noticed
            if not row.is_full:
                break
            resume_at = row.last_at
    return noticed
