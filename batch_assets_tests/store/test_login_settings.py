"""A session is ours, whatever a role, a database or the environment says of it."""

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, create_engine, make_url, text

from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.project_files import PROJECT_DIR
from batch_assets.store.connection_settings import (
    SERVER_KEEPALIVES,
    SESSION,
    WITHOUT_LIMITS,
    login_options,
)
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.engine import open_engine, open_engine_for_looks
from batch_assets.store.migrate import current, downgrade, upgrade
from batch_assets.store.plain_engine import open_plain_engine
from batch_assets.store.urls import dagster_url
from batch_assets.ticks.starting import InstanceRuns
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.tls_relay import tls_relay
from batch_assets_tests.transaction_pooler import transaction_pooler

ODD = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Europe/Amsterdam",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "row_security": "on",
    "synchronous_commit": "off",
    "search_path": "trap, public, pg_catalog",
    "statement_timeout": "1",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "transaction_timeout": "100",
}
"""What a role was seen to have, and worse."""

_PATIENT = login_options({**SESSION, **WITHOUT_LIMITS, "transaction_timeout": "0"})

_ASKED = text(
    "SELECT TIMESTAMPTZ '2026-11-30 12:00:00Z', INTERVAL '1 day', ARRAY[NULL, 'a'],"
    " 0.1::float8 + 0.2::float8, CAST(:words AS text)"
)


_LASTING = {
    "array_nulls": "on",
    "lock_timeout": "30s",
    "search_path": "pg_catalog",
    "transaction_isolation": "read committed",
    "transaction_read_only": "off",
}
_AGE = (
    "SELECT extract(epoch FROM now() AT TIME ZONE 'UTC' - create_timestamp)::float8"
    " FROM dagster.runs"
)
_TWO_HOURS_ON = "UPDATE dagster.runs SET create_timestamp = create_timestamp + interval '2 hours'"


