"""What a person can put right is one sentence on stderr, with an exit code of its own."""

import errno
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import ProgrammingError

from batch_assets.cli import dagster_instance
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_tests.cli.conftest import KEY, Outcome, Type
from batch_assets_tests.cli.dev_program import free_port
from batch_assets_tests.openai_batch import certificates
from batch_assets_tests.tls_relay import tls_relay

PASSWORD = "canary-password"
SSL_REQUEST = 80877103


def assert_one_sentence(outcome: Outcome, code: int, *parts: str) -> None:
    """One line on stderr that says all of `parts`, and neither a secret nor a stack trace."""
    assert outcome.err.count("\n") == 1, outcome.err
    for part in parts:
        assert part in outcome.err
    assert outcome.err.rstrip().endswith(".")
    for secret in (PASSWORD, KEY, "Traceback"):
        assert secret not in outcome.err + outcome.out
    assert outcome.code == code


@contextmanager
def server_that_refuses_the_password() -> Iterator[int]:
    """A port that speaks PostgreSQL's protocol as far as to refuse a login."""
    fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "u"\0\0'
    refusal = b"E" + struct.pack("!i", 4 + len(fields)) + fields

    def refuse(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while len(start := connection.recv(1024)) >= 8:
                    if struct.unpack("!i", start[4:8])[0] != SSL_REQUEST:
                        connection.sendall(refusal)
                        break
                    connection.sendall(b"N")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=[listener])
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("command", ["status", "plan --dry-run", "migrate", "confirm", "run"])
def test_a_database_that_does_not_answer(typed: Type, command: str) -> None:
    url = f"postgresql://u:{PASSWORD}@127.0.0.1:9/livedash"
    outcome = typed(*command.split(), DATABASE_URL=url, OPENAI_API_KEY=KEY)
    assert_one_sentence(outcome, 3, '"livedash" at 127.0.0.1, port 9', "does not answer")


def test_a_host_that_is_not_there(typed: Type) -> None:
    url = f"postgresql://u:{PASSWORD}@/livedash?host=/nowhere"
    outcome = typed("status", DATABASE_URL=url, OPENAI_API_KEY=KEY)
    assert_one_sentence(outcome, 3, "/nowhere", "check the host in DATABASE_URL")


def test_a_wrong_password(typed: Type) -> None:
    with server_that_refuses_the_password() as port:
        url = f"postgresql://u:{PASSWORD}@127.0.0.1:{port}/livedash"
        outcome = typed("status", DATABASE_URL=url, OPENAI_API_KEY=KEY)
    assert_one_sentence(outcome, 3, f"port {port}", "refuses the user name or the password")


@pytest.mark.parametrize("command", ["status", "migrate", "run"])
def test_a_certificate_that_is_not_trusted(
    typed: Type, livedash_database_url: str, tmp_path: Path, command: str
) -> None:
    shown = certificates.written(certificates.GOOD, tmp_path)
    stranger = tmp_path / "stranger.pem"
    stranger.write_text(certificates.STRANGER, encoding="ascii")
    with tls_relay(livedash_database_url, shown) as url:
        given = url.set(password=PASSWORD).update_query_dict({"sslcert": str(stranger)})
        outcome = typed(
            command,
            DATABASE_URL=given.render_as_string(hide_password=False),
            OPENAI_API_KEY=KEY,
        )
    assert_one_sentence(outcome, 3, "a certificate that cannot be trusted")


def test_missing_migrations(typed: Type, livedash_database_url: str) -> None:
    outcome = typed("status", DATABASE_URL=livedash_database_url, OPENAI_API_KEY=KEY)
    assert_one_sentence(outcome, 4, "run `batch-assets migrate`")


def test_a_database_without_a_key(typed: Type) -> None:
    outcome = typed("status", DATABASE_URL=f"postgresql://u:{PASSWORD}@127.0.0.1/livedash")
    assert_one_sentence(outcome, 2, "OPENAI_API_KEY is missing although DATABASE_URL is set")


