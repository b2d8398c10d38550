"""What schedule and sensors ask of the database: one statement each, which changes nothing.

What they cost depends on what is new and on how many companies wait, not on the history and not on
how much waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.allowances import InUse
from batch_assets.domain.breakers import Breaker
from batch_assets.domain.due_rule import DueRule
from batch_assets.domain.packing import Candidate, Packing, Terms, pack
from batch_assets.store.alerts import NEWS_SECONDS
from batch_assets.store.base import EngineQueries
from batch_assets.store.breakers import breakers_in
from batch_assets.store.claims import read_quotas
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.protocol import Spent
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"), parts_of=[Path(__file__).with_name("alerts.sql")])

SAMPLED_ROWS: Final = 20
"""How many requests of each company and model tell whether anything of them could be sent."""
OVERLAP_SECONDS: Final = 10 * 60
"""A request may be committed so much later than its date."""
NEWEST_ROWS: Final = 5_000
"""How many of the newest waiting requests are read, or as many as make a company due; and of the
oldest as many, where these are looked at."""


@dataclass(frozen=True, slots=True)
class NewlyDue:
    """Companies that have become due since a run last looked, and what waits beside them."""

    companies: int = 0
    large_companies: int = 0
    """Those among them that have enough requests; the others' have waited long enough."""
    requests: int = 0
    """What waits for them, as far as it was counted: at least that many."""
    fingerprint: str | None = None
    """Of these companies and of when each became due: the same backlog has the same."""
    waiting_companies: int = 0
    """Active companies for which anything waits that may be sent."""
    next_due_at: datetime | None = None
    """When the next of them is due by its age."""
    models_in_cooldown: tuple[str, ...] = ()
    """Models in a cooldown: their requests do not count."""
    cooling_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LeftToDo:
    """What a run would do now, beside what the work snapshot shows."""

    is_due: bool = False
    """Requests of an active company are to be sent, whether a run has left them or nobody has
    noticed them yet."""
    has_put_off: bool = False
    """Failed requests wait for their retry date, out of LiveDash's reach as long as runs look."""
    has_alerts: bool = False
    """A change of an alert is not delivered yet."""
    in_use: InUse = field(default_factory=InUse, compare=False)
    """What counts against the account's allowances: they may hold what is due."""


@dataclass(frozen=True, slots=True)
class CompanySample:
    """What a claim could take now of a company's oldest waiting requests, and why not the rest."""

    company_id: str
    packing: Packing

    @property
    def is_held(self) -> bool:
        """Whether a run would leave all of it as it is."""
        done = self.packing.drafts or self.packing.rejections or self.packing.followers
        return not done


@dataclass(frozen=True, slots=True)
class InFlight:
    """The batches that the server has, as far as we know, and the breakers of its operations."""

    batches: int = 0
    oldest_at: datetime | None = None
    """When the oldest of them was submitted."""
    breakers: tuple[Breaker, ...] = ()


@dataclass(frozen=True)
class Watching(EngineQueries):
    """Looks at what waits and at what is in flight."""

    account_name: str = DEFAULT_ACCOUNT
    """For the companies that it serves, and of its batches."""

    @retry_lost
    def newly_due(self, rule: DueRule, now: datetime) -> NewlyDue:
        """Say which companies have become due by this rule since a run last looked."""
        parameters = {
            "account_name": self.account_name,
            "now": now,
            "overlap_seconds": OVERLAP_SECONDS,
            "wait_seconds": rule.max_wait_seconds,
            "min_requests": rule.min_requests,
            "rows": max(NEWEST_ROWS, rule.min_requests),
        }
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["newly_due"], parameters).one()
        return NewlyDue(
            **{**row._mapping, "models_in_cooldown": tuple(row.models_in_cooldown or ())}
        )

    @retry_lost
    def left_to_do(
        self,
        rule: DueRule,
        now: datetime,
        receivers: Mapping[str, str],
        account: str,
        but_of: Sequence[str] = (),
    ) -> LeftToDo:
        """Say what is left for a run; `receivers` are the fingerprints, by name, of those for whom
        changes of alerts may be pending. Nobody looks whether these companies (`but_of`) are due.
        """
        parameters = {
            "account_name": self.account_name,
            "now": now,
            "wait_seconds": rule.max_wait_seconds,
            "min_requests": rule.min_requests,
            "rows": max(NEWEST_ROWS, rule.min_requests),
            "receivers": list(receivers),
            "fingerprints": list(receivers.values()),
            "news_seconds": NEWS_SECONDS,
            "account": account,
            "but_of": list(but_of),
        }
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["left_to_do"], parameters).one()
        return LeftToDo(row.is_due, row.has_put_off, row.has_alerts, InUse(**row.in_use))

    @retry_lost
    def sample(self, rule: DueRule, now: datetime, terms: Terms) -> Sequence[CompanySample]:
        """Pack of each company that is due the oldest requests, as a claim would; two statements.

        What nobody has noticed yet is not looked at. What has waited longest comes first.
        """
        which = {
            "account_name": self.account_name,
            "now": now,
            "wait_seconds": rule.max_wait_seconds,
            "min_requests": rule.min_requests,
            "sampled": SAMPLED_ROWS,
        }
        with self.autocommit.connect() as connection:
            quotas = read_quotas(connection, terms, Spent())
            rows = connection.execute(SQL["sampled"], which)
            found = [Candidate(**row._mapping) for row in rows]
        samples = []
        for company_id, some in groupby(found, attrgetter("company_id")):
            candidates = list(some)
            quota = quotas.of(company_id, {one.model for one in candidates})
            samples.append(CompanySample(company_id, pack(candidates, terms, quota)))
        return samples

    @retry_lost
    def in_flight(self) -> InFlight:
        """How many batches are in flight, since when, and which breakers are not closed."""
        with self.autocommit.connect() as connection:
            which = {"account_name": self.account_name}
            row = connection.execute(SQL["in_flight"], which).one()
        return InFlight(row.batches, row.oldest_at, breakers_in(row.breakers))

    @retry_lost
    def in_flight_among(self, openai_batch_ids: Sequence[str]) -> list[str]:
        """Those of the server's ids whose batches are in flight as far as we know, in order."""
        which = {
            "account_name": self.account_name,
            "openai_batch_ids": list(openai_batch_ids),
        }
        with self.autocommit.connect() as connection:
            return list(connection.execute(SQL["in_flight_among"], which).scalars())
