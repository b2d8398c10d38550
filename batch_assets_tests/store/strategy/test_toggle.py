"""Each switch does what its name says."""

from typing import Any

import pytest
from sqlalchemy import Engine, event

from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.original import OriginalQueries
from batch_assets.store.strategy import (
    QueryMode,
    StoredModes,
    Strategy,
    Toggle,
    choose_queries,
)
from batch_assets.store.strategy.records import HAVE_TWO, READS, WRITES, Implementation
from batch_assets_tests.one_database import empty
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.store.strategy.scenes import SCENES


def used(strategy: Strategy) -> dict[str, Implementation]:
    return {key.query: key.implementation for key in strategy.totals()}


def play(strategy: Strategy, desk: Desk, *operations: str) -> None:
    for operation in operations:
        empty(desk.engine)
        ask, judge = SCENES[operation](desk)
        judge(ask(strategy.queries))


@pytest.mark.parametrize("mode", [QueryMode.OPTIMIZED, QueryMode.ORIGINAL])
def test_a_mode_holds_for_every_operation(engine: Engine, desk: Desk, mode: QueryMode) -> None:
    strategy = Strategy(engine, Toggle(mode))
    play(strategy, desk, "pending_by_company", "claim")
    assert set(used(strategy).values()) == {mode.only}
    assert strategy.report({}).query_choice_reason == f"{mode.only}: asked for in the environment"


@pytest.mark.parametrize("mode", [QueryMode.OPTIMIZED, QueryMode.AUTO])
def test_without_batch_operations_rows_are_written_one_by_one(
    engine: Engine, desk: Desk, mode: QueryMode
) -> None:
    strategy = Strategy(engine, Toggle(mode, writes_in_sets=False))
    play(strategy, desk, "pending_by_company", "claim")
    assert used(strategy) == {
        "pending_by_company": Implementation.OPTIMIZED,
        "claim": Implementation.ORIGINAL,
    }
    reason = strategy.report({}).query_choice_reason
    assert "original: ENABLE_BATCH_OPERATIONS is false (claim)" in reason


@pytest.mark.parametrize(
    ("stored", "mode"),
    [
        ("auto", QueryMode.AUTO),
        ("original", QueryMode.ORIGINAL),
        ("optimized", QueryMode.OPTIMIZED),
    ],
)
def test_a_choice_is_kept_in_the_words_of_the_first_version(
    engine: Engine, desk: Desk, stored: str, mode: QueryMode
) -> None:
    desk.do(
        "INSERT INTO batch_assets.query_mode (mode, chosen_by) VALUES (:stored, 'someone')",
        stored=stored,
    )
    modes = StoredModes(engine)
    assert Strategy(engine, Toggle(), stored=modes.read).mode is mode
    assert modes.keep(mode, "someone else").mode is mode
    assert desk.column("SELECT mode FROM batch_assets.query_mode") == [stored]


def test_what_has_two_implementations_is_what_is_not_shared() -> None:
    others = {
        operation
        for operation in READS | WRITES
        if getattr(OptimizedQueries, operation) is not getattr(OriginalQueries, operation)
    }
    # The optimized one hands it over.
    assert others - {"preview"} == HAVE_TWO


def test_the_two_implementations_differ_where_it_matters() -> None:
    assert {"claim", "write_results", "finalize", "release"} <= HAVE_TWO & WRITES
    assert {"pending_by_company", "conversations", "rows_of", "statistics"} <= HAVE_TWO & READS


def statements(engine: Engine, desk: Desk, operation: str, **choice: bool) -> int:
    """How many statements an implementation needs for a scene, BEGIN and COMMIT left out."""
    empty(engine)
    ask, judge = SCENES[operation](desk)
    sent: list[Any] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    queries = choose_queries(engine, **choice)
    event.listen(engine, "before_cursor_execute", note)
    answer = ask(queries)
    event.remove(engine, "before_cursor_execute", note)
    judge(answer)
    return len(sent)


def test_one_implementation_can_be_had_bare(engine: Engine, desk: Desk) -> None:
    in_sets = statements(engine, desk, "finalize", optimized=True)
    row_by_row = statements(engine, desk, "finalize", optimized=False)
    assert in_sets < row_by_row
