"""One plain URL, as LiveDash has it, becomes what each driver needs."""

import ssl
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, make_url, text

from batch_assets.domain.errors import ConfigurationError
from batch_assets.store.connection_settings import KEEPALIVES
from batch_assets.store.urls import application_url, dagster_url, describe

PASSWORD = "p@ss:w/ord%25 #?+é"
SYSTEM = ssl.get_default_verify_paths().cafile or "system"
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
        "&pgbouncer=true&socket_timeout=5&statement_cache_size=0&max_connection_lifetime=9"
        "&max_idle_connection_lifetime=9&uselibpqcompat=true&statement_timeout=1"
        "&sslmode=verify-full&application_name=livedash&connect_timeout=3"
    )
    assert url.query == {
        **KEEPALIVES,
        "sslmode": "verify-full",
        "application_name": "livedash",
        "connect_timeout": "3",
        "client_encoding": "utf8",
    }


def test_a_url_may_have_keepalives_of_its_own() -> None:
    given = "postgresql://db.example/livedash?keepalives_idle=7&tcp_user_timeout=9000"
    for url in (application_url(given), make_url(dagster_url(given))):
        own = {"keepalives_idle": "7", "tcp_user_timeout": "9000"}
        assert {name: url.query[name] for name in KEEPALIVES} == {**KEEPALIVES, **own}


def test_a_connection_attempt_ends_by_itself() -> None:
    assert application_url("postgresql://db.example/x").query["connect_timeout"] == "10"


