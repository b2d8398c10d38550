"""What Prisma makes of LiveDash's tables, and what we make: the same, and only where we make any.

`prisma_push.json` is what Prisma itself has made: `prisma db push`, version 6.19.0, of LiveDash's
`schema.prisma` at commit e2301725a3 on an empty PostgreSQL 15, read with `catalog.shape` and cut to
the tables and types that our migrations make.
"""

import json
from pathlib import Path

import psycopg
import pytest

from batch_assets.store.migrate import downgrade, upgrade
from batch_assets.store.tables import livedash
from batch_assets_tests.catalog import Shape, changes, shape, snapshot
from batch_assets_tests.databases import connected
from batch_assets_tests.factories import make_company, make_requests

PRISMAS: Shape = json.loads(
    Path(__file__).with_name("prisma_push.json").read_text(encoding="utf-8")
)

AN_IMPORT = """
    INSERT INTO "SessionImport" (id, "companyId", "externalSessionId", "startTimeRaw", "endTimeRaw")
    SELECT 'an-import', c.id, 'one', 'then', 'now' FROM "Company" AS c
"""


def do(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def made_before_url(empty_database_url: str) -> str:
    """A database that an earlier version has made and that is in use."""
    upgrade(empty_database_url)
    downgrade(empty_database_url, "0006")
    with connected(empty_database_url) as connection:
        make_requests(connection, make_company(connection), 20)
    do(
        empty_database_url,
        "INSERT INTO \"Question\" (id, content) VALUES ('q', 'May I?')",
        'INSERT INTO "SessionQuestion" (id, "sessionId", "questionId", "order")'
        " SELECT 'sq', min(s.id), 'q', 0 FROM \"Session\" AS s",
    )
    return empty_database_url


def test_an_empty_database_becomes_what_prisma_makes(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    assert shape(empty_database_url) == PRISMAS


def test_a_database_that_an_earlier_version_made_becomes_that_too(made_before_url: str) -> None:
    before = snapshot(made_before_url)
    assert shape(made_before_url) != PRISMAS
    said: list[str] = []
    upgrade(made_before_url, said.append)
    assert shape(made_before_url) == PRISMAS
    assert said == [
        *(f'added the index "{index.name}"' for index in livedash.PRISMA_INDEXES),
        "added what Prisma makes besides LiveDash's tables: they were made here",
    ]
    downgrade(made_before_url, "0006")
    assert changes(before, snapshot(made_before_url)) == set()


def test_a_new_database_is_told_of_in_a_few_sentences(empty_database_url: str) -> None:
    said: list[str] = []
    upgrade(empty_database_url, said.append)
    assert said == [
        "made LiveDash's tables: there were none",
        "added what Prisma makes besides LiveDash's tables: they were made here",
    ]


def test_what_prisma_has_made_is_left_as_it_is_even_if_it_lacks_something(
    livedash_database_url: str,
) -> None:
    do(
        livedash_database_url,
        'ALTER TABLE "Question" DROP COLUMN "createdAt"',
        'DROP INDEX "SessionQuestion_questionId_idx"',
        'DROP TABLE "SessionImport" CASCADE',
    )
    before = snapshot(livedash_database_url)
    upgrade(livedash_database_url)
    added = {item[2] for item in changes(before, snapshot(livedash_database_url))} - {None}
    assert added == {index.name for index in livedash.OPTIMISATION_INDEXES}
    downgrade(livedash_database_url, "base")
    assert changes(before, snapshot(livedash_database_url)) == set()


def test_what_prisma_has_added_to_our_tables_meanwhile_stays_its_own(made_before_url: str) -> None:
    do(
        made_before_url,
        'ALTER TABLE "Question"'
        ' ADD COLUMN "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP',
        'CREATE INDEX "AIModel_name_idx" ON "AIModel" ("name")',
    )
    before = snapshot(made_before_url)
    upgrade(made_before_url)
    assert shape(made_before_url) == PRISMAS
    downgrade(made_before_url, "0006")
    assert changes(before, snapshot(made_before_url)) == set()


def test_a_session_may_name_an_import_that_was_never_there(made_before_url: str) -> None:
    do(made_before_url, 'UPDATE "Session" SET "importId" = id')
    said: list[str] = []
    upgrade(made_before_url, said.append)
    assert "sessions name imports" in said[0]
    key = shape(made_before_url)["Session"]["constraints"]["Session_importId_fkey"]
    expected = PRISMAS["Session"]["constraints"]["Session_importId_fkey"]
    assert key == f"{expected} NOT VALID"


def test_imports_stay_unless_rows_may_go(made_before_url: str) -> None:
    upgrade(made_before_url)
    do(made_before_url, AN_IMPORT)
    said: list[str] = []
    downgrade(made_before_url, "base", said.append)
    assert '"SessionImport" was made here but holds rows: it stays' in said
    assert "SessionImport" in shape(made_before_url)

    upgrade(made_before_url)
    assert shape(made_before_url) == PRISMAS


def test_imports_go_with_livedashs_rows(made_before_url: str) -> None:
    upgrade(made_before_url)
    do(made_before_url, AN_IMPORT)
    downgrade(made_before_url, "base", drop_livedash=True)
    assert shape(made_before_url) == {}
