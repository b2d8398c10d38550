"""LiveDash's columns filled with anything that PostgreSQL takes there: one row never stops all."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Engine, Table, text
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.lookups import Criteria
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.alerts import Alerts
from batch_assets.store.conservation import Conservation
from batch_assets.store.lookups import DeadLetters
from batch_assets.store.metrics import ReportData
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import choose_queries
from batch_assets.store.synchronous_requests import SynchronousRequests
from batch_assets.store.tables import livedash
from batch_assets.store.tables.base import ENUM_TYPES
from batch_assets.store.watching import Watching
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_tests.factories import make_company, make_request, make_session
from batch_assets_tests.odd_values import ADDED_LATER, TEXTS, odd_values
from batch_assets_tests.one_database import empty
from batch_assets_tests.stages.support import QUICK, Lab
from batch_assets_tests.store.queries.support import Desk

EXAMPLES = int(os.environ.get("ODD_ROWS", "4"))
ROWS = 12
"""Odd rows in one world, each of a company of its own."""

TABLES: Mapping[Table, str] = {
    livedash.company: "id = :company",
    livedash.session: "id = :session",
    livedash.message: '"sessionId" = :session AND "order" = 1',
    livedash.ai_processing_request: "id = :request",
    livedash.session_processing_status: '"sessionId" = :session',
    livedash.ai_model: "id = :model",
    livedash.ai_model_pricing: '"aiModelId" = :model',
}


@dataclass(frozen=True)
class Oddity:
    """A column, and a value that stands in it in one row."""

    table: Table
    column: Column[object]
    value: str | None

    def put(self, connection: Connection, ids: Mapping[str, str]) -> None:
        """Write it; what the database itself refuses there is nothing that can be met."""
        statement = (
            f'UPDATE public."{self.table.name}" SET "{self.column.name}" ='
            f" CAST(:value AS {_type_of(self.column)}) WHERE {TABLES[self.table]}"
        )
        try:
            with connection.begin_nested():
                connection.execute(text(statement), {**ids, "value": self.value})
        except DBAPIError:
            return


def _type_of(column: Column[object]) -> str:
    if isinstance(column.type, ENUM):
        return f'public."{column.type.name}"'
    return str(column.type)


def _anything(column: Column[object]) -> st.SearchStrategy[str | None]:
    """The edges of its type, and for texts whatever else there is."""
    edges = st.sampled_from(list(odd_values(column)))
    if TEXTS[0] not in set(odd_values(column)):
        return edges
    width = getattr(column.type, "length", None) or 700
    others = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=width)
    return edges | others


ODDITIES = st.one_of(
    [
        _anything(column).map(lambda value, t=table, c=column: Oddity(t, c, value))  # type: ignore[misc]
        for table in TABLES
        for column in table.columns
        if not column.foreign_keys
    ]
)
WORLDS = st.lists(st.lists(ODDITIES, min_size=1, max_size=3), min_size=ROWS, max_size=ROWS)


@pytest.fixture(scope="module", autouse=True)
def labels_added_later(module_engine: Engine) -> None:
    """As a later migration of LiveDash's may: every enum has one value more."""
    with module_engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for enum in ENUM_TYPES:
            connection.exec_driver_sql(
                f"ALTER TYPE public.\"{enum.name}\" ADD VALUE IF NOT EXISTS '{ADDED_LATER}'"
            )


@pytest.fixture(scope="module")
def labs(
    module_engine: Engine,
    module_server: RunningServer,
    api: BatchApi,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Lab]:
    """One of each implementation on the same database, for all examples."""
    module_server.set_config(ServerConfig.instant())
    made = {}
    for mode in ("optimized", "original"):
        queries = choose_queries(module_engine, optimized=mode == "optimized")
        pipeline = Pipeline(
            queries=queries,
            registry=Registry(module_engine, external_quiet_seconds=900),
            api=api,
            policy=QUICK,
            spool_dir=tmp_path_factory.mktemp("odd-rows") / "spool",
            owner="host:1",
            run_id="run-1",
        )
        made[mode] = Lab(pipeline, module_server, Desk(module_engine, queries))
    return made