@pytest.mark.parametrize(
    ("given", "tls"),
    [
        ("ssl=true", {"sslmode": "require"}),
        ("ssl=0", {"sslmode": "disable"}),
        ("sslmode=no-verify", {"sslmode": "require"}),
        ("sslmode=require", {"sslmode": "require"}),
        (
            "sslmode=require&sslcert=/etc/ca.crt",
            {"sslmode": "verify-ca", "sslrootcert": "/etc/ca.crt"},
        ),
        (
            "sslcert=/etc/ca.crt&sslaccept=strict",
            {"sslmode": "verify-full", "sslrootcert": "/etc/ca.crt"},
        ),
        ("sslaccept=strict", {"sslmode": "verify-full", "sslrootcert": SYSTEM}),
        ("sslaccept=banana", {"sslmode": "verify-full", "sslrootcert": SYSTEM}),
        ("sslrootcert=system&sslmode=require", {"sslmode": "verify-full", "sslrootcert": SYSTEM}),
        ("sslmode=&sslcert=&ssl=", {}),
        ("ssl=no-verify&sslaccept=accept_invalid_certs", {"sslmode": "require"}),
        ("ssl=true&sslmode=disable", {"sslmode": "disable"}),
        (
            "sslmode=require&sslcert=/etc/ca.crt&sslaccept=accept_invalid_certs",
            {"sslmode": "require"},
        ),
        (
            "sslmode=require&sslcert=/etc/me.crt&sslkey=/etc/me.key",
            {"sslmode": "require", "sslcert": "/etc/me.crt", "sslkey": "/etc/me.key"},
        ),
        ("sslmode=disable&sslaccept=strict", {"sslmode": "disable"}),
    ],
)
def test_encryption_in_the_words_of_prisma_and_of_node(given: str, tls: dict[str, str]) -> None:
    query = dict(application_url(f"postgresql://a@db.example/x?{given}").query)
    assert {name: value for name, value in query.items() if name.startswith("ssl")} == tls


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgresql://a:p@ss@db.example/x", {"user": "a", "password": "p@ss"}),
        ("postgresql://a:50%@db.example/x", {"user": "a", "password": "50%"}),
        ("POSTGRES://a:p@db.example:/x", {"host": "db.example", "password": "p"}),
        ("postgresql://db.example/x?user=a&password=p%40s", {"user": "a", "password": "p@s"}),
        ("postgresql://a@%2Frun%2Fpg/x", {"host": "/run/pg"}),
        ("postgresql://a@localhost:6543/x?host=/run/pg", {"host": "/run/pg", "port": "6543"}),
        ("postgresql://a@[::1]:6543/x", {"host": "::1", "port": 6543}),
        (
            "postgresql://a@one:1111,two/x",
            {"host": "one,two", "port": "1111,", "target_session_attrs": "primary"},
        ),
    ],
)
def test_what_prisma_node_and_libpq_accept_is_understood(
    url: str, parts: dict[str, object]
) -> None:
    for parsed in (application_url(url), make_url(dagster_url(url))):
        _, given = parsed.get_dialect()().create_connect_args(parsed)
        assert {name: given[name] for name in parts} == parts
    again = application_url(url).render_as_string(hide_password=False)
    assert application_url(again) == application_url(url), "what was made of it can be read, too"


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
        ("postgresql://anna:secret@db.example/x?schema=tenant1", "schema= of another name"),
        ("postgresql://anna@db.example/x?password=QAZ&schema=secret", "schema= of another name"),
        ("postgresql://anna@db.example/x?password=QAZ&host=secret", "behind the"),
        ("postgresql://anna@db.example/x?password=QAZ&port=secret", "behind the"),
        ("postgresql://anna:secret", "names no database"),
        ("postgresql://anna:secret/x", "names no user before its host and port"),
        ("postgresql://127.0.0.1:1/x?user=anna&password=secret", "names no user before its host"),
        ("postgresql://anna:secret@db.example/x?application_name=a@b", r"and behind the \?, wri"),
        ("postgresql://anna:se/cret@db.example/x", "cannot be read"),
        ("postgresql://anna:secret%FF@db.example/x", "cannot be read"),
        ("postgresql://anna:secret%00@db.example/x", "cannot be read"),
        ("postgresql://anna:secret@db.example/x?password=secret2", "two of password"),
        ("postgresql://anna@db.example/x?sslidentity=a.p12&sslpassword=secret", "sslidentity"),
        ("postgresql://anna@db.example/x?ssl=secret", "ssl= that is none of true"),
        ("postgresql://anna@db.example/x?sslmode=secret", "sslmode= that is none of disable"),
        ("postgresql://anna@db.example/x?connect_timeout=secret", "connect_timeout= that is no"),
        ("postgresql://anna@db.example/x?sslcert=ca.crt", "a relative path"),
        ("prisma://accelerate.prisma-data.net/?api_key=secret", "Prisma Accelerate's"),
        ("prisma+postgres://localhost:51213/?api_key=secret", "a local Prisma server's"),
        ('"postgresql://anna:secret@db.example/x"', "cannot be read"),
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
    kept = [
        name for name in names if name not in {"user", "password", "dbname", "sslpassword", "host"}
    ]
    query = "&".join(f"{name}=1" for name in kept if name not in {"port", "sslmode"})
    url = application_url(f"postgresql://db.example/livedash?{query}")
    assert set(url.query) == set(kept) - {"port"}
    assert set(conninfo_to_dict("", **dict.fromkeys(kept, "1"))) == set(kept)


# Letters and digits that no sentence and no other part of the URL has.
_PASSWORDS = st.text(st.sampled_from("ÄÖßZQJWVK179!@:/?#&=%+[], "), min_size=4, max_size=12)
_HEAD, _TAIL = "postgresql://anna:", "@db.example:6543/livedash?sslmode=require"


@given(password=_PASSWORDS, raw=st.booleans(), cut=st.tuples(st.integers(0), st.integers(0, 9)))
@settings(max_examples=300, deadline=None)
def test_no_part_of_a_password_is_shown_however_a_url_is_broken(
    password: str, raw: bool, cut: tuple[int, int]
) -> None:
    url = _HEAD + (password if raw else quote(password, safe="")) + _TAIL
    start = cut[0] % len(url)
    broken = url[:start] + url[start + cut[1] :]
    # Where an @ of the password's is the only one left, nothing tells where the password ended.
    assume(not (raw and "@" in password and _TAIL[:3] not in broken))
    for reading in (application_url, dagster_url, describe):
        try:
            read = reading(broken)
        except ConfigurationError as refused:
            read = str(refused) + repr(refused)
        shown = describe(broken) if reading is not describe and _is_read(broken) else str(read)
        for at in range(len(password) - 3):
            assert password[at : at + 4] not in shown


def _is_read(url: str) -> bool:
    try:
        return bool(application_url(url))
    except ConfigurationError:
        return False
