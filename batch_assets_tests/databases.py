"""PostgreSQL for the tests: one server a test session, one database of its own a test."""

import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import Connection, NullPool, create_engine, make_url

from batch_assets.store import registry
from batch_assets.store.migrate import upgrade
from batch_assets.store.sql import load
from batch_assets.store.urls import application_url
from batch_assets_local import locks, paths
from batch_assets_local.postgres import EmbeddedPostgres
from batch_assets_tests.memory import MEMORY, has_room

SQL = load(
    Path(__file__).with_suffix(".sql"), parts_of=[Path(registry.__file__).with_suffix(".sql")]
)
LIVEDASH_BY_PRISMA = Path(__file__).parent / "store" / "prisma_livedash.sql"

_PREFIX = "batch_assets_test_"
# First halves of two-part advisory locks; the second half is the run.
_ALIVE = 1_946_021_371
_MAKING_TEMPLATE = 1_946_021_372


@contextmanager
def running_server() -> Iterator[str]:
    """A URL that may create databases: TEST_DATABASE_URL, else that of a server of our own."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    # Named after the user, so that nobody else's directory is ever in the way.
    everyone = Path(tempfile.gettempdir()) / f"batch-assets-test-servers-{os.geteuid()}"
    everyone.mkdir(mode=0o700, exist_ok=True)
    with locks.locked(everyone):
        _clear_dead_servers(everyone)
        directory = Path(tempfile.mkdtemp(dir=everyone))
        lock = locks.try_lock(directory / "lock")
    stack = directory / "stack"
    stack.mkdir(mode=0o700)
    server = EmbeddedPostgres(stack, durable=False)
    try:
        server.launch()
        server.wait_ready()
        _leave_tables_alone(server.url("postgres"))
        _keep_in_memory(server.url("postgres"), directory)
        yield server.url("postgres")
    finally:
        _remove(server, directory)
        if lock is not None:
            os.close(lock)


def _leave_tables_alone(url: str) -> None:
    """Else a server looks at each of hundreds of databases, and may analyze one in a test."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum = off")
        connection.execute("SELECT pg_reload_conf()")


def _keep_in_memory(url: str, directory: Path) -> None:
    """Let databases be made in memory, if there is room, in a place that `directory` names."""
    if not has_room():
        return
    place = paths.make_private(MEMORY, f"batch-assets-{directory.name}-", paths.server_account())
    (directory / "in-memory").symlink_to(place)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE TABLESPACE in_memory LOCATION {}").format(sql.Literal(str(place)))
        )
        # Each new database is a copy of this one, or of a copy, and lies where that lies.
        connection.execute("ALTER DATABASE template0 SET TABLESPACE in_memory")


def _clear_dead_servers(everyone: Path) -> None:
    """Remove what killed test sessions left: their locks are free, whatever their server does."""
    for lock_file in everyone.glob("*/lock"):
        lock = locks.try_lock(lock_file)
        if lock is not None:
            _remove(EmbeddedPostgres(lock_file.parent / "stack"), lock_file.parent)
            os.close(lock)


def _remove(server: EmbeddedPostgres, directory: Path) -> None:
    server.stop()
    if (directory / "stack").exists():
        paths.remove(directory / "stack")
    in_memory = directory / "in-memory"
    if in_memory.is_symlink():
        shutil.rmtree(in_memory.readlink())
    shutil.rmtree(directory)


