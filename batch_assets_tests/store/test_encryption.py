"""TLS as a URL asks for it, with certificates that are to be trusted and others that are not."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, NullPool, create_engine, text

from batch_assets.domain.errors import DatabaseUnavailableError
from batch_assets.store.dagster_schema import require_dagster_schema
from batch_assets.store.migrate import current
from batch_assets.store.urls import application_url, dagster_url
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.openai_batch import certificates
from batch_assets_tests.tls_relay import tls_relay

PASSWORD = "canary-password"
AUTHORITY, STRANGER, EMPTY = "authority.pem", "stranger.pem", "empty.pem"
STRICT = "sslcert=@authority.pem&sslaccept=strict"
UNTRUSTED = "a certificate that cannot be trusted"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of certificates; the server's own is its authority's, too."""
    directory = tmp_path_factory.mktemp("certificates")
    (directory / AUTHORITY).write_text(certificates.GOOD, encoding="ascii")
    (directory / STRANGER).write_text(certificates.STRANGER, encoding="ascii")
    (directory / EMPTY).write_text("", encoding="ascii")
    (directory / "key.pem").write_text(certificates.KEY, encoding="ascii")
    (directory / "key.pem").chmod(0o644)
    return directory


@pytest.fixture(scope="module")
def database(databases: TestDatabases) -> Iterator[str]:
    url = databases.create()
    yield url
    databases.drop(url)


@pytest.fixture(scope="module", params=["GOOD"])
def server(
    request: pytest.FixtureRequest, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[URL]:
    """The database behind the certificate of that name."""
    shown = certificates.written(
        getattr(certificates, request.param), tmp_path_factory.mktemp("server")
    )
    with tls_relay(database, shown) as url:
        yield url.set(password=PASSWORD)


def asked(url: URL, query: str, place: Path) -> str:
    """The server's URL with a query, in which `@` is the directory of the certificates."""
    given = url.render_as_string(hide_password=False)
    return f"{given}?{query.replace('@', f'{place}/')}"


def encryption(url: str) -> list[bool]:
    """Whether the application's connections are encrypted, and Dagster's."""
    found = []
    for parsed in (application_url(url), dagster_url(url)):
        engine = create_engine(parsed, poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            raw = connection.connection.driver_connection
            assert raw is not None
            info = raw.pgconn if hasattr(raw, "pgconn") else raw.info
            found.append(bool(info.ssl_in_use))
    return found


def refusals(url: str) -> Iterator[str]:
    """What is said of a URL that cannot be used: by commands, and by Dagster's storage."""
    for use in (current, require_dagster_schema):
        with pytest.raises(DatabaseUnavailableError) as refused:
            use(url)
        said = str(refused.value)
        assert PASSWORD not in said
        assert "127.0.0.1" in said or "localhost" in said
        assert refused.value.__cause__ is None
        yield said


@pytest.mark.parametrize(
    ("query", "is_encrypted"),
    [
        ("", True),
        ("sslmode=disable", False),
        ("sslmode=require", True),
        ("sslmode=no-verify", True),
        ("ssl=true", True),
        ("sslcert=@authority.pem", True),
        ("sslmode=require&sslcert=@authority.pem&sslaccept=strict", True),
        ("sslmode=verify-full&sslrootcert=@authority.pem", True),
        ("sslcert=@stranger.pem&sslaccept=accept_invalid_certs", True),
        ("sslmode=disable&sslcert=@stranger.pem&sslaccept=strict", False),
    ],
)
def test_a_server_that_is_to_be_trusted(
    server: URL, place: Path, query: str, *, is_encrypted: bool
) -> None:
    assert encryption(asked(server, query, place)) == [is_encrypted, is_encrypted]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("sslcert=@stranger.pem", UNTRUSTED),
        ("sslmode=require&sslcert=@stranger.pem&sslaccept=strict", UNTRUSTED),
        ("sslmode=verify-full&sslrootcert=@stranger.pem", UNTRUSTED),
        ("sslmode=require&sslcert=@nowhere.pem", "as sslrootcert= in DATABASE_URL"),
        ("sslmode=require&sslcert=@empty.pem", "as sslrootcert= in DATABASE_URL"),
        ("sslmode=verify-full", "or sslrootcert=system"),
        ("sslmode=require&sslcert=@authority.pem&sslkey=@nowhere.pem", "check sslkey"),
        ("sslmode=require&sslcert=@authority.pem&sslkey=@key.pem", "check sslkey"),
        ("channel_binding=canary-password", "with this channel_binding= in"),
        ("keepalives=canary-password", "with this keepalives= in"),
        ("ssl_min_protocol_version=canary-password", "with this ssl_min_protocol_version= in"),
        ("service=canary-password", "check service="),
        ("options=canary-password", "correct options="),
    ],
)
def test_what_cannot_be_used_is_named(
    server: URL, place: Path, query: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else the developer's own root.crt would count.
    monkeypatch.setenv("PGSSLROOTCERT", str(place / "nowhere.pem"))
    for said in refusals(asked(server, query, place)):
        assert sentence in said


def test_a_certificate_of_another_name(server: URL, place: Path) -> None:
    by_name = server.set(host="localhost")
    assert encryption(asked(by_name, "sslcert=@authority.pem", place)) == [True, True]
    for query in ("sslmode=verify-full&sslrootcert=@authority.pem", STRICT):
        for said in refusals(asked(by_name, query, place)):
            assert "a certificate of another name" in said


@pytest.mark.parametrize("server", ["EXPIRED", "EARLY"], indirect=True)
def test_a_certificate_that_has_run_out_or_does_not_count_yet(server: URL, place: Path) -> None:
    for said in refusals(asked(server, STRICT, place)):
        assert UNTRUSTED in said
    assert encryption(asked(server, "sslmode=require", place)) == [True, True]


@pytest.mark.parametrize("query", ["sslaccept=strict", "sslrootcert=system"])
def test_this_machines_authorities_are_asked(
    server: URL, place: Path, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    paths = ssl.get_default_verify_paths()
    assert application_url(asked(server, query, place)).query["sslrootcert"] == (
        paths.cafile or "system"
    )
    for said in refusals(asked(server, query, place)):
        assert UNTRUSTED in said
    monkeypatch.setenv("SSL_CERT_FILE", str(place / AUTHORITY))
    assert encryption(asked(server, query, place)) == [True, True]


def test_a_server_without_tls(database: str, place: Path) -> None:
    with tls_relay(database, None) as url:
        plain = url.set(password=PASSWORD)
        assert encryption(asked(plain, "sslmode=prefer", place)) == [False, False]
        for query in ("sslmode=require", "sslcert=@authority.pem", STRICT):
            for said in refusals(asked(plain, query, place)):
                assert "do not agree on encryption: check sslmode" in said
