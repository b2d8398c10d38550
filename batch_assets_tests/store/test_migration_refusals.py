"""What cannot be migrated is refused in one sentence, and nothing is changed."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import make_url

from batch_assets.domain.errors import (
    BatchAssetsError,
    DatabaseUnavailableError,
    MigrationRefusedError,
    RightMissingError,
)
from batch_assets.store.migrate import current, downgrade, upgrade
from batch_assets.store.migrating.session import refuse_old_server
from batch_assets_tests.catalog import changes, snapshot
from batch_assets_tests.transaction_pooler import transaction_pooler

PASSWORD = "Canary-p@ss/w%rd"


def run_sql(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def refusal(url: str) -> str:
    """The sentence of a refused upgrade, after a look that nothing was changed."""
    before = snapshot(url)
    with pytest.raises(MigrationRefusedError) as refused:
        upgrade(url)
    assert changes(before, snapshot(url)) == set()
    return str(refused.value)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ('DROP TABLE "SessionQuestion"', 'the table "SessionQuestion" is missing'),
        (
            'ALTER TABLE "Session" DROP COLUMN "forwardedHr"',
            'the column "Session"."forwardedHr" is missing',
        ),
        (
            'ALTER TABLE "Session" ALTER "startTime" TYPE timestamp(3)',
            'the column "Session"."startTime" has the type timestamp, not timestamptz',
        ),
        (
            'ALTER TABLE "AIProcessingRequest" ALTER "model" TYPE varchar(40)',
            'the column "AIProcessingRequest"."model" has the type varchar(40), not varchar(100)',
        ),
        (
            'ALTER TABLE "Message" ALTER "order" TYPE bigint',
            'the column "Message"."order" has the type int8, not int4',
        ),
        (
            "ALTER TYPE \"AIBatchRequestStatus\" RENAME VALUE 'UPLOADING' TO 'SENDING'",
            'the enum "AIBatchRequestStatus" lacks the value UPLOADING',
        ),
        ('DROP INDEX "Question_content_key"', '"Question" has no unique index on ("content")'),
    ],
)
def test_a_livedash_that_lacks_what_we_need_is_refused(
    livedash_database_url: str, damage: str, sentence: str
) -> None:
    run_sql(livedash_database_url, damage)
    said = refusal(livedash_database_url)
    assert sentence in said
    assert "Nothing was changed" in said
    assert "\n" not in said


def test_what_is_more_or_wider_than_needed_is_welcome(livedash_database_url: str) -> None:
    run_sql(livedash_database_url, 'ALTER TABLE "Company" ALTER "name" TYPE text')
    run_sql(livedash_database_url, 'ALTER TABLE "AIModel" ALTER "name" TYPE varchar(300)')
    run_sql(livedash_database_url, "ALTER TYPE \"CompanyStatus\" ADD VALUE 'PAUSED'")
    upgrade(livedash_database_url)


def test_a_database_of_something_else_is_refused(empty_database_url: str) -> None:
    run_sql(empty_database_url, "CREATE TABLE invoices (id int)")
    assert 'its schema public holds "invoices"' in refusal(empty_database_url)


def test_a_pooler_in_transaction_mode_is_refused(empty_database_url: str) -> None:
    before = snapshot(empty_database_url)
    with transaction_pooler(empty_database_url) as pooled:
        assert current(pooled) is None
        with pytest.raises(MigrationRefusedError, match="pooler in transaction mode"):
            upgrade(pooled)
    assert changes(before, snapshot(empty_database_url)) == set()


def test_an_old_server_is_refused() -> None:
    refuse_old_server(140000)
    with pytest.raises(MigrationRefusedError, match=r"PostgreSQL 13, but 14 or newer"):
        refuse_old_server(130022)


def test_a_user_without_the_right_is_told_so(empty_database_url: str) -> None:
    url = make_url(empty_database_url).update_query_dict({"options": "-c role=pg_monitor"})
    with pytest.raises(RightMissingError, match="missing: CREATE on database"):
        upgrade(url.render_as_string(hide_password=False))
    assert current(empty_database_url) is None


def test_an_unknown_revision_is_refused(database_url: str) -> None:
    with pytest.raises(MigrationRefusedError, match="'nowhere'"):
        downgrade(database_url, "nowhere")


def test_a_missing_database_is_named(empty_database_url: str) -> None:
    url = make_url(empty_database_url).set(database="no_such_livedash")
    with pytest.raises(DatabaseUnavailableError, match="does not exist on that server"):
        upgrade(url.render_as_string(hide_password=False))


def test_a_wrong_password_is_told_without_it() -> None:
    with server_that_refuses_the_password() as port:
        said = unavailable(port)
    assert said == (
        f'The database "livedash" at 127.0.0.1, port {port} refuses the user name or the '
        "password: check both in DATABASE_URL."
    )


def test_no_server_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    assert unavailable(port) == (
        f'The database "livedash" at 127.0.0.1, port {port} does not answer: start the server, '
        "or check host and port in DATABASE_URL."
    )


def unavailable(port: int) -> str:
    url = make_url("postgresql:///livedash").set(
        username="anna", password=PASSWORD, host="127.0.0.1", port=port
    )
    with pytest.raises(BatchAssetsError) as failed:
        upgrade(url.render_as_string(hide_password=False))
    assert type(failed.value) is DatabaseUnavailableError
    said = str(failed.value)
    assert "anary" not in said
    # A cause would be printed with its traceback.
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
    return said


@contextmanager
def server_that_refuses_the_password() -> Iterator[int]:
    """PostgreSQL's side of a refused login; whatever TEST_DATABASE_URL's server would accept."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        client, _ = listener.accept()
        with client:
            while struct.unpack("!II", client.recv(8, socket.MSG_PEEK))[1] != 3 << 16:
                client.recv(8)
                client.sendall(b"N")
            client.recv(1024)
            client.sendall(b"R" + struct.pack("!II", 8, 3))
            client.recv(1024)
            fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "anna"\0\0'
            client.sendall(b"E" + struct.pack("!I", 4 + len(fields)) + fields)

    answering = threading.Thread(target=refuse)
    answering.start()
    try:
        yield listener.getsockname()[1]
    finally:
        answering.join(timeout=10)
        listener.close()
