"""What people list: batches, companies, alerts and who waits longest. Each is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from batch_assets.domain.alerts.records import AlertState, Severity
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class ListedBatch:
    """A batch in a list."""

    id: str
    openai_batch_id: str
    """Empty until the server has it."""
    company_id: str
    company: str
    """Its id, once the company is gone."""
    model: str
    state: str
    server_status: str
    kind: str
    requests: int
    completed: int
    failed: int
    cost_eur: float
    estimated_cost_eur: float
    run_id: str
    claimed_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListedCompany:
    """A company in a list."""

    id: str
    name: str
    status: str
    """LiveDash's word."""
    sent_at: datetime | None
    """When something was sent for it last."""


@dataclass(frozen=True, slots=True)
class WaitingCompany:
    """A company with requests that wait."""

    company_id: str
    company: str
    requests: int
    oldest_wait_seconds: float


@dataclass(frozen=True, slots=True)
class Span:
    """Of which company, and since when; `None`: of all, ever."""

    company_id: str | None = None
    since: datetime | None = None


class Lists(EngineQueries):
    """Reads what is listed."""

    @retry_lost
    def batches(self, span: Span, states: Sequence[str] | None, limit: int) -> list[ListedBatch]:
        """At most so many batches in these states, or in any, the newest first."""
        which = {
            "company_id": span.company_id,
            "since": span.since,
            "states": None if states is None else list(states),
            "limit": limit,
        }
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["batches"], which)
            return [ListedBatch(**row._mapping) for row in rows]

    @retry_lost
    def companies(self, span: Span, status: str | None) -> list[ListedCompany]:
        """Companies of this status, or of any, by name; `since`: for which something was sent."""
        which = {"company_id": span.company_id, "since": span.since, "status": status}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["companies"], which)
            return [ListedCompany(**row._mapping) for row in rows]

    @retry_lost
    def runs_of(self, company_id: str) -> list[str]:
        """The runs that have sent something for a company, or read it."""
        with self.autocommit.connect() as connection:
            return list(connection.execute(SQL["runs_of"], {"company_id": company_id}).scalars())

    @retry_lost
    def alerts(self) -> list[AlertState]:
        """Every alert that was ever raised: those that are first, then the latest."""
        with self.autocommit.connect() as connection:
            return [
                AlertState(row.name, row.is_raised, Severity(row.severity), row.summary, row.since)
                for row in connection.execute(SQL["alerts"])
            ]

    @retry_lost
    def behind(self, limit: int) -> list[WaitingCompany]:
        """The active companies whose oldest request has waited longest, at most so many."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["behind"], {"limit": limit})
            return [WaitingCompany(**row._mapping) for row in rows]