def test_a_key_without_a_database(typed: Type) -> None:
    outcome = typed("status", OPENAI_API_KEY=KEY)
    assert_one_sentence(outcome, 2, "DATABASE_URL is missing although OPENAI_API_KEY is set")


@pytest.mark.parametrize("command", ["confirm", "run"])
def test_a_refused_key(
    typed: Type, livedash_database_url: str, api: RunningServer, dagster_home: str, command: str
) -> None:
    configured = {
        "DATABASE_URL": livedash_database_url,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": api.base_url,
        "DAGSTER_HOME": dagster_home,
    }
    assert typed("migrate", **configured).code == 0
    api.set_config(ServerConfig.instant(keys={"refused": [KEY]}))
    outcome = typed(command, **configured)
    assert_one_sentence(outcome, 5, "invalid_api_key", "check OPENAI_API_KEY")


def test_an_api_that_is_not_there(typed: Type, copied_database_url: str) -> None:
    outcome = typed(
        *("confirm", "--copy", "--yes"),
        DATABASE_URL=copied_database_url,
        OPENAI_API_KEY=KEY,
        OPENAI_BASE_URL=f"http://u:{PASSWORD}@127.0.0.1:9/v1",
    )
    assert_one_sentence(outcome, 1, "http://127.0.0.1:9/v1", "check OPENAI_BASE_URL")


def test_a_wrong_value_is_named_with_what_is_allowed(typed: Type) -> None:
    outcome = typed("status", BATCH_MIN_SIZE="ten")
    assert_one_sentence(outcome, 2, "BATCH_MIN_SIZE is 'ten'", "a whole number from 1 to 50,000")


@pytest.mark.parametrize(
    ("command", "advice"), [("dev", "make dev PORT="), ("webserver", "another one with --port")]
)
def test_a_port_in_use_is_told_before_anything_starts(
    typed: Type, command: str, advice: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = typed(command, "-p", str(port))
    assert_one_sentence(outcome, 2, f"Port {port} of 127.0.0.1 is in use", advice)
    assert outcome.out == ""


@pytest.mark.parametrize("host", ["192.0.2.1", "fe80::1", "fe80::1%nowhere", "a" * 70])
def test_a_host_that_is_not_this_machine(typed: Type, host: str) -> None:
    outcome = typed("webserver", "--host", host)
    assert_one_sentence(outcome, 2, f"'{host}' is no address of this machine", "--host")
    assert outcome.out == ""


def test_a_port_that_this_user_may_not_have(typed: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(dagster_instance, "_bind", bind)
    outcome = typed("webserver", "--host", "0.0.0.0", "--port", "80")
    assert_one_sentence(outcome, 2, "may not listen on port 80 of 0.0.0.0", "from 1024 on")


@pytest.mark.parametrize("command", ["status", "migrate", "run", "webserver", "local stop"])
def test_a_dagster_home_that_is_not_absolute(typed: Type, command: str) -> None:
    # There is a dagster.yaml in it: all the same Dagster's own programs would not take it.
    port = ["--port", str(free_port())] if command == "webserver" else []
    outcome = typed(*command.split(), *port, DAGSTER_HOME=".")
    assert_one_sentence(outcome, 2, "DAGSTER_HOME is '.': it must be an absolute path.")


def test_an_unexpected_error_is_a_sentence_too(typed: Type, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE batch_assets.installation")
    configured = {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY}
    outcome = typed("status", **configured)
    assert_one_sentence(outcome, 1, "ProgrammingError", "--traceback")
    assert "installation" not in outcome.err


def test_its_details_can_be_seen(
    typed: Type, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE batch_assets.installation")
    with pytest.raises(ProgrammingError, match=r"batch_assets\.installation"):
        typed("--traceback", "status", DATABASE_URL=database_url, OPENAI_API_KEY=KEY)


def test_a_wrong_option_is_a_usage_error(typed: Type) -> None:
    outcome = typed("plan", "--dryrun")
    assert outcome.code == 2
    assert "--dry-run" in outcome.err
