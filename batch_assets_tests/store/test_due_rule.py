"""Both statements find due what `DueRule` does, whatever waits and since when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final

from hypothesis import event, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from batch_assets.domain.due_rule import DueRule
from batch_assets.domain.records import Backlog
from batch_assets.store.watching import OVERLAP_SECONDS, NewlyDue, Watching
from batch_assets_tests.one_database import empty

NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
COOLING: Final = "o4-mini"
"""A model that is not used for a while: its requests do not count."""
INSTANT: Final = timedelta(microseconds=1)

_COMPANIES = text("""
    INSERT INTO public."Company" (id, name, status, "csvUrl", "updatedAt")
    VALUES (
        :id, 'Zorggroep Oost', CAST(:status AS public."CompanyStatus"), 'https://example.com', :now
    )
""")
_SESSIONS = text("""
    INSERT INTO public."Session" (id, "companyId", "startTime", "endTime", "updatedAt")
    VALUES (CAST(:id AS text), CAST(:id AS text), :now, :now, :now)
""")
_REQUESTS = text("""
    INSERT INTO public."AIProcessingRequest" (
        id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
        "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
        "requestedAt"
    )
    VALUES (:id, :company_id, :model, 0, 0, 0, 0, 0, 0, 'full_analysis', false, :at)
""")
_NOTICED = text("""
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    VALUES (:id, :company_id, :model, :at)
""")
_LOOKED = text("INSERT INTO batch_assets.intake_progress (noticed_until) VALUES (:at)")
_COOLDOWN = text("""
    INSERT INTO batch_assets.model_cooldown (model, until, reason)
    VALUES (:model, CAST(:now AS timestamptz) + interval '1 minute', 'full')
