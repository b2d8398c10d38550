"""Whatever waits and whatever the limits, both implementations notice and claim the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from batch_assets.domain.batches import Claim
from batch_assets.domain.budgets import Budget, Period
from batch_assets.domain.packing import Packing
from batch_assets.domain.policy import Caps, Policy
from batch_assets.store.budgets import StoredBudgets
from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Holder, Queries, Spent
from batch_assets.store.sql import load
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.one_database import empty
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import terms
from batch_assets_tests.store.worlds import LONG_AGO, rows_left

SQL = load(Path(__file__).with_name("waiting_worlds.sql"))
HOLDER = Holder("host:1", "run-1", "installation", lease_seconds=900)
MODELS = ("gpt-4o-mini", "gpt-4.1", "o4-mini")
STATUSES = ("PENDING_BATCHING", "PENDING_BATCHING", "PENDING_BATCHING", "PROCESSING_FAILED")


@dataclass(frozen=True)
class Play:
    """What waits, what happens to it between the noticing and the claim, and under which limits."""

    values: Mapping[str, Any]
    policy: Policy
    spent: Spent
    budgets: Mapping[tuple[str, Period], float]

    @property
    def company_ids(self) -> Sequence[str]:
        return [f"c{number}" for number in range(len(self.values["statuses"]))]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Limits that are reached: an estimated request has some 400 to 700 tokens."""
    few = st.none() | st.integers(0, 12)
    little = st.none() | st.integers(0, 12).map(lambda requests: requests * 0.0005)
    return a_policy(
        max_batch_requests=draw(st.integers(1, 4)),
        rows_per_look=draw(st.integers(1, 9) | st.just(5_000)),
        batches_per_claim=draw(st.integers(1, 4) | st.just(500)),
        rows_per_claim=draw(st.integers(1, 9) | st.just(20_000)),
        bytes_per_claim=draw(st.integers(1, 9_000) | st.just(10**9)),
        token_allowances=draw(
            st.dictionaries(st.sampled_from(MODELS), st.integers(300, 6_000), max_size=3)
        ),
        caps=Caps(
            run_requests=draw(few),
            day_requests=draw(few),
            company_day_requests=draw(few),
            run_cost_eur=draw(little),
            day_cost_eur=draw(little),
            company_day_cost_eur=draw(little),
        ),
    )


@st.composite
def plays(draw: st.DrawFn) -> Play:
    companies = draw(st.integers(1, 4))
    requests = draw(st.integers(8, 24))

    def each(one: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(one, min_size=requests, max_size=requests))

    some = st.lists(st.integers(0, requests - 1).map(lambda number: f"r{number}"), max_size=4)
    values = {
        "long_ago": LONG_AGO,
        "statuses": draw(
            st.lists(
                st.sampled_from(("ACTIVE", "ACTIVE", "ACTIVE", "TRIAL")),
                min_size=companies,
                max_size=companies,
            )
        ),
        "companies": each(st.integers(0, companies - 1)),
        "messages": each(st.integers(0, 3)),
        "models": each(st.sampled_from(MODELS)),
        "kinds": each(st.sampled_from(("summary", "full_analysis", "horoscope"))),
        "ages": each(st.integers(0, 3)),
        "request_statuses": each(st.sampled_from(STATUSES)),
        "changed": draw(some),
        "remodelled": draw(some),
        "reset": draw(some),
        "suspended": f"c{draw(st.integers(0, companies))}",
    }
    budgets = draw(
        st.dictionaries(
            st.tuples(st.sampled_from(("", "c0", "c1")), st.sampled_from(Period)),
            st.integers(0, 24).map(lambda requests: requests * 0.0005),
            max_size=3,
        )
    )
    return Play(values, draw(policies()), Spent(draw(st.integers(0, 3)), 0.0), budgets)


def acted(play: Play, queries: Queries, engine: Engine) -> list[object]:
    """What each operation answers and the rows that it leaves; batches in the order of claiming."""
    names: dict[str, str] = {}
    seen: list[object] = []

    def make(*statements: str) -> None:
        with engine.begin() as connection:
            for name in statements:
                connection.execute(SQL[name], play.values)

    def keep(answer: object) -> None:
        seen.append((answer, _named(rows_left(engine, queries), names)))

    empty(engine)
    make("companies", "sessions", "messages", "requests")
    StoredBudgets(engine).set([Budget(*key, eur) for key, eur in play.budgets.items()], "the tests")
    keep(queries.notice_pending(1_000))
    make("changed", "remodelled", "suspended")
    keep(_backlogs(queries, play.company_ids))
    keep([_packed(packing) for packing in queries.preview(play.company_ids, terms(play.policy))])
    for _ in range(2):
        claim = queries.claim(play.company_ids, terms(play.policy), HOLDER, play.spent)
        names |= {batch.id: f"batch {len(names) + n}" for n, batch in enumerate(claim.batches)}
        keep(_claimed(claim))
    make("reset")
    keep(queries.notice_pending(1_000))
    keep(_backlogs(queries, play.company_ids))
    return seen


def _backlogs(queries: Queries, company_ids: Sequence[str]) -> set[tuple[str, int]]:
    found = queries.pending_by_company(company_ids)
    return {(backlog.company_id, backlog.requests) for backlog in found}


def _packed(packing: Packing) -> object:
    return (
        [[one.request_id for one in draft.candidates] for draft in packing.drafts],
        [(rejection.candidate.request_id, rejection.code) for rejection in packing.rejections],
        packing.held,
    )


def _claimed(claim: Claim) -> object:
    return (
        [
            (batch.company_id, batch.model, batch.requests, batch.tokens, round(batch.cost_eur, 9))
            for batch in claim.batches
        ],
        claim.rejected,
        claim.held,
        claim.remaining,
        claim.failed,
    )


def _named(
    tables: Mapping[str, Sequence[Mapping[str, Any]]], names: Mapping[str, str]
) -> dict[str, list[str]]:
    """The rows with each batch's id replaced by its name, in an order that does without ids."""
    shown = {}
    for table, rows in tables.items():
        texts = [repr(row) for row in rows]
        for batch_id, name in names.items():
            texts = [row.replace(batch_id, name) for row in texts]
        shown[table] = sorted(texts)
    return shown


@settings(max_examples=25, deadline=None)
@given(play=plays())
def test_the_same_requests_are_noticed_and_claimed(
    play: Play, original_engine: Engine, optimized_engine: Engine
) -> None:
    original = acted(play, OriginalQueries(original_engine), original_engine)
    optimized = acted(play, choose_queries(optimized_engine, optimized=True), optimized_engine)
    assert optimized == original