class TestDatabases:
    """Makes and drops the databases of one test run on a server; several workers may share a run.

    While it is open it holds a lock in the run's name; databases of runs without one are dropped.
    """

    __test__ = False

    def __init__(self, admin_url: str, run: int) -> None:
        self._admin_url = make_url(admin_url)
        self._run = run
        self._prefix = _run_prefix(run)
        self._known_templates: set[str] = set()
        self._numbers = itertools.count(1)
        self._worker = secrets.token_hex(3)
        self._admin = psycopg.connect(admin_url, autocommit=True)
        self._admin.execute("SELECT pg_advisory_lock_shared(%s, %s)", [_ALIVE, run])
        self._drop_leftovers()

    def create(self, encoding: str = "UTF8") -> str:
        """The URL of a new and empty database."""
        return self._create(template=None, encoding=encoding)

    def clone_livedash(self) -> str:
        """The URL of a new database with LiveDash's tables as Prisma made them, not migrated."""
        return self._create(template=self._template("livedash"))

    def clone_migrated(self) -> str:
        """The URL of a new database that was empty and was migrated, and that knows its name."""
        url = self._create(template=self._template("migrated"))
        _be_the_only_one(url)
        return url

    def copy(self, url: str) -> str:
        """The URL of a copy of a database, which takes itself for the only one."""
        copy_url = self._create(template=str(make_url(url).database))
        _be_the_only_one(copy_url)
        return copy_url

    def drop(self, url: str) -> None:
        """Drop a database and end whatever is still connected to it."""
        self._drop(str(make_url(url).database))

    def close(self) -> None:
        """Give the lock back; once no worker holds it any more, what is left may be dropped."""
        self._admin.close()

    def drop_run(self) -> None:
        """Drop every database of this run, the templates included."""
        for name in self._names():
            if name.startswith(self._prefix):
                self._drop(name)

    def _create(self, template: str | None, encoding: str = "UTF8") -> str:
        name = f"{self._prefix}{self._worker}_{next(self._numbers)}"
        # A copy of the files needs a checkpoint, but that costs nothing where fsync is off, and
        # less than writing every page of the template to the log.
        strategy = sql.SQL(
            "STRATEGY file_copy" if self._admin.info.server_version >= 150000 else ""
        )
        self._admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING {} {} {}").format(
                sql.Identifier(name),
                sql.Identifier(template or "template0"),
                sql.Literal(encoding),
                # The server's own locale goes with UTF-8 alone.
                sql.SQL("" if encoding == "UTF8" else "LOCALE 'C'"),
                strategy,
            )
        )
        return self._url(name)

    def _template(self, kind: str) -> str:
        """The name of this run's template, made by the first worker that asks for it."""
        name = f"{self._prefix}{kind}"
        if kind in self._known_templates:
            return name
        self._admin.execute("SELECT pg_advisory_lock(%s, %s)", [_MAKING_TEMPLATE, self._run])
        try:
            if name not in self._names():
                made = make_url(self._create(template=None))
                _FILL[kind](made.render_as_string(hide_password=False))
                self._admin.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                        sql.Identifier(str(made.database)), sql.Identifier(name)
                    )
                )
        finally:
            self._admin.execute("SELECT pg_advisory_unlock(%s, %s)", [_MAKING_TEMPLATE, self._run])
        self._known_templates.add(kind)
        return name

    def _url(self, name: str) -> str:
        return self._admin_url.set(database=name).render_as_string(hide_password=False)

    def _names(self) -> list[str]:
        rows = self._admin.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [_PREFIX]
        )
        return [name for (name,) in rows]

    def _drop(self, name: str) -> None:
        self._admin.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def _drop_leftovers(self) -> None:
        rows = self._admin.execute(
            "SELECT objid::bigint FROM pg_locks"
            " WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2",
            [_ALIVE],
        )
        alive = tuple(_run_prefix(run) for (run,) in rows)
        for name in self._names():
            if not name.startswith(alive):
                self._drop(name)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """One transaction on a database, committed at the end."""
    engine = create_engine(application_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def _be_the_only_one(url: str) -> None:
    """Let a copy know its own name, and that it is the only one of its id."""
    # With the driver alone: an engine for one statement would take four times as long.
    with psycopg.connect(url) as connection:
        connection.execute(SQL["be_the_only_one"].text.encode())


def _run_prefix(run: int) -> str:
    return f"{_PREFIX}{run:08x}_"


def _make_livedash(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(LIVEDASH_BY_PRISMA.read_bytes())


_FILL: dict[str, Callable[[str], None]] = {"livedash": _make_livedash, "migrated": upgrade}
