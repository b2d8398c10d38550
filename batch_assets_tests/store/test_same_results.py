"""Whatever a set of outcomes holds, both implementations leave the same rows behind."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from batch_assets.domain.batches import BatchOutcomes, Written
from batch_assets.domain.money import Cost, Rates
from batch_assets.domain.records import Findings, Lease, RowOutcome
from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Queries
from batch_assets.store.strategy import choose_queries
from batch_assets.store.strategy.comparison import make_optimized
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import (
    CAPACITY,
    PERMANENT,
    RESPONSE,
    TRANSIENT,
    completed,
    failed,
)
from batch_assets_tests.store.worlds import FATES, LEASE, World, rows_left

# Without a delay, so that the retry date is the moment of the write, whatever the jitter.
POLICY = a_policy(max_attempts=3, retry_base_seconds=0)
QUESTIONS = ("Who decides?", "Can I have Friday off?", "Où est mon badge ?", "Wann?")
STATUSES = (None, "PENDING", "IN_PROGRESS", "COMPLETED", "FAILED")


INTO_OTHER_BATCH = text("""
    WITH moved AS (
        UPDATE batch_assets.attempt SET batch_id = 'other'
        WHERE request_id = ANY(:request_ids)
    )
    UPDATE public."AIProcessingRequest" SET "batchId" = 'other' WHERE id = ANY(:request_ids)