""")


@dataclass(frozen=True)
class Request:
    at: datetime
    model: str = "gpt-4o-mini"

    @property
    def counts(self) -> bool:
        return self.model != COOLING


@dataclass(frozen=True)
class Waiting:
    """What waits for a company: what the last run has noticed and left, and what has come since."""

    company_id: str
    is_active: bool
    noticed: Sequence[Request]
    fresh: Sequence[Request]

    def left(self, at: datetime) -> Backlog:
        """What the last run has left, at a moment."""
        return self._backlog(self.noticed, at)

    def come(self, at: datetime) -> Backlog:
        """What has come since."""
        return self._backlog(self.fresh, at)

    def all(self, at: datetime) -> Backlog:
        """Both."""
        return self._backlog([*self.noticed, *self.fresh], at)

    def _backlog(self, requests: Sequence[Request], at: datetime) -> Backlog:
        dates = [one.at for one in requests if one.counts]
        oldest = (at - min(dates)).total_seconds() if dates else 0.0
        return Backlog(self.company_id, len(dates), oldest)


@dataclass(frozen=True)
class World:
    rule: DueRule
    looked_at: datetime
    """When a run has last noticed what waits."""
    companies: Sequence[Waiting]

    @property
    def by_size(self) -> DueRule:
        """The rule where nothing is ever old."""
        return replace(self.rule, max_wait_seconds=inf)

    @property
    def by_age(self) -> DueRule:
        """The rule where nothing is ever enough."""
        return replace(self.rule, min_requests=1_000)

    @property
    def active(self) -> Sequence[Waiting]:
        return [one for one in self.companies if one.is_active]

    def has_become_large(self, one: Waiting) -> bool:
        rule = self.by_size
        return rule.is_due(one.all(NOW)) and not rule.is_due(one.left(self.looked_at))

    def has_become_old(self, one: Waiting) -> bool:
        rule = self.by_age
        noticed = rule.is_due(one.left(NOW)) and not rule.is_due(one.left(self.looked_at))
        return noticed or rule.is_due(one.come(NOW))


@st.composite
def worlds(draw: st.DrawFn, *, late: bool = False) -> World:
    """Whatever may wait; `late`: also what has come much later than its date says."""
    wait = draw(st.sampled_from([0, 60, 1_800]))
    rule = DueRule(draw(st.integers(1, 5)), max_wait_seconds=wait)
    looked = draw(st.sampled_from([0, 30, 60, 1_000, 1_800, 4_000]))
    since, at_most = timedelta(seconds=looked), timedelta(seconds=looked + OVERLAP_SECONDS)
    # Around what makes a request old, now or when the run looked, to the microsecond.
    ages = [
        timedelta(seconds=edge, microseconds=more)
        for edge in (0, wait, looked, looked + wait, looked + OVERLAP_SECONDS)
        for more in (-1, 0, 1)
    ]
    models = st.sampled_from(["gpt-4o-mini", "gpt-4.1", COOLING])

    def requests(which: Sequence[timedelta]) -> st.SearchStrategy[list[Request]]:
        dates = st.sampled_from(which).map(lambda age: NOW - age)
        return st.lists(st.builds(Request, dates, models), max_size=3)

    # What was asked for after the run looked was not noticed by it; what is much older than that
    # is for the next run to find.
    companies = [
        Waiting(
            f"c{number}",
            is_active=draw(st.sampled_from([True, True, True, False])),
            noticed=draw(requests([age for age in ages if age >= since])),
            fresh=draw(
                requests([age for age in ages if timedelta(0) <= age and (late or age <= at_most)])
            ),
        )
        for number in range(draw(st.integers(1, 3)))
    ]
    return World(rule, NOW - since, companies)


@settings(max_examples=300, deadline=None)
@given(world=worlds())
def test_what_has_become_due_is_what_the_rule_says(module_engine: Engine, world: World) -> None:
    found = found_in(module_engine, world)
    active = world.active
    large = [world.has_become_large(one) for one in active]
    old = [world.has_become_old(one) for one in active]
    assert found.large_companies == sum(large)
    assert found.companies == sum(map(max, large, old))
    assert (found.fingerprint is None) == (found.companies == 0)
    assert found.waiting_companies == sum(one.all(NOW).requests > 0 for one in active)

    due = [one for one in active if world.rule.is_due(one.all(NOW))]
    assert found.companies <= len(due)
    if not any(world.rule.is_due(one.left(world.looked_at)) for one in active):
        event("the last run left nothing that was due")
        assert found.companies == len(due)


@settings(max_examples=300, deadline=None)
@given(world=worlds(late=True))
def test_whether_anything_is_due_is_what_the_rule_says(module_engine: Engine, world: World) -> None:
    make(module_engine, world)
    left = Watching(module_engine).left_to_do(world.rule, NOW, {}, "an account")
    assert left.is_due == any(world.rule.is_due(one.all(NOW)) for one in world.active)
    event(f"something is due: {left.is_due}")


@settings(max_examples=150, deadline=None)
@given(world=worlds())
def test_the_next_is_due_by_its_age_at_that_moment_and_not_before(
    module_engine: Engine, world: World
) -> None:
    next_at = found_in(module_engine, world).next_due_at
    young = [
        one
        for one in world.active
        if one.all(NOW).requests and not world.by_age.is_due(one.all(NOW))
    ]
    assert (next_at is None) == (not young)
    if next_at is not None:
        assert any(world.by_age.is_due(one.all(next_at)) for one in young)
        assert not any(world.by_age.is_due(one.all(next_at - INSTANT)) for one in young)


def found_in(engine: Engine, world: World) -> NewlyDue:
    """What the sensor's statement finds in such a world."""
    make(engine, world)
    return Watching(engine).newly_due(world.rule, NOW)


def make(engine: Engine, world: World) -> None:
    """Make such a world from nothing."""
    empty(engine)
    companies = [
        {"id": one.company_id, "status": "ACTIVE" if one.is_active else "TRIAL", "now": NOW}
        for one in world.companies
    ]
    noticed = [row for one in world.companies for row in _rows(one.company_id, "n", one.noticed)]
    fresh = [row for one in world.companies for row in _rows(one.company_id, "f", one.fresh)]
    with engine.begin() as connection:
        connection.execute(_COMPANIES, companies)
        connection.execute(_SESSIONS, [{"id": one["id"], "now": NOW} for one in companies])
        if noticed or fresh:
            connection.execute(_REQUESTS, [*noticed, *fresh])
        if noticed:
            connection.execute(_NOTICED, noticed)
        connection.execute(_LOOKED, {"at": world.looked_at})
        connection.execute(_COOLDOWN, {"model": COOLING, "now": NOW})


def _rows(company_id: str, kind: str, requests: Sequence[Request]) -> list[dict[str, object]]:
    return [
        {
            "id": f"{company_id}-{kind}{number}",
            "company_id": company_id,
            "model": one.model,
            "at": one.at,
        }
        for number, one in enumerate(requests)
    ]
