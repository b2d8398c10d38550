"""Each optimized operation broken by the server in turn: the original completes the work."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from batch_assets.store.protocol import Queries
from batch_assets.store.strategy import QueryMode, Toggle
from batch_assets.store.strategy.records import READS, WRITES, Implementation, Key, Purpose, Totals
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.store.strategy.breaking import MISSING, SLOW, Broken
from batch_assets_tests.store.strategy.scenes import SCENES

FAULTS: dict[str, Callable[[Broken], AbstractContextManager[None]]] = {
    "missing artefact": lambda broken: broken.sending(MISSING),
    "statement timeout": lambda broken: broken.sending(SLOW),
}
CODES = {"missing artefact": "42P01", "statement timeout": "57014"}
IN_A_TRANSACTION = {"claim", "conversations", "release", "record_uploads", "write_results"}
"""The optimized operations that have more than one statement to take back."""


def of(totals: Totals | None) -> tuple[int, int, int]:
    counted = totals or Totals()
    return counted.calls, counted.failures, counted.fallbacks


def test_there_is_a_scene_for_every_operation() -> None:
    operations = {name for name in vars(Queries) if not name.startswith("_")}
    assert set(SCENES) == operations
    assert operations == READS | WRITES
    assert READS.isdisjoint(WRITES)


@pytest.mark.parametrize("operation", SCENES)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_original_completes_what_optimized_fails_at(
    operation: str,
    fault: str,
    desk: Desk,
    broken: Broken,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask, judge = SCENES[operation](desk)
    strategy = broken.strategy(desk.engine)
    with FAULTS[fault](broken):
        answer = ask(strategy.queries)
    judge(answer)
    totals = strategy.totals()
    optimized = totals[Key(operation, Implementation.OPTIMIZED, Purpose.WORK)]
    original = totals[Key(operation, Implementation.ORIGINAL, Purpose.WORK)]
    assert (of(optimized), of(original)) == ((1, 1, 1), (1, 0, 0))
    assert original.statements > 0
    (said,) = [record.getMessage() for record in caplog.records]
    assert operation in said
    assert CODES[fault] in said


@pytest.mark.parametrize("operation", SCENES)
def test_the_strategy_gives_what_optimized_gives(
    operation: str, engine: Engine, desk: Desk, broken: Broken
) -> None:
    ask, judge = SCENES[operation](desk)
    strategy = broken.strategy(engine)
    judge(ask(strategy.queries))
    assert [key.implementation for key in strategy.totals()] == [Implementation.OPTIMIZED]


@pytest.mark.parametrize("operation", sorted(IN_A_TRANSACTION))
def test_what_optimized_had_done_is_taken_back(
    operation: str, engine: Engine, desk: Desk, broken: Broken
) -> None:
    ask, judge = SCENES[operation](desk)
    strategy = broken.strategy(engine)
    before = broken.broken
    with broken.refusing_commits():
        answer = ask(strategy.queries)
    assert broken.broken > before
    judge(answer)
    assert strategy.report({}).query_fallbacks == 1


@pytest.mark.parametrize("operation", ["claim", "conversations", "statistics"])
def test_without_the_fallback_a_failure_is_the_operations(
    operation: str, engine: Engine, desk: Desk, broken: Broken
) -> None:
    ask, _ = SCENES[operation](desk)
    strategy = broken.strategy(engine, Toggle(QueryMode.OPTIMIZED, falls_back=False))
    with broken.sending(MISSING), pytest.raises(DBAPIError, match="artefact_that_is_gone"):
        ask(strategy.queries)
    assert [(key.implementation, of(totals)) for key, totals in strategy.totals().items()] == [
        (Implementation.OPTIMIZED, (1, 1, 0))
    ]
