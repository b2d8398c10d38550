"""One plain URL, as LiveDash has it, becomes what each driver needs."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, make_url, text

from batch_assets.domain.errors import ConfigurationError
from batch_assets.store.urls import application_url, dagster_url, describe

PASSWORD = "p@ss:w/ord%25 #?+é"
ENCODED = "p%40ss%3Aw%2Ford%2525%20%23%3F%2B%C3%A9"


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_the_drivers_are_put_in(scheme: str) -> None:
    url = f"{scheme}://anna@db.example:6543/livedash"
    assert application_url(url).drivername == "postgresql+psycopg"
    assert dagster_url(url).startswith("postgresql+psycopg2://anna@db.example:6543/livedash?")


def test_a_password_with_special_characters_survives() -> None:
    url = f"postgresql://anna:{ENCODED}@db.example/livedash"
    assert application_url(url).password == PASSWORD
    assert make_url(dagster_url(url)).password == PASSWORD


def test_prismas_parameters_go_and_libpqs_stay() -> None:
    url = application_url(
        "postgresql://anna@db.example/livedash?schema=public&connection_limit=5&pool_timeout=10"
        "&pgbouncer=true&socket_timeout=5&sslaccept=strict&statement_cache_size=0"
        "&sslmode=verify-full&application_name=livedash&connect_timeout=3"
    )
    assert url.query == {
        "sslmode": "verify-full",
        "application_name": "livedash",
        "connect_timeout": "3",
    }


def test_a_connection_attempt_ends_by_itself() -> None:
    assert application_url("postgresql://db.example/livedash").query == {"connect_timeout": "10"}


def test_ssl_true_still_means_encryption() -> None:
    assert application_url("postgresql://db.example/x?ssl=true").query["sslmode"] == "require"


def test_dagsters_tables_get_their_own_schema(database_url: str) -> None:
    url = make_url(database_url).update_query_dict({"options": "-c work_mem=5MB"})
    engine = create_engine(dagster_url(url.render_as_string(hide_password=False)))
    with engine.connect() as connection:
        path = connection.execute(text("SHOW search_path")).scalar_one()
        memory = connection.execute(text("SHOW work_mem")).scalar_one()
    engine.dispose()
    assert (path, memory) == ("dagster", "5MB")


def test_the_applications_url_connects(database_url: str) -> None:
    url = make_url(database_url).update_query_dict({"schema": "public", "connection_limit": "3"})
    engine = create_engine(application_url(url.render_as_string(hide_password=False)))
    with engine.connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
    engine.dispose()
    assert name == url.database


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "cannot be read"),
        ("livedash", "cannot be read"),
        (f"postgresql://anna:{PASSWORD}@db.example:port/livedash", "cannot be read"),
        ("mysql://anna:secret@db.example/livedash", "must begin with postgresql://"),
        ("postgresql://anna:secret@db.example", "names no database"),
        ("postgresql://anna:secret@db.example/", "names no database"),
        ("postgresql://anna:secret@db.example/x?schema=tenant1", 'the schema "tenant1"'),
    ],
)
def test_what_is_no_url_for_us_is_refused_without_repeating_it(url: str, sentence: str) -> None:
    for reading in (application_url, dagster_url, describe):
        with pytest.raises(ConfigurationError, match=sentence) as refused:
            reading(url)
        assert "secret" not in str(refused.value)
        assert "ss:w" not in str(refused.value)
        assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "described"),
    [
        (
            f"postgres://anna:{ENCODED}@db.example:6543/livedash?sslmode=require",
            'database "livedash" at db.example, port 6543',
        ),
        ("postgresql:///livedash?host=/run/pg", 'database "livedash" at /run/pg, port 5432'),
        ("postgresql://[::1]/livedash", 'database "livedash" at ::1, port 5432'),
    ],
)
def test_a_database_is_described_without_its_password(url: str, described: str) -> None:
    assert describe(url) == described
    assert describe(application_url(url)) == described


def test_every_parameter_that_is_kept_is_one_that_libpq_takes() -> None:
    names = [option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()]
    kept = [name for name in names if name not in {"user", "password", "dbname"}]
    query = "&".join(f"{name}=1" for name in kept)
    url = application_url(f"postgresql://db.example/livedash?{query}")
    assert set(url.query) == set(kept)
    assert set(conninfo_to_dict("", **dict.fromkeys(kept, "1"))) == set(kept)
