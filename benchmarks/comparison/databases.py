"""The benchmark's databases: seeded once, cloned for each implementation, counted from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from sqlalchemy import Engine, NullPool, create_engine, make_url

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrate import upgrade
from batch_assets.store.sql import load
from batch_assets.store.urls import application_url
from benchmarks.comparison.seeding import add_wave, know_own_name, seed
from benchmarks.comparison.sizes import Size

APPLICATION = "benchmark_application"
_TEMPLATE = "benchmark_template"
_CLONE = "benchmark_clone"

_SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Counted:
    """What the application's role has asked of the server."""

    statements: int
    """BEGIN, COMMIT and other utility statements included."""
    rows: int
    """Returned, written or copied."""
    bytes: int
    """Of buffers touched, in memory or read: a page that is touched twice counts twice."""
    postgres_cpu_s: float = 0.0
    """Processor time of all of PostgreSQL's processes, whoever they worked for."""


@dataclass(frozen=True, slots=True)
class Clone:
    """A database that holds what was seeded, until something is run on it."""

    url: str = field(repr=False)
    """For the application, whose role owns everything in it."""
    dagster_url: str = field(repr=False)
    """For Dagster, with another role."""
    size: Size

    def add_wave(self, wave: int) -> None:
        """Let as many requests wait again as were seeded."""
        with _engine(self.dagster_url) as engine:
            add_wave(engine, self.size, wave)

    def analysed(self) -> int:
        """How many requests are analysed that were waiting when they were seeded."""
        with _engine(self.dagster_url) as engine, engine.connect() as connection:
            complete: int = connection.execute(_SQL["complete"]).scalar_one()
        return complete - self.size.history

    def open_batches(self) -> str:
        """Which batches are not finished, in words."""
        with _engine(self.dagster_url) as engine, engine.connect() as connection:
            found = [
                f"{row.batches:,} {row.state} with {row.requests:,} requests"
                for row in connection.execute(_SQL["open_batches"])
            ]
        return ", ".join(found) or "none"

    def require_analysed(self, waves: int) -> None:
        """Raise `BatchAssetsError` unless these waves and no others are analysed to the last row.

        What leaves work undone is quick, but nothing to compare with.
        """
        complete = self.analysed()
        if complete != waves * self.size.waiting:
            raise BatchAssetsError(
                f"{complete:,} requests were analysed, and not {waves * self.size.waiting:,}: "
                "what was measured did not do its work."
            )


class Databases:
    """Makes databases on a server of this project, as its superuser; one clone at a time."""

    def __init__(self, admin_url: str) -> None:
        self._url = make_url(admin_url)
        self._do("make_application", "count_statements", "drop_clone", "drop_template")

    @contextmanager
    def seeded(self, size: Size) -> Iterator[None]:
        """Within the context clones hold this much."""
        self._do("make_template")
        try:
            # As the application, so that it owns the tables.
            upgrade(self._named(_TEMPLATE, APPLICATION))
            with _engine(self._named(_TEMPLATE)) as engine:
                seed(engine, size)
            yield
        finally:
            self._do("drop_template")

    @contextmanager
    def clone(self, size: Size) -> Iterator[Clone]:
        """A database of its own, with what was seeded."""
        self._do("make_clone")
        try:
            clone = Clone(self._named(_CLONE, APPLICATION), self._named(_CLONE), size)
            create_dagster_schema(clone.dagster_url)
            with _engine(clone.dagster_url) as engine:
                know_own_name(engine)
            yield clone
        finally:
            self._do("drop_clone")

    @contextmanager
    def counting(self) -> Iterator[list[Counted]]:
        """What the application asks within the context is in the list when it has ended."""
        counted: list[Counted] = []
        before = self._count()[1]
        self._do("forget")
        used = self._postgres_cpu_s()
        yield counted
        used = self._postgres_cpu_s() - used
        asked, forgotten = self._count()
        if forgotten != before:
            raise BatchAssetsError(
                "PostgreSQL has forgotten statements while it counted: raise "
                "pg_stat_statements.max."
            )
        counted.append(replace(asked, postgres_cpu_s=round(used, 2)))

    def _count(self) -> tuple[Counted, int]:
        with _engine(self._named(self._url.database)) as engine, engine.connect() as connection:
            row = connection.execute(_SQL["counted"]).one()
        return Counted(row.statements, row.rows, row.bytes), row.forgotten

    def _postgres_cpu_s(self) -> float:
        with _engine(self._named(self._url.database)) as engine, engine.connect() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            postmaster = psutil.Process(pid).parent()
            if postmaster is None:
                raise BatchAssetsError("PostgreSQL's first process is gone.")
            of_ended = postmaster.cpu_times()
            ended = of_ended.children_user + of_ended.children_system
            return ended + sum(map(_cpu_s, [postmaster, *postmaster.children()]))

    def _do(self, *names: str) -> None:
        with _engine(self._named(self._url.database)) as engine, engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            for name in names:
                alone.execute(_SQL[name])

    def _named(self, database: str | None, role: str | None = None) -> str:
        url = self._url.set(database=database, username=role or self._url.username)
        return url.render_as_string(hide_password=False)


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    # Without prepared statements: one that is dropped and made again would not be found.
    engine = create_engine(
        application_url(url), poolclass=NullPool, connect_args={"prepare_threshold": None}
    )
    try:
        yield engine
    finally:
        engine.dispose()


def _cpu_s(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)
