"""The staging tables: what comes in lies in the columns that it is meant for, and goes again."""

import re

import psycopg
import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.batches import BatchOutcomes
from batch_assets.store.optimized.results import SQL
from batch_assets.store.strategy import choose_queries
from batch_assets.store.tables.requests import result_staging
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import FINDINGS, Desk, completed


def test_the_copy_names_every_column_in_the_order_of_the_table() -> None:
    statement = SQL["stage_rows"].text
    named = re.findall(r"\w+", statement[statement.index("(") : statement.index(")")])
    assert named == list(result_staging.columns.keys())


@pytest.mark.parametrize("table", ["result_staging", "question_staging"])
def test_nothing_is_left_in_it(engine: Engine, table: str) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    batch, ids = desk.ended(3)
    written = desk.write(batch.lease, [completed(row) for row in ids])
    assert written is not None
    assert written.completed == 3
    assert FINDINGS.questions is not None
    asked = desk.value('SELECT count(*) FROM public."SessionQuestion"')
    assert asked == 3 * len(FINDINGS.questions)
    assert desk.value(f"SELECT count(*) FROM batch_assets.{table}") == 0


def test_a_copy_that_the_database_refuses_leaves_nothing_behind(engine: Engine) -> None:
    queries = choose_queries(engine, optimized=True)
    desk = Desk(engine, queries)
    batch, (first, second, _) = desk.ended(3)
    desk.do(
        "ALTER TABLE batch_assets.result_staging"
        f" ADD CONSTRAINT cut_short CHECK (request_id <> '{second}')"
    )
    before = desk.everything()
    outcomes = [completed(first), completed(second)]
    with pytest.raises(psycopg.errors.CheckViolation):
        queries.write_results([BatchOutcomes(batch.lease, outcomes)], a_policy())
    assert desk.everything() == before
    with engine.begin() as connection:
        left = connection.execute(text("SELECT count(*) FROM batch_assets.result_staging"))
        assert left.scalar_one() == 0
