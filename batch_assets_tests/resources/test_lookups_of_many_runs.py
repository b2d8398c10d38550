"""What runs, each a process of its own, share of their answers."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from batch_assets.resources.company_file import Instant
from batch_assets_tests.factories import make_company
from batch_assets_tests.resources.lookups import lookups

PATIENCE_SECONDS = 60
EVERY_SECONDS = 120
HOUR_SECONDS = 3600


@pytest.fixture
def company_id(engine: Engine) -> str:
    with engine.begin() as connection:
        return make_company(connection)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "companies"


@contextmanager
def companies_locked(engine: Engine) -> Iterator[None]:
    """While it lasts, whoever asks for companies waits."""
    with engine.begin() as connection:
        connection.execute(text('LOCK TABLE public."Company" IN ACCESS EXCLUSIVE MODE'))
        yield


def wait_until_asked(engine: Engine, times: int) -> None:
    """Until so many processes wait for the lock on the companies."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    waiting = text(
        "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
        " WHERE NOT l.granted AND l.locktype = 'relation' AND d.datname = current_database()"
    )
    with engine.connect() as connection:
        while connection.execute(waiting).scalar_one() < times:
            assert time.monotonic() < give_up_at
            time.sleep(0.02)


def test_an_hour_of_scheduled_runs(database_url: str, directory: Path, company_id: str) -> None:
    began = Instant.now()
    moments = range(0, HOUR_SECONDS + 1, EVERY_SECONDS)
    with lookups(database_url, directory) as process:
        runs = [
            process.look_up(Instant(began.wall_seconds + later, began.uptime_seconds + later))
            for later in moments
        ]
    assert len({run["pid"] for run in runs}) == len(runs) == 31
    assert all(run["ids"] == [company_id] for run in runs)
    first, *others = runs
    assert (first["lookup_hits"], first["lookup_misses"], first["queries"]) == (0, 1, 1)
    assert sum(run["lookup_hits"] for run in others) >= 0.95 * len(others)
    assert all(run["lookup_age_seconds"] < 300 for run in runs)
    # Every second run asks, before the answer's time is over, and none asks twice.
    assert all(run["queries"] == run["lookup_refreshes"] <= 1 for run in runs)
    assert sum(run["queries"] for run in runs) == 16


def test_runs_that_miss_at_once_ask_once(
    database_url: str, directory: Path, engine: Engine, company_id: str
) -> None:
    with lookups(database_url, directory) as one, lookups(database_url, directory) as another:
        with companies_locked(engine):
            one.begin()
            wait_until_asked(engine, 1)
            another.begin()
            time.sleep(1.0)  # it waits for most of that, however busy this machine is
        found = [one.result(), another.result()]
    assert [run["ids"] for run in found] == [[company_id]] * 2
    assert [run["queries"] for run in found] == [1, 0]
    assert [run["lookup_misses"] for run in found] == [1, 0]
    assert found[1]["lookup_hits"] == 1
    assert 0.1 < found[1]["lookup_wait_seconds"] < 5


def test_a_run_that_is_killed_while_it_asks_keeps_nobody_waiting(
    database_url: str, directory: Path, engine: Engine, company_id: str
) -> None:
    with lookups(database_url, directory) as one, lookups(database_url, directory) as another:
        with companies_locked(engine):
            killed = one.begin()
            wait_until_asked(engine, 1)
            os.kill(killed, signal.SIGKILL)
            another.begin()
            wait_until_asked(engine, 2)
        found = another.result()
    assert found["ids"] == [company_id]
    assert (found["lookup_misses"], found["lookup_refreshes"]) == (1, 1)
    assert found["lookup_wait_seconds"] < 5