""")


@dataclass(frozen=True)
class Play:
    """A world and the sets of outcomes that come into it, each with its count of refused lines."""

    world: World
    sets: Sequence[tuple[Sequence[RowOutcome], int]]


euros = st.integers(0, 10**9).map(lambda billionths: billionths / 1e9)
costs = st.builds(Cost, eur=euros, synchronous_eur=euros, rates=st.just(Rates(5e-7, 2.5e-7, 2e-6)))
kinds = st.sampled_from([TRANSIENT, PERMANENT, CAPACITY])
found = st.builds(
    Findings,
    language=st.sampled_from([None, "nl", "de"]),
    sentiment=st.sampled_from([None, "POSITIVE", "NEGATIVE"]),
    category=st.sampled_from([None, "ONBOARDING"]),
    escalated=st.sampled_from([None, True, False]),
    forwarded_hr=st.sampled_from([None, True, False]),
    summary=st.sampled_from([None, "", 'Says "no" \\ yes,\n{or} NULL — naïve 🌍.', "Short."]),
    questions=st.none() | st.lists(st.sampled_from(QUESTIONS), unique=True).map(tuple),
)


def outcomes(request_id: str) -> st.SearchStrategy[RowOutcome]:
    row = st.just(request_id)
    return st.one_of(
        st.builds(completed, row, found, costs),
        st.builds(failed, row, kinds),
        st.builds(RowOutcome, row, st.just(RESPONSE), costs, failure=kinds),
        st.builds(RowOutcome, row),
    )


def of_each(count: int, one: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(one, min_size=count, max_size=count)


@st.composite
def plays(draw: st.DrawFn) -> Play:
    """Crowded on purpose: few sessions, an outcome for every request, and a second for some."""
    sessions, requests = draw(st.integers(3, 8)), draw(st.integers(14, 20))
    world = World(
        statuses=draw(of_each(sessions, st.sampled_from(STATUSES))),
        sessions=draw(of_each(requests, st.integers(0, sessions - 1))),
        fates=draw(of_each(requests, st.just("open") | st.sampled_from(("open", *FATES)))),
        failed_before=draw(of_each(requests, st.integers(0, 3))),
    )
    rows = [*world.request_ids, *world.request_ids[:4], "foreign", "unknown"]
    lines = [draw(outcomes(row)) for row in draw(st.permutations(rows))]
    cut = draw(st.integers(0, len(lines)))
    refused = st.integers(0, 2)
    return Play(world, [(lines[:cut], draw(refused)), (lines[cut:], draw(refused))])


def acted(play: Play, queries: Queries, engine: Engine) -> list[object]:
    """What every operation of the play answers, and the rows that each leaves."""
    seen: list[object] = []
    play.world.make(engine)

    def keep(answer: object) -> None:
        seen.append((answer, rows_left(engine, queries)))

    for lines, refused in play.sets:
        keep(queries.write_results([BatchOutcomes(LEASE, lines, refused)], POLICY))
    keep(queries.open_rows([LEASE.batch_id], 5))
    keep(queries.finalize([LEASE]))
    keep(queries.requeue_due(2))
    keep(queries.requeue_due(100))
    return seen


@settings(max_examples=15, deadline=None)
@given(play=plays())
def test_the_same_outcomes_leave_the_same_rows(
    play: Play, original_engine: Engine, optimized_engine: Engine
) -> None:
    original = acted(play, OriginalQueries(original_engine), original_engine)
    optimized = acted(play, choose_queries(optimized_engine, optimized=True), optimized_engine)
    assert optimized == original


def statements(engine: Engine, act: Callable[[], object]) -> int:
    """How many statements an act sends, BEGIN and COMMIT left out."""
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    event.listen(engine, "before_cursor_execute", note)
    act()
    event.remove(engine, "before_cursor_execute", note)
    return len(sent)


def mixed(count: int) -> list[RowOutcome]:
    """Outcomes of every kind, in equal parts."""
    makers = (completed, failed, lambda row: failed(row, PERMANENT, paid=True), RowOutcome)
    return [makers[number % 4](f"r{number}") for number in range(count)]


@dataclass(frozen=True)
class Counts:
    """Statements of each operation."""

    write_results: int
    finalize: int
    requeue_due: int


def counted(implementation: Callable[[Engine], Queries], engine: Engine, rows: int) -> Counts:
    """Half of a batch is written, among it one answer to discard; the rest waits again."""
    queries = implementation(engine)
    World(
        statuses=["IN_PROGRESS"] * 2 * rows,
        sessions=range(2 * rows),
        fates=["session deleted", *["open"] * (2 * rows - 1)],
        failed_before=[0] * 2 * rows,
    ).make(engine)
    return Counts(
        statements(
            engine, lambda: queries.write_results([BatchOutcomes(LEASE, mixed(rows))], POLICY)
        ),
        statements(engine, lambda: queries.finalize([LEASE])),
        statements(engine, lambda: queries.requeue_due(rows)),
    )


def test_the_number_of_statements_does_not_depend_on_the_rows(optimized_engine: Engine) -> None:
    few = counted(make_optimized, optimized_engine, 10)
    assert few == Counts(write_results=8, finalize=1, requeue_due=1)
    assert counted(make_optimized, optimized_engine, 400) == few


def test_the_original_needs_a_few_statements_a_row(original_engine: Engine) -> None:
    counts = counted(OriginalQueries, original_engine, 40)
    assert 40 < counts.write_results <= 4 * 40
    assert counts.finalize > 40


def test_two_writers_may_write_the_same_sessions_at_one_time(optimized_engine: Engine) -> None:
    sessions = 150
    World(
        statuses=["IN_PROGRESS"] * sessions,
        sessions=[*range(sessions)] * 2,
        fates=["open"] * 2 * sessions,
        failed_before=[0] * 2 * sessions,
    ).make(optimized_engine)
    later = [f"r{number}" for number in range(sessions, 2 * sessions)]
    with optimized_engine.begin() as connection:
        connection.execute(INTO_OTHER_BATCH, {"request_ids": later})
    makers = (completed, failed)
    sets = {
        LEASE: [makers[number % 2](f"r{number}") for number in range(sessions)],
        Lease("other", 1): [makers[number % 2](row) for number, row in enumerate(later)][::-1],
    }

    def write(one: tuple[Lease, list[RowOutcome]]) -> Mapping[str, Written]:
        return choose_queries(optimized_engine, optimized=True).write_results(
            [BatchOutcomes(*one)], POLICY
        )

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(write, sets.items()))
    written = [one for answer in answers for one in answer.values()]
    assert [(one.completed, one.retry) for one in written] == [(75, 75), (75, 75)]
