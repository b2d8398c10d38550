"""One daemon a database: a second one is refused, and one that died keeps nobody out."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from batch_assets.cli.lookout import Lookout
from batch_assets.domain.errors import BatchAssetsError, DatabaseUnavailableError
from batch_assets.store.sole_daemon import SoleDaemon

BECOMES_ANOTHER = """
import os, sys
from batch_assets.store.sole_daemon import SoleDaemon
daemon = SoleDaemon(sys.argv[1])
daemon.take()
daemon.outlive_this_program()
os.execv("/bin/sh", ["sh", "-c", "echo begun; read line"])
"""


@pytest.fixture
def open_one(database_url: str) -> Iterator[Callable[[], SoleDaemon]]:
    opened: list[SoleDaemon] = []

    def open_() -> SoleDaemon:
        opened.append(SoleDaemon(database_url))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def taken(one: SoleDaemon) -> bool:
    try:
        one.take()
    except BatchAssetsError:
        return False
    return True


def disconnect_all(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_second_one_is_refused_and_told_of_the_first(open_one: Callable[[], SoleDaemon]) -> None:
    first, second = open_one(), open_one()
    first.take()
    with pytest.raises(
        BatchAssetsError, match=r"already \(batch-assets on .* since 20.* UTC\)"
    ) as e:
        second.take()
    assert socket.gethostname()[:25] in str(e.value)
    first.close()
    second.take()


def test_it_is_taken_again_once_its_session_was_lost(
    open_one: Callable[[], SoleDaemon], database_url: str
) -> None:
    first, second = open_one(), open_one()
    first.take()
    disconnect_all(database_url)
    first.keep()
    with pytest.raises(BatchAssetsError, match="already"):
        second.take()
    disconnect_all(database_url)
    second.take()
    with pytest.raises(BatchAssetsError, match="already"):
        first.keep()


def test_a_program_has_it_that_the_process_becomes_until_it_is_killed(
    open_one: Callable[[], SoleDaemon], database_url: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BECOMES_ANOTHER, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        with pytest.raises(BatchAssetsError, match="already"):
            open_one().take()
        other.send_signal(signal.SIGKILL)
    one = open_one()

    # The server has to notice first that nobody is there any more.
    give_up = time.monotonic() + 60
    while not taken(one):
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_an_outage_is_one_line_and_so_is_its_end(
    open_one: Callable[[], SoleDaemon], database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = open_one()
    one.take()
    lookout = Lookout(one, lambda: ["a run has ended"])
    server = make_url(database_url)
    name = server.database
    with psycopg.connect(
        server.set(database="postgres").render_as_string(hide_password=False), autocommit=True
    ) as elsewhere:
        elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        elsewhere.execute(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = %s",
            [name],
        )
        lookout.look()
        lookout.look()
        away = lookout.away
        elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())
    lookout.look()
    assert f'"{name}"' in away
    lookout.check()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(away)
    assert said[1:] == ["The database answers again, after 0 s.", "a run has ended"]


def test_a_daemon_that_begins_during_an_outage_ends_the_first(
    open_one: Callable[[], SoleDaemon], database_url: str
) -> None:
    first = open_one()
    first.take()
    lookout = Lookout(first, list)
    disconnect_all(database_url)
    open_one().take()
    lookout.look()
    with pytest.raises(BatchAssetsError, match="already"):
        lookout.check()


def test_a_database_that_does_not_answer_is_said_to_be_so() -> None:
    with pytest.raises(DatabaseUnavailableError, match="does not answer"):
        SoleDaemon("postgresql://u@127.0.0.1:9/livedash").take()
