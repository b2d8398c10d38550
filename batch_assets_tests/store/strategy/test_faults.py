"""What really happens to an optimized operation: artefacts dropped and locked, a COPY cut short."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.records import Lease
from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.strategy import QueryMode, Strategy, Toggle
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.store.strategy.breaking import Broken, made_of
from batch_assets_tests.store.strategy.scenes import SCENES

CANARY = "canary-59d0"
ARTEFACTS = {"intake_progress": "notice_pending", "result_staging": "write_results"}
"""Tables that only one optimized operation uses, and which."""


@contextmanager
def without(table: str, desk: Desk) -> Iterator[None]:
    desk.do(f"ALTER TABLE batch_assets.{table} RENAME TO elsewhere")
    yield
    desk.do(f"ALTER TABLE batch_assets.elsewhere RENAME TO {table}")


@contextmanager
def locked(table: str, desk: Desk) -> Iterator[None]:
    with desk.engine.begin() as connection:
        connection.execute(text(f"LOCK TABLE batch_assets.{table} IN EXCLUSIVE MODE"))
        yield


@contextmanager
def refusing(table: str, desk: Desk) -> Iterator[None]:
    desk.do(f"ALTER TABLE batch_assets.{table} ADD CONSTRAINT refuses CHECK (false) NOT VALID")
    yield
    desk.do(f"ALTER TABLE batch_assets.{table} DROP CONSTRAINT refuses")


@pytest.mark.parametrize("harm", [without, locked, refusing])
@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_an_artefact_that_cannot_be_used(
    artefact: str,
    harm: Callable[[str, Desk], AbstractContextManager[None]],
    engine: Engine,
    desk: Desk,
    broken: Broken,
) -> None:
    ask, judge = SCENES[ARTEFACTS[artefact]](desk)
    strategy = broken.strategy(engine)
    with harm(artefact, desk):
        judge(ask(strategy.queries))
    assert strategy.report({}).query_fallbacks == 1


class CopyingQueries(OptimizedQueries):
    """Gives leases up through a staging table, as a set-based operation may; its COPY fails."""

    def expire(self, leases: Sequence[Lease]) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("CREATE TEMPORARY TABLE staging (id text, fence bigint)"))
            connection.execute(text("UPDATE batch_assets.batch SET lease_owner = 'half-way'"))
            driver_connection: Any = connection.connection.driver_connection
            with (
                driver_connection.cursor() as cursor,
                cursor.copy("COPY staging FROM STDIN") as copy,
            ):
                for lease in leases:
                    copy.write_row((lease.batch_id, lease.fence))
                copy.write_row((CANARY, CANARY))


def test_a_copy_that_is_cut_short(
    engine: Engine, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    ask, judge = SCENES["expire"](desk)
    strategy = Strategy(engine, Toggle(QueryMode.OPTIMIZED), optimized=made_of(CopyingQueries))
    judge(ask(strategy.queries))
    report = strategy.report({})
    assert report.query_fallbacks == 1
    assert "22P02" in caplog.text
    assert CANARY not in caplog.text
    # BEGIN, CREATE, UPDATE, COPY, ROLLBACK, and one by the original.
    assert report.query_statements == 6


def test_its_own_error_is_raised_without_the_fallback(engine: Engine, desk: Desk) -> None:
    ask, _ = SCENES["expire"](desk)
    strategy = Strategy(
        engine, Toggle(QueryMode.OPTIMIZED, falls_back=False), optimized=made_of(CopyingQueries)
    )
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        ask(strategy.queries)