def _version_of(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.info.server_version


@pytest.fixture
def odd_url(databases: TestDatabases) -> Iterator[str]:
    """A database whose settings are odd, before its migrations."""
    url = databases.create()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA trap")
        for table in ("Company", "Session", "installation", "runs", "alembic_version"):
            statement = sql.SQL("CREATE TABLE trap.{} (id integer)")
            connection.execute(statement.format(sql.Identifier(table)))
        name = sql.Identifier(str(make_url(url).database))
        for setting, value in ODD.items():
            statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
            listed = sql.SQL(value) if setting == "search_path" else sql.Literal(value)
            connection.execute(statement.format(name, sql.Identifier(setting), listed))
    yield url
    databases.drop(url)


def test_every_engine_has_a_session_of_ours(odd_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # libpq's own variables go before what is given at login.
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGOPTIONS", "-c array_nulls=off")
    engines = [
        open_engine(odd_url),
        open_engine_for_looks(odd_url),
        open_plain_engine(odd_url),
        create_engine(dagster_url(odd_url, _version_of(odd_url))),
    ]
    for engine, path in zip(engines, [*[SESSION["search_path"]] * 3, "dagster"], strict=True):
        assert _settings(engine) == {**SESSION, "search_path": path, "client_encoding": "UTF8"}
        with engine.connect() as connection:
            moment, interval, array, number, words = connection.execute(
                _ASKED, {"words": "Zażółć \\ ' 🌷"}
            ).one()
        assert moment.isoformat() == "2026-11-30T12:00:00+00:00"
        assert interval.days == 1
        assert array == [None, "a"]
        assert number == 0.1 + 0.2
        assert words == "Zażółć \\ ' 🌷"
        engine.dispose()


def test_a_server_that_does_not_know_a_setting_of_later_ones_lets_us_in(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_plain_engine(database_url)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    # As if the address had another, older server by now.
    unknown = {"unheard_of_timeout": "0"}
    monkeypatch.setattr("batch_assets.store.plain_engine.WITHOUT_TRANSACTION_TIMEOUT", unknown)
    monkeypatch.setattr("batch_assets.store.plain_engine.TRANSACTION_TIMEOUT_SINCE", 1_000_000)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW DateStyle")).scalar_one() == "ISO, MDY"
    engine.dispose()


@pytest.mark.parametrize("drops_options", [False, True], ids=["refused", "dropped"])
def test_behind_a_pooler_that_takes_no_settings_a_transaction_has_them(
    odd_url: str, monkeypatch: pytest.MonkeyPatch, *, drops_options: bool
) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGAPPNAME", "batch-assets")
    # These hold until the transaction's first statement has put them right, however slow it is.
    with psycopg.connect(odd_url, autocommit=True, options=_PATIENT) as connection:
        for limit in (setting for setting in ODD if setting.endswith("_timeout")):
            statement = sql.SQL("ALTER DATABASE {} RESET {}")
            name = sql.Identifier(str(make_url(odd_url).database))
            connection.execute(statement.format(name, sql.Identifier(limit)))
    with transaction_pooler(odd_url, drops_options=drops_options) as pooled:
        engine = open_engine(pooled)
        alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        with alone.connect() as connection:
            moment = connection.execute(text("SELECT TIMESTAMPTZ '2026-11-30 12:00Z'")).scalar()
            assert moment is not None
            assert moment.isoformat() == "2026-11-30T12:00:00+00:00"
        with engine.begin() as connection:
            shown = {name: connection.execute(text(f"SHOW {name}")).scalar() for name in _LASTING}
        assert shown == _LASTING, "also what a transaction cannot change any more"
        engine.dispose()


def test_migrations_and_dagsters_storage_are_not_led_astray(
    odd_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    upgrade(odd_url)
    create_dagster_schema(odd_url)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    monkeypatch.setenv("DAGSTER_HOME", str(PROJECT_DIR))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("DATABASE_URL", odd_url)
    engine = open_plain_engine(odd_url)
    with dg.DagsterInstance.get() as instance:
        instance.add_run(dg.DagsterRun(job_name="job"))
        with engine.begin() as connection:
            age = connection.execute(text(_AGE)).scalar_one()
            # As a session in UTC+2 would have kept it.
            connection.execute(text(_TWO_HOURS_ON))
        active = InstanceRuns(instance, "job").active()
    engine.dispose()
    assert abs(age) < 60, "the moment is kept in UTC"
    assert active is not None
    assert active.since <= datetime.now(UTC), "no run began in the future"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_character_is_not_migrated(
    databases: TestDatabases, encoding: str
) -> None:
    url = databases.create(encoding)
    with pytest.raises(MigrationRefusedError, match=f"the encoding {encoding}, which cannot hold"):
        upgrade(url)
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_'")
        assert found.fetchone() == (2,), "public and information_schema, as before"
    assert current(url) is None
    downgrade(url, "base")
    databases.drop(url)


def test_both_ends_notice_that_the_other_host_has_vanished(database_url: str) -> None:
    # What a session was given at login it has as its reset value, over a socket of this host, too.
    asked = text(
        "SELECT s.name, s.reset_val FROM pg_catalog.pg_settings AS s WHERE s.name = ANY(:names)"
    )
    with tls_relay(database_url, None) as relayed:
        url = relayed.render_as_string(hide_password=False)
        for engine in (open_engine(url), open_plain_engine(url), create_engine(dagster_url(url))):
            with engine.connect() as connection:
                found = connection.execute(asked, {"names": list(SERVER_KEEPALIVES)}).all()
                assert dict(tuple(row) for row in found) == SERVER_KEEPALIVES
                driver_connection: Any = connection.connection.driver_connection
                with socket.socket(fileno=os.dup(driver_connection.fileno())) as ours:
                    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
                    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
                    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
                    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
            engine.dispose()


def _settings(engine: Engine) -> dict[str, str]:
    asked = text(
        "SELECT s.name, s.setting FROM pg_catalog.pg_settings AS s WHERE s.name = ANY(:names)"
    )
    with engine.connect() as connection:
        rows = connection.execute(asked, {"names": [*SESSION, "client_encoding"]}).all()
    found = dict(tuple(row) for row in rows)
    return {**found, "DateStyle": found["DateStyle"].partition(",")[0]}
