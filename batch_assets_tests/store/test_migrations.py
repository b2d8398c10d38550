"""Up, down and up again, on an empty database and on one that LiveDash made."""

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import NullPool, Table, create_engine

from batch_assets.domain.errors import MigrationsMissingError
from batch_assets.store.alerts import Alerts
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import current, downgrade, require_suitable, upgrade
from batch_assets.store.migrating.project import head_revision
from batch_assets.store.tables import livedash, metadata
from batch_assets.store.tables.base import OWN_SCHEMA
from batch_assets.store.urls import application_url
from batch_assets_tests.catalog import changes, snapshot
from batch_assets_tests.databases import connected
from batch_assets_tests.factories import make_company, make_external_batch, make_requests

THE_THREE = {
    "AIProcessingRequest_processingStatus_requestedAt_idx",
    "AIProcessingRequest_batchId_idx",
    "AIProcessingRequest_processingStatus_batchId_idx",
}
MORE_THAN_THE_CONTRACT = {
    ("Company", "sentimentAlert"),
    ("AIProcessingRequest", "logical_ai_request_times"),
    ("AIProcessingRequest", "positive_total_tokens"),
    ("Session", "logical_session_times"),
}
"""What the tests' LiveDash has on the contract's tables beyond the contract."""


def fill(url: str) -> None:
    with connected(url) as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 20)
        make_external_batch(connection, company_id, request_ids=ids[:5])


def test_an_empty_database_goes_up_down_and_up(empty_database_url: str) -> None:
    before = snapshot(empty_database_url)
    upgrade(empty_database_url)
    first = snapshot(empty_database_url)
    assert current(empty_database_url) == head_revision()

    downgrade(empty_database_url, "base")
    assert changes(before, snapshot(empty_database_url)) == set()
    assert current(empty_database_url) is None

    upgrade(empty_database_url)
    assert changes(first, snapshot(empty_database_url)) == set()


def test_livedashs_database_goes_up_down_and_up(livedash_database_url: str) -> None:
    fill(livedash_database_url)
    before = snapshot(livedash_database_url)
    said: list[str] = []
    upgrade(livedash_database_url, said.append)
    first = snapshot(livedash_database_url)
    added = changes(before, first)
    assert {item[2] for item in added if item[0] == "indexes"} == THE_THREE
    assert [item for item in added if item[0] != "indexes"] == [("schemas", OWN_SCHEMA, None)]
    assert said == [
        "LiveDash's tables were there already: left as they are",
        *(f'added the index "{index.name}"' for index in livedash.OPTIMISATION_INDEXES),
    ]

    downgrade(livedash_database_url, "base")
    assert changes(before, snapshot(livedash_database_url)) == set()

    upgrade(livedash_database_url)
    assert changes(first, snapshot(livedash_database_url)) == set()


@pytest.mark.parametrize("made_by", ["empty_database_url", "livedash_database_url"])
def test_the_models_equal_the_migrated_schema(made_by: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(made_by)
    upgrade(url)
    # With `public` outside the search path its tables are reflected under their schema, as ours.
    engine = create_engine(
        application_url(url).update_query_dict({"options": "-csearch_path=pg_catalog"}),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_object": _is_in_the_contract,
                "version_table_schema": OWN_SCHEMA,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, metadata) == []


def _is_in_the_contract(
    item: object, name: str | None, kind: str, reflected: bool, _counterpart: object
) -> bool:
    """Leave out what only LiveDash has: more tables, columns and keys are its own affair."""
    table = item if isinstance(item, Table) else getattr(item, "table", None)
    if not reflected or not isinstance(table, Table):
        return True
    if table.schema == OWN_SCHEMA:
        return True
    return table.key in metadata.tables and (table.name, name) not in MORE_THAN_THE_CONTRACT


def test_a_second_upgrade_changes_and_says_nothing(livedash_database_url: str) -> None:
    upgrade(livedash_database_url)
    before = snapshot(livedash_database_url)
    said: list[str] = []
    upgrade(livedash_database_url, said.append)
    assert changes(before, snapshot(livedash_database_url)) == set()
    assert said == []


def test_tables_made_here_stay_while_they_hold_rows(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    fill(empty_database_url)
    full = snapshot(empty_database_url)
    said: list[str] = []
    downgrade(empty_database_url, "base", said.append)
    gone = changes(full, snapshot(empty_database_url))
    indexes = {index.name for index in livedash.PRISMA_INDEXES}
    tables = {item[1] for item in gone if item[0] == "rows"}
    imports = {item[2] for item in gone if "SessionImport" in str(item[1])}
    columns = {item[1] for item in gone if item[2] == "createdAt"} - {"SessionImport"}
    assert {item[2] for item in gone if item[0] == "indexes"} - imports == THE_THREE | indexes
    assert tables == {"SessionImport"}
    assert columns == {"CompanyAIModel", "Question", "SessionQuestion"}
    assert "hold rows" in said[-1]

    # That they were made here is still known after another way up.
    upgrade(empty_database_url)
    assert changes(full, snapshot(empty_database_url)) == set()
    downgrade(empty_database_url, "base", drop_livedash=True)
    assert snapshot(empty_database_url)["tables"] == frozenset()


def test_an_index_that_livedash_had_is_left_alone(livedash_database_url: str) -> None:
    with psycopg.connect(livedash_database_url) as connection:
        connection.execute(
            'CREATE INDEX "AIProcessingRequest_batchId_idx" ON "AIProcessingRequest" ("batchId")'
        )
    before = snapshot(livedash_database_url)
    said: list[str] = []
    upgrade(livedash_database_url, said.append)
    assert 'was there already: the index "AIProcessingRequest_batchId_idx"' in said
    downgrade(livedash_database_url, "base")
    assert changes(before, snapshot(livedash_database_url)) == set()


def test_what_the_webhook_has_heard_is_kept_on_the_way_up_and_down(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    upgrade(url)
    downgrade(url, "0010")
    kept = "SELECT name, notified_at FROM batch_assets.alert ORDER BY name"
    with connected(url) as connection:
        connection.exec_driver_sql(
            "INSERT INTO batch_assets.alert (name, is_raised, severity, summary, notified_at)"
            " VALUES ('heard', true, 'WARN', 'x', CURRENT_TIMESTAMP),"
            " ('over', false, 'WARN', 'x', CURRENT_TIMESTAMP), ('pending', true, 'WARN', 'x', NULL)"
        )
        before = connection.exec_driver_sql(kept).all()
    upgrade(url)
    engine = open_engine(url)
    states = Alerts(engine).recent(3_600, {"webhook": "k1", "pagerduty": "k2"}).states
    engine.dispose()
    assert {name: state.pending for name, state in states.items()} == {
        "heard": ("pagerduty",),
        "over": ("pagerduty",),
        "pending": ("webhook", "pagerduty"),
    }
    downgrade(url, "0010")
    with connected(url) as connection:
        assert connection.exec_driver_sql(kept).all() == before


def test_the_code_tells_whether_its_tables_are_there(empty_database_url: str) -> None:
    engine = create_engine(application_url(empty_database_url), poolclass=NullPool)
    with pytest.raises(MigrationsMissingError, match="run `batch-assets migrate`"):
        require_suitable(engine)
    upgrade(empty_database_url)
    require_suitable(engine)
