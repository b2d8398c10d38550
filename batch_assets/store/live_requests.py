"""What an operator asks to be sent live: chosen, written, and how far the day's budget is used."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from batch_assets.domain.dead_letters import Criteria
from batch_assets.domain.packing import Candidate
from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Choice:
    """A request that may be sent live if somebody asks for it."""

    candidate: Candidate
    company: str
    """The company's name."""
    code: str | None
    """Of its last failure; `None` for one that waits."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was asked for and is not yet called, and what the UTC day has used up of its budget."""

    asked: int
    today_requests: int
    today_cost_eur: float


class LiveRequests(EngineQueries):
    """One statement each."""

    @retry_lost
    def choose(self, criteria: Criteria, limit: int) -> list[Choice]:
        """At most `limit` of those that are meant, by company and code.

        Failed requests that are to be retried or are dead; with nothing but ids also waiting ones.
        """
        only_ids = criteria == replace(Criteria(), request_ids=criteria.request_ids)
        waiting_ids = list(criteria.request_ids or []) if only_ids else []
        which = asdict(criteria) | {"waiting_ids": waiting_ids, "limit": limit}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["choose"], which)
            return [
                Choice(
                    Candidate(
                        request_id=row.request_id,
                        session_id=row.session_id,
                        company_id=row.company_id,
                        model=row.model,
                        processing_type=row.processing_type,
                        message_count=row.message_count,
                        content_bytes=row.content_bytes,
                    ),
                    row.company,
                    row.code,
                )
                for row in rows
            ]

    @retry_lost
    def not_to_send(self, request_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Which of these ids neither wait nor have failed with us, or are of an inactive company.

        Each comes with what it is instead: LiveDash's status, `inactive`, or empty for no request.
        """
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["states"], {"request_ids": list(request_ids)}).all()
        wrong = []
        for row in rows:
            waits = row.status == "PENDING_BATCHING" and not row.is_in_batch
            has_failed = row.is_ours and (row.status == "PROCESSING_FAILED" or not row.is_in_batch)
            if not (waits or has_failed):
                wrong.append((row.request_id, row.status or ""))
            elif not row.is_active:
                wrong.append((row.request_id, "inactive"))
        return wrong

    @retry_lost
    def ask(self, candidates: Sequence[Candidate], asked_by: str) -> int:
        """Keep that these are to be sent live; how many were not asked for before."""
        which = {
            "request_ids": [one.request_id for one in candidates],
            "of_companies": [one.company_id for one in candidates],
            "asked_by": asked_by,
        }
        with self.autocommit.connect() as connection:
            return connection.execute(SQL["ask"], which).rowcount

    @retry_lost
    def standing(self) -> Standing:
        """How much is asked for, and what was claimed today."""
        with self.autocommit.connect() as connection:
            return Standing(**connection.execute(SQL["standing"]).one()._mapping)