def make(lab: Lab, oddities: Sequence[Sequence[Oddity]]) -> list[str]:
    """A company for each odd row, with a good one beside it, and a good company; the good ones."""
    good = []
    with lab.desk.engine.begin() as connection:
        whole = make_company(connection)
        good += [_request(connection, whole) for _ in "12"]
        for some in oddities:
            company_id = make_company(connection)
            good.append(_request(connection, company_id))
            session_id = make_session(connection, company_id)
            request_id = make_request(connection, session_id, age=timedelta(hours=1))
            connection.execute(_BESIDE, {"session": session_id, "model": company_id})
            ids = {"company": company_id, "session": session_id, "request": request_id}
            # The ids last: the others are found by them.
            for oddity in sorted(some, key=lambda one: one.column.primary_key):
                oddity.put(connection, ids | {"model": company_id})
    return good


_BESIDE = text("""
    WITH stage AS (
        INSERT INTO public."SessionProcessingStatus" (id, "sessionId", stage, status)
        VALUES (:session, :session, 'AI_ANALYSIS', 'IN_PROGRESS')
    ), model AS (
        INSERT INTO public."AIModel" (id, name, provider, "isActive", "updatedAt")
        VALUES (:model, left(:model, 100), 'openai', true, now())
        RETURNING id
    )
    INSERT INTO public."AIModelPricing"
        (id, "aiModelId", "promptTokenCost", "completionTokenCost", "effectiveFrom")
    SELECT model.id, model.id, 0.001, 0.001, '-infinity' FROM model
""")
_OF_ACTIVE = text("""
    SELECT r.id
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    JOIN public."Company" AS c ON c.id = s."companyId"
    WHERE r.id = ANY(:ids) AND c.status = 'ACTIVE'
""")
_NOBODYS = text("""
    SELECT count(*) FROM public."AIProcessingRequest" AS r
    WHERE CAST(r."processingStatus" AS text) = :label
        OR (r."processingStatus" = 'BATCHING_IN_PROGRESS' AND r."batchId" IS NULL)
""")


def _request(connection: Connection, company_id: str) -> str:
    session_id = make_session(connection, company_id)
    return make_request(connection, session_id, age=timedelta(hours=2))


def look_everywhere(lab: Lab) -> None:
    """What sensors, commands, checks and pictures ask of the same rows."""
    engine = lab.desk.engine
    Watching(engine).newly_due(lab.pipeline.policy.due_rule, datetime.now(UTC))
    Watching(engine).in_flight()
    Alerts(engine).recent(3_600)
    ReportData(engine).cost_by_day(30, 5)
    SynchronousRequests(engine).standing()
    letters = DeadLetters(engine)
    for letter in letters.page(Criteria(), 100).letters:
        letters.read(letter.request_id)
    letters.external_groups(Criteria())
    lab.pipeline.livedash_acts.notice(900)


@pytest.mark.parametrize("mode", ["optimized", "original"])
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 50,
    database=None,
    phases=[Phase.generate, Phase.shrink] if EXAMPLES > 50 else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(oddities=WORLDS)
def test_whatever_stands_in_some_rows_all_others_go_through(
    oddities: Sequence[Sequence[Oddity]], mode: str, labs: Mapping[str, Lab]
) -> None:
    lab = labs[mode]
    empty(lab.desk.engine)
    good = make(lab, oddities)
    look_everywhere(lab)
    for _ in range(2):
        lab.recover()
        lab.submit()
        lab.read_to_the_end()
        lab.retry()
        lab.clean()
    look_everywhere(lab)
    with lab.desk.engine.begin() as connection:
        served = list(connection.execute(_OF_ACTIVE, {"ids": good}).scalars())
        nobodys = connection.execute(_NOBODYS, {"label": ADDED_LATER}).scalar_one()
    assert set(lab.statuses(served)) == {"PROCESSING_COMPLETE"}
    assert lab.times_billed(served) == [1] * len(served)
    audit = Conservation(lab.desk.engine).all_rows()
    assert sum(one.rows for one in audit.companies) == audit.rows
    unfit = sum(one.rows - one.in_buckets for one in audit.companies)
    assert unfit <= nobodys
