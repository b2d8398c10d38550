"""The embedded PostgreSQL by itself: made, configured, found again, and nobody else's touched."""

import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from batch_assets.domain.errors import LocalStackError
from batch_assets_local import paths, postgres_programs, processes
from batch_assets_local.postgres import EmbeddedPostgres

Start = Callable[[], EmbeddedPostgres]


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = paths.make_state_dir(tmp_path_factory.mktemp("project"))
    yield directory
    paths.remove(directory)


@pytest.fixture
def start(state_dir: Path) -> Iterator[Start]:
    launched = []

    def start_another() -> EmbeddedPostgres:
        server = EmbeddedPostgres(state_dir, durable=False)
        launched.append(server)
        server.launch()
        server.wait_ready()
        return server

    yield start_another
    for server in launched:
        server.stop()


def ask(server: EmbeddedPostgres, question: LiteralString) -> tuple[object, ...] | None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        return connection.execute(question).fetchone()


def data_dir(state_dir: Path) -> Path:
    return paths.postgres_home(state_dir) / "data"


def postmaster_pid(state_dir: Path) -> int:
    return int((data_dir(state_dir) / "postmaster.pid").read_text().split()[0])


def test_it_is_set_up_as_the_project_needs_it(start: Start, state_dir: Path) -> None:
    server = start()

    assert ask(
        server,
        """SELECT current_setting('server_encoding'), datlocprovider::text, datlocale,
                  current_setting('timezone'), current_setting('max_connections'),
                  current_setting('listen_addresses'), current_setting('fsync')
             FROM pg_database WHERE datname = current_database()""",
    ) == ("UTF8", "b", "C.UTF-8", "UTC", "200", "", "off")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("SELECT 1 AS counted")
    assert ask(
        server,
        """SELECT count(*) FILTER (WHERE query LIKE 'SELECT $1 AS counted'),
                  count(*) FILTER (WHERE query LIKE 'CREATE EXTENSION%')
             FROM pg_stat_statements""",
    ) == (1, 1)


def test_only_the_user_who_made_it_comes_in(start: Start, state_dir: Path) -> None:
    server = start()
    account = paths.server_account()

    host = Path(server.url().partition("host=")[2])
    assert stat.S_IMODE(host.lstat().st_mode) == 0o700
    assert host.lstat().st_uid == account.uid
    assert stat.S_IMODE(data_dir(state_dir).lstat().st_mode) == 0o700
    # What the kernel says of the caller counts, even for the account that the server runs under.
    knock = subprocess.run(
        [postgres_programs.programs() / "psql", server.url(), "-Atc", "SELECT 'welcome'"],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        **processes.as_account(account),
    )
    if account == paths.own_account():
        assert knock.stdout == "welcome\n"
    else:
        assert "Peer authentication failed" in knock.stderr


def test_it_is_found_again_after_its_launcher_was_killed(start: Start, state_dir: Path) -> None:
    launch = (
        "import os, signal, sys; from pathlib import Path;"
        "from batch_assets_local.postgres import EmbeddedPostgres;"
        "server = EmbeddedPostgres(Path(sys.argv[1]), durable=False);"
        "server.launch(); server.wait_ready(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", launch, str(state_dir)], check=False)
    left = postmaster_pid(state_dir)

    server = start()

    assert postmaster_pid(state_dir) == left
    server.stop()
    assert not server.is_alive()
    assert not (data_dir(state_dir) / "postmaster.pid").exists()


def test_an_old_pid_that_is_another_programs_now_fools_nobody(
    start: Start, state_dir: Path
) -> None:
    server = start()
    server.stop()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        # As after a power cut: the file is there, and its process id has been given out again.
        (data_dir(state_dir) / "postmaster.pid").write_text(
            f"{innocent.pid}\n{data_dir(state_dir)}\n1700000000\n5432\n/tmp\n\n0 0\nready   \n"
        )

        again = start()

        assert postmaster_pid(state_dir) != innocent.pid
        assert ask(again, "SELECT 1") == (1,)
        again.stop()
        assert innocent.poll() is None
        innocent.communicate(b"\n")


def test_an_interrupted_first_start_leaves_nothing_that_counts(tmp_path: Path) -> None:
    directory = paths.make_state_dir(tmp_path)
    half_made = paths.make_postgres_home(directory) / "unfinished-abc"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("1")
    server = EmbeddedPostgres(directory, durable=False)

    server.launch()
    server.wait_ready()

    assert ask(server, "SELECT 1") == (1,)
    assert not half_made.exists()
    server.stop()
    paths.remove(directory)


def test_a_server_left_by_a_removed_stack_is_ended_and_its_data_are_made_anew(
    tmp_path: Path,
) -> None:
    directory = paths.make_state_dir(tmp_path)
    left = EmbeddedPostgres(directory, durable=False)
    left.launch()
    left.wait_ready()
    with psycopg.connect(left.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE inherited ()")
    shutil.rmtree(directory)

    server = EmbeddedPostgres(paths.make_state_dir(tmp_path), durable=False)
    server.launch()
    server.wait_ready()

    assert not left.is_alive()
    assert ask(server, "SELECT to_regclass('inherited')") == (None,)
    server.stop()
    paths.remove(directory)


@contextmanager
def spoilt(file: Path, content: str) -> Iterator[None]:
    good = file.read_bytes()
    file.write_text(content)
    yield
    file.write_bytes(good)


def test_data_of_another_release_is_refused_with_the_way_out(start: Start, state_dir: Path) -> None:
    start().stop()

    with (
        spoilt(data_dir(state_dir) / "PG_VERSION", "12\n"),
        pytest.raises(
            LocalStackError, match=r"made by PostgreSQL 12, .*`batch-assets local reset`"
        ),
    ):
        start()


def test_a_start_that_fails_says_why(start: Start, state_dir: Path) -> None:
    start().stop()

    with (
        spoilt(data_dir(state_dir) / "postgresql.conf", "max_connections = many\n"),
        pytest.raises(LocalStackError, match=r"does not start: .*postgresql\.conf"),
    ):
        start()


def test_the_servers_log_quotes_no_row(start: Start, state_dir: Path) -> None:
    server = start()

    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE spoken (words text CHECK (words <> 'canary-7'))")
        with pytest.raises(psycopg.errors.CheckViolation, match="canary-7"):
            connection.execute("INSERT INTO spoken VALUES (%s)", ["canary-7"])
        with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="canary-8"):
            connection.execute("SELECT 'canary-8'::int")

    log = (state_dir / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "canary" not in log


def test_a_socket_directory_of_a_stranger_is_not_taken(tmp_path: Path) -> None:
    account = paths.server_account()
    own = paths.socket_dir(tmp_path, account)
    assert paths.socket_dir(tmp_path, account) == own

    own.chmod(0o777)
    another = paths.socket_dir(tmp_path, account)

    assert another != own
    own.chmod(0o700)
    paths.remove(tmp_path)
    assert not own.exists()
    assert not another.exists()
