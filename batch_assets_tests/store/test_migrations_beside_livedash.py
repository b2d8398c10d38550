"""Migrating while LiveDash works: nobody waits for us, and we wait for nobody for ever."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import Connection, NullPool, create_engine, text

from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.store.migrate import current, downgrade, upgrade
from batch_assets.store.migrating import livedash as indexes
from batch_assets.store.migrating.project import head_revision
from batch_assets.store.migrating.session import ONE_AT_A_TIME
from batch_assets.store.tables.livedash import OPTIMISATION_INDEXES
from batch_assets.store.urls import application_url
from batch_assets_tests.catalog import changes, snapshot
from batch_assets_tests.databases import connected
from batch_assets_tests.factories import make_company, make_request, make_requests, make_session

LONGEST_WRITE_SECONDS = 2.0
"""Far below every lock timeout of ours: a write that waited for us would take longer."""


class Migration(threading.Thread):
    """An upgrade at the side; `said` grows while it runs."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.failure: BaseException | None = None
        self._url = url

    def run(self) -> None:
        try:
            upgrade(self._url, self.said.append)
        except BaseException as error:
            self.failure = error

    def wait_until_said(self, part: str) -> None:
        give_up = time.monotonic() + 60
        while not any(part in sentence for sentence in self.said):
            assert time.monotonic() < give_up, f"{part!r} is not in {self.said}"
            time.sleep(0.01)

    def finish(self) -> None:
        self.join(timeout=30)
        assert not self.is_alive()
        if self.failure is not None:
            raise self.failure


@contextmanager
def open_transaction(url: str) -> Iterator[psycopg.Connection]:
    """A transaction that has written to the table and goes on."""
    with psycopg.connect(url) as connection:
        connection.execute('UPDATE "AIProcessingRequest" SET "errorMessage" = \'in progress\'')
        yield connection
        connection.rollback()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter waits for locks than in earnest, so that several fit into a test."""
    settings = "SELECT set_config('lock_timeout', '200ms', false)"
    monkeypatch.setattr(indexes, "_SETTINGS", text(settings))
    monkeypatch.setattr(indexes, "_PAUSE_SECONDS", 0.05)


@pytest.fixture
def busy_url(livedash_database_url: str) -> str:
    """A LiveDash with requests."""
    with connected(livedash_database_url) as connection:
        make_requests(connection, make_company(connection), 200)
    return livedash_database_url


def all_valid(url: str) -> bool:
    found = {row[1]: row[3] for row in snapshot(url)["indexes"]}
    return all(found.get(index.name) for index in OPTIMISATION_INDEXES)


def test_writes_go_on_while_an_open_transaction_holds_the_migration_up(busy_url: str) -> None:
    engine = create_engine(application_url(busy_url), poolclass=NullPool)
    seconds: list[float] = []
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as livedash:
        session_id = make_session(livedash, make_company(livedash))
        with open_transaction(busy_url):
            migration = Migration(busy_url)
            migration.start()
            until = time.monotonic() + 1.0
            while time.monotonic() < until or len(seconds) <= 10:
                seconds.append(timed_write(livedash, session_id))
            assert migration.is_alive()
        while migration.is_alive():
            seconds.append(timed_write(livedash, session_id))
    migration.finish()
    assert max(seconds) < LONGEST_WRITE_SECONDS
    assert len(seconds) > 10
    assert all_valid(busy_url)


def timed_write(livedash: Connection, session_id: str) -> float:
    began = time.monotonic()
    make_request(livedash, session_id)
    return time.monotonic() - began


@pytest.mark.usefixtures("impatient")
def test_the_migration_tries_again_until_the_transaction_has_ended(busy_url: str) -> None:
    migration = Migration(busy_url)
    with open_transaction(busy_url):
        migration.start()
        migration.wait_until_said("has to wait for open transactions")
    migration.finish()
    assert all_valid(busy_url)


@pytest.mark.usefixtures("impatient")
def test_a_migration_that_gave_up_is_carried_on_and_taken_back(
    busy_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(busy_url)
    monkeypatch.setattr(indexes, "_TRIALS", 2)
    with open_transaction(busy_url), pytest.raises(MigrationRefusedError, match="quieter time"):
        upgrade(busy_url)
    assert current(busy_url) is None
    assert not all_valid(busy_url)

    said: list[str] = []
    upgrade(busy_url, said.append)
    assert all_valid(busy_url)
    assert any("INVALID leftover" in sentence for sentence in said)
    downgrade(busy_url, "base")
    assert changes(before, snapshot(busy_url)) == set()


def test_an_invalid_leftover_is_rebuilt(busy_url: str) -> None:
    name = "AIProcessingRequest_batchId_idx"
    with psycopg.connect(busy_url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '50ms'")
        with open_transaction(busy_url), pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(
                f'CREATE INDEX CONCURRENTLY "{name}" ON "AIProcessingRequest" ("batchId")'.encode()
            )
    assert (name, False) in {(row[1], row[3]) for row in snapshot(busy_url)["indexes"]}
    said: list[str] = []
    upgrade(busy_url, said.append)
    assert all_valid(busy_url)
    assert f'removing the INVALID leftover of the index "{name}"' in said
    assert f'added the index "{name}"' in said


def test_whoever_comes_second_waits_for_the_first(busy_url: str) -> None:
    with psycopg.connect(busy_url, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [ONE_AT_A_TIME])
        second = Migration(busy_url)
        second.start()
        second.wait_until_said("another migration of this database is running")
        # Its waiting must not hold up what the first does now.
        first.execute("SET lock_timeout = '5s'")
        first.execute('CREATE INDEX CONCURRENTLY probe ON "AIProcessingRequest" ("model")')
        first.execute("DROP INDEX CONCURRENTLY probe")
        assert second.is_alive()
    second.finish()
    assert all_valid(busy_url)


def test_two_at_once_both_end_well(busy_url: str) -> None:
    both = [Migration(busy_url), Migration(busy_url)]
    for migration in both:
        migration.start()
    for migration in both:
        migration.finish()
    assert current(busy_url) == head_revision()
    added = [sentence for one in both for sentence in one.said if sentence.startswith("added")]
    assert len(added) == len(OPTIMISATION_INDEXES)
