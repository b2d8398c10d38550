"""Reading calls: what comes back as records, and what each failure means."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import pytest

from batch_assets.domain.errors import ApiError, ConfigurationError, Failure, FailureKind
from batch_assets.domain.records import BatchErrorLine
from batch_assets.openai_batch import listings
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.listings import ServerClock
from batch_assets_tests.openai_batch.conftest import API_KEY
from batch_assets_tests.openai_batch.scripted_server import (
    Call,
    Reply,
    ScriptedServer,
    api_error,
    as_json,
)

CANARY = "kanarie-7f3a"
NO_RETRY = {"x_should_retry": "false"}

READS: dict[str, Callable[[BatchApi], object]] = {
    "retrieve_batch": lambda api: api.retrieve("batch_1"),
    "cancel_batch": lambda api: api.cancel("batch_1"),
    "list_batches": lambda api: list(api.list_batches()),
    "list_files": lambda api: list(api.list_files()),
    "delete_file": lambda api: api.delete_file("file-1"),
    "download_file": lambda api: list(api.download("file-1")),
    "check_account": lambda api: api.check_account(),
}

FAILURES: list[tuple[Reply, FailureKind, str]] = [
    (api_error(400, "invalid_value"), FailureKind.PERMANENT, "invalid_value"),
    (api_error(401, "invalid_api_key"), FailureKind.ACCOUNT, "invalid_api_key"),
    (api_error(403), FailureKind.ACCOUNT, "http_403"),
    (api_error(409, **NO_RETRY), FailureKind.TRANSIENT, "http_409"),
    (
        api_error(429, "rate_limit_exceeded", **NO_RETRY),
        FailureKind.CAPACITY,
        "rate_limit_exceeded",
    ),
    (api_error(429, "insufficient_quota", **NO_RETRY), FailureKind.ACCOUNT, "insufficient_quota"),
    (api_error(500, None, "server_error", **NO_RETRY), FailureKind.TRANSIENT, "server_error"),
    (Reply(503, b"<p>no</p>", {"x-should-retry": "false"}), FailureKind.TRANSIENT, "http_503"),
]


def failure_of(call: Callable[[], object]) -> Failure:
    with pytest.raises(ApiError) as raised:
        call()
    return raised.value.failure


def limit_of(call: Call) -> str | None:
    """How large a page was asked for."""
    return dict(parse_qsl(urlsplit(call.path).query)).get("limit")


@pytest.fixture
def newcomer(server: ScriptedServer, base_url: str) -> Iterator[BatchApi]:
    """A client that has learned nothing of the server yet."""
    with BatchApi("sk-test-0123456789", base_url) as client:
        yield client


@pytest.mark.parametrize("operation", READS)
def test_each_read_names_its_operation_and_the_kind(
    operation: str, api: BatchApi, server: ScriptedServer
) -> None:
    for reply, kind, code in FAILURES:
        server.answer(reply)
        with pytest.raises(ApiError) as raised:
            READS[operation](api)
        assert raised.value.operation == operation
        assert str(raised.value).startswith(f"{operation}: ")
        expected = (kind, code)
        if operation == "download_file" and reply.status in {400, 403}:
            expected = (FailureKind.PERMANENT, "file_refused")
        assert (raised.value.failure.kind, raised.value.failure.code) == expected
        sizes = 3 if operation == "list_files" and reply.status == 400 else 1
        assert len(server.calls) == sizes


@pytest.mark.parametrize("status", [410, 413, 451])
def test_some_files_are_gone_for_good(status: int, api: BatchApi, server: ScriptedServer) -> None:
    server.answer(Reply(status, b"<p>gone</p>", {}))
    failure = failure_of(lambda: READS["download_file"](api))
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "gone")


@pytest.mark.parametrize("operation", [name for name in READS if name != "delete_file"])
def test_what_is_not_there_is_permanent(
    operation: str, api: BatchApi, server: ScriptedServer
) -> None:
    server.answer(api_error(404, None, "invalid_request_error"))
    failure = failure_of(lambda: READS[operation](api))
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "not_found")


@pytest.mark.parametrize("operation", [name for name in READS if name != "download_file"])
def test_an_answer_that_is_none_changes_nothing(
    operation: str, api: BatchApi, server: ScriptedServer
) -> None:
    for reply in (Reply(200, b"<html>", {"content-type": "text/html"}), as_json("batch_1")):
        server.answer(reply)
        failure = failure_of(lambda: READS[operation](api))
        assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "unreadable_answer")


def test_reads_are_repeated_and_wait_as_they_are_told(
    api: BatchApi, server: ScriptedServer
) -> None:
    server.answer(
        api_error(429, "rate_limit_exceeded", retry_after_ms="30"),
        api_error(503, retry_after_ms="20"),
        as_json({"id": "batch_1", "status": "in_progress"}),
    )
    assert api.retrieve("batch_1").status == "in_progress"
    assert len(server.calls) == 3


def test_reads_give_up_after_three_attempts(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(api_error(500, retry_after_ms="1"))
    failure = failure_of(lambda: api.retrieve("batch_1"))
    assert failure.kind is FailureKind.TRANSIENT
    assert len(server.calls) == 3


def test_lost_and_late_answers_to_a_read_may_pass(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(Reply(drop="unanswered"), as_json({"id": "batch_1", "status": "completed"}))
    assert api.retrieve("batch_1").status == "completed"
    server.answer(Reply(drop="unanswered"))
    assert failure_of(lambda: api.retrieve("batch_1")).code == "connection_lost"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "7.5"}, 7.5),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0.0),
        ({"retry_after": "99999999"}, 86_400.0),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(
    headers: dict[str, str], seconds: float | None, api: BatchApi, server: ScriptedServer
) -> None:
    server.answer(api_error(429, **NO_RETRY, **headers))
    assert failure_of(lambda: api.retrieve("batch_1")).retry_after_seconds == seconds


def test_retry_after_as_a_date(api: BatchApi, server: ScriptedServer) -> None:
    then = datetime.fromtimestamp(time.time() + 60, UTC)
    server.answer(api_error(429, **NO_RETRY, retry_after=format_datetime(then, usegmt=True)))
    seconds = failure_of(lambda: api.retrieve("batch_1")).retry_after_seconds
    assert seconds is not None
    assert 50 < seconds <= 60


def test_a_reason_holds_names_and_numbers_only(
    api: BatchApi, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer(
        api_error(
            400,
            "invalid_value",
            message=f"{CANARY} sk-test-0123456789",
            param="messages[0].content",
            x_request_id="req_12ab",
        )
    )
    with pytest.raises(ApiError) as raised:
        api.create_batch("file-1", {"note": CANARY}, 3600)
    assert str(raised.value) == (
        "create_batch: the server refuses this (HTTP 400, code invalid_value, "
        "parameter messages[0].content, request id req_12ab)"
    )
    server.answer(api_error(400, f"{CANARY} !", param=f"{CANARY} ?", x_request_id="a b"))
    assert "(HTTP 400)" in failure_of(lambda: api.retrieve("b")).reason
    server.answer(api_error(401, "sk-test-0123456789"))
    assert failure_of(lambda: api.retrieve("b")).code == "http_401"
    logged = caplog.text
    assert "POST" in logged
    assert CANARY not in logged
    assert "sk-test" not in logged


def test_a_full_batch_becomes_a_record(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(
        as_json(
            {
                "id": "batch_1",
                "status": "failed",
                "input_file_id": "file-1",
                "output_file_id": "file-2",
                "error_file_id": "file-3",
                "created_at": 1_700_000_000,
                "metadata": {"intent": "7"},
                "request_counts": {"total": 3, "completed": 1, "failed": 2},
                "errors": {
                    "object": "list",
                    "data": [
                        {"code": "invalid_json_line", "line": 2, "message": CANARY},
                        {"code": "token_limit_exceeded", "line": None},
                        {"message": CANARY},
                        {"code": "invalid_request", "param": "file_id"},
                    ],
                },
            }
        )
    )
    batch = api.retrieve("batch_1")
    assert (batch.input_file_id, batch.output_file_id, batch.error_file_id) == (
        "file-1",
        "file-2",
        "file-3",
    )
    assert batch.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert batch.metadata == {"intent": "7"}
    assert (batch.total, batch.completed, batch.failed) == (3, 1, 2)
    assert batch.errors == (
        BatchErrorLine("invalid_json_line", 2),
        BatchErrorLine("token_limit_exceeded"),
        BatchErrorLine("unknown_error"),
        BatchErrorLine("input_file_not_found"),
    )


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"output_file_id": "", "error_file_id": "", "metadata": None, "request_counts": None},
        {"errors": None, "created_at": None, "endpoint": None},
        {"errors": {}, "request_counts": {"total": None, "completed": -1}, "created_at": 1e30},
        {"errors": {"data": [None, "x"]}, "metadata": {"a": None}, "output_file_id": 7},
    ],
)
def test_a_sparse_batch_becomes_a_record(
    odd: dict[str, Any], api: BatchApi, server: ScriptedServer
) -> None:
    server.answer(as_json({"id": "batch_1", "status": "sleeping", **odd}))
    batch = api.retrieve("batch_1")
    assert batch.status == "sleeping"
    assert (batch.output_file_id, batch.error_file_id, batch.created_at) == (None, None, None)
    assert (batch.total, batch.completed, batch.failed) == (0, 0, 0)
    assert (batch.metadata, batch.errors) == ({}, ())


def page(ids: list[int], **more: bool) -> Reply:
    data = [{"id": f"batch_{number}", "created_at": number, "status": "x"} for number in ids]
    return as_json({"object": "list", "data": data, **more})


def test_listing_follows_the_cursor(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(
        page([9, 8], has_more=True), page([7, 6], has_more=True), page([5], has_more=False)
    )
    assert [batch.id for batch in api.list_batches()] == [f"batch_{n}" for n in (9, 8, 7, 6, 5)]
    assert [call.path for call in server.calls] == [
        "/v1/batches?limit=100",
        "/v1/batches?limit=100&after=batch_8",
        "/v1/batches?limit=100&after=batch_6",
    ]


def test_listing_stops_at_what_is_older(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(page([9, 8, 7, 6], has_more=True))
    found = api.list_batches(created_after=datetime.fromtimestamp(7, UTC))
    assert [batch.id for batch in found] == ["batch_9", "batch_8", "batch_7"]
    assert len(server.calls) == 1


def test_listing_asks_for_no_page_that_is_not_needed(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(page([9, 8], has_more=True))
    assert [batch.id for batch in islice(api.list_batches(), 2)] == ["batch_9", "batch_8"]
    assert len(server.calls) == 1


def test_a_server_that_ignores_cursors_has_one_page(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(page([9, 8]))
    assert len(list(api.list_batches())) == 2


def test_a_listing_without_end_is_no_answer(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(page([9, 8], has_more=True))
    failure = failure_of(lambda: list(api.list_batches()))
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "endless_listing")
    assert len(server.calls) == 2


def test_a_listing_that_breaks_off_raises(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(page([9, 8], has_more=True), api_error(500, **NO_RETRY))
    found = api.list_batches()
    assert [next(found).id, next(found).id] == ["batch_9", "batch_8"]
    assert failure_of(lambda: next(found)).kind is FailureKind.TRANSIENT


def test_files_become_records(api: BatchApi, server: ScriptedServer) -> None:
    file = {"id": "file-1", "filename": "ours.jsonl", "created_at": 1_700_000_000, "bytes": 12}
    server.answer(as_json({"data": [file, {**file, "id": "file-2", "created_at": 3}]}))
    (found,) = api.list_files(created_after=datetime.fromtimestamp(400, UTC))
    assert (found.id, found.name, found.bytes) == ("file-1", "ours.jsonl", 12)
    assert found.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert "purpose=batch" in server.calls[0].path


def test_deleting(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(as_json({"id": "file-1", "deleted": True}))
    assert api.delete_file("file-1") is True
    assert server.methods == ["DELETE /v1/files/file-1"]
    server.answer(Reply(204, b"", {}))
    assert api.delete_file("file-1") is True
    server.answer(api_error(404, None, "invalid_request_error"))
    assert api.delete_file("file-1") is False
    for nobodys in (Reply(404, b"<p>no</p>", {}), as_json({"detail": "Not Found"}, 404)):
        server.answer(nobodys)
        failure = failure_of(lambda: api.delete_file("file-1"))
        assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "not_the_api")
    server.answer(as_json({"id": "file-1", "deleted": False}))
    assert failure_of(lambda: api.delete_file("file-1")).code == "not_deleted"


def test_cancelling(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(as_json({"id": "batch_1", "status": "cancelling"}))
    assert api.cancel("batch_1").status == "cancelling"
    assert server.methods == ["POST /v1/batches/batch_1/cancel"]


def test_an_id_is_one_part_of_a_path(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(as_json({"id": "file-1", "bytes": 7}))
    assert api.file_bytes("a/b?c#d%2F:e") == 7
    assert [call.path for call in server.calls] == ["/v1/files/a%2Fb%3Fc%23d%252F:e"]
    for none in ("", ".", ".."):
        with pytest.raises(ApiError):
            api.file_bytes(none)
    assert len(server.calls) == 1


def test_an_answer_is_read_in_the_encoding_that_it_names(
    api: BatchApi, server: ScriptedServer
) -> None:
    body = '{"id": "batch_1", "status": "failed", "metadata": {"ours": "é"}}'
    for charset in ("utf-8", "latin-1"):
        headers = {"content-type": f"application/json; charset={charset}"}
        server.answer(Reply(200, body.encode(charset), headers))
        assert api.retrieve("batch_1").metadata == {"ours": "é"}


def test_no_call_tells_of_this_machine(
    api: BatchApi, server: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(b"{}\n")
    server.answer(as_json({"id": "x", "status": "validating", "deleted": True}))
    api.upload(path, "ours.jsonl")
    api.create_batch("file-1", {}, 86_400)
    api.file_bytes("file-1")
    api.delete_file("file-1")
    list(api.download("file-1"))
    assert len(server.calls) == 5
    for call in server.calls:
        headers = {name.lower(): value for name, value in call.headers.items()}
        assert not {name for name in headers if name.startswith("x-stainless-")}
        assert headers["authorization"] == f"Bearer {API_KEY}"
        assert headers["user-agent"].startswith("OpenAI/Python ")


def test_check_account_is_one_call(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(page([], has_more=False))
    api.check_account()
    assert [call.path for call in server.calls] == ["/v1/batches?limit=1"]


def test_a_proxy_of_the_environment_is_not_for_this_machine(
    base_url: str, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.answer(as_json({"id": "batch_1", "status": "completed"}))
    with BatchApi("sk-x", base_url) as api:
        assert api.retrieve("batch_1").status == "completed"


def test_a_closed_client_connects_again(base_url: str, server: ScriptedServer) -> None:
    server.answer(as_json({"id": "batch_1", "status": "completed"}))
    api = BatchApi("sk-x", base_url)
    for _ in range(2):
        assert api.retrieve("batch_1").id == "batch_1"
        api.close()


@pytest.mark.parametrize("key", ["", "sk x", "sk-x\n", "sk-é", "sk-\x7f"])
def test_a_key_that_cannot_be_one_is_refused_unquoted(key: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as raised:
        BatchApi(key)
    assert not key or key not in str(raised.value)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://a/v1", "http://", "http://[x/v1"])
def test_a_url_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL"):
        BatchApi("sk-x", url)


def test_a_list_is_left_early_only_where_it_was_seen_to_be_newest_first(
    api: BatchApi, server: ScriptedServer
) -> None:
    since = datetime.fromtimestamp(7, UTC)
    server.answer(
        page([5, 6], has_more=True), page([7, 9], has_more=True), page([8, 3], has_more=False)
    )
    assert [batch.id for batch in api.list_batches(created_after=since)] == [
        "batch_7",
        "batch_9",
        "batch_8",
    ]
    server.answer(page([9], has_more=True), page([3], has_more=True))
    assert [batch.id for batch in api.list_batches(created_after=since)] == ["batch_9"]
    assert len(server.calls) == 2


def test_items_without_a_date_are_never_left_out(api: BatchApi, server: ScriptedServer) -> None:
    data = [{"id": "a"}, {"id": "b", "created_at": "some day"}, {"id": "c", "created_at": 3}]
    server.answer(as_json({"data": data, "has_more": False}))
    since = datetime.fromtimestamp(7, UTC)
    assert [batch.id for batch in api.list_batches(created_after=since)] == ["a", "b"]
    assert [file.id for file in api.list_files(created_after=since)] == ["a", "b"]


@pytest.mark.parametrize("minutes", [15, -15])
def test_what_is_older_is_told_by_the_servers_clock(
    minutes: int, api: BatchApi, server: ScriptedServer
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    theirs = now + timedelta(minutes=minutes)
    made = theirs - timedelta(minutes=2)
    item = {"id": "batch_1", "created_at": int(made.timestamp()), "status": "x"}
    said = Reply(
        body=json.dumps({"data": [item], "has_more": False}).encode(),
        headers={"date": format_datetime(theirs, usegmt=True)},
        has_date=False,
    )
    server.answer(said)
    found = api.list_batches(created_after=now - timedelta(minutes=3))
    assert [batch.id for batch in found] == ["batch_1"]
    assert abs(api.clock_ahead - timedelta(minutes=minutes)) < timedelta(seconds=5)
    server.answer(said)
    assert list(api.list_batches(created_after=now - timedelta(minutes=1))) == []


class AtNoon(datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 3, 2, 12, 0, 0, 500_000, tz)


@pytest.mark.parametrize("seconds", [1, 0, -1])
def test_a_second_is_no_difference_between_clocks(
    seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dates are whole seconds, and servers on uvicorn say the same one for as long."""
    clock = ServerClock()
    clock.note(datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1))
    assert clock.ahead < timedelta(minutes=-59)
    monkeypatch.setattr(listings, "datetime", AtNoon)
    clock.note(AtNoon.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds))
    assert clock.ahead == timedelta(0)


def test_an_account_is_told_from_others_and_tells_nothing() -> None:
    one, same = BatchApi("sk-a", "http://127.0.0.1:9/v1"), BatchApi("sk-a", "http://127.0.0.1:9/v1")
    assert one.account == same.account
    assert one.account != BatchApi("sk-b", "http://127.0.0.1:9/v1").account
    assert one.account != BatchApi("sk-a", "http://127.0.0.1:8/v1").account
    assert len(one.account) == 12


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, FailureKind.PERMANENT, "internal_server_error"),
        (401, FailureKind.ACCOUNT, "internal_server_error"),
        (404, FailureKind.PERMANENT, "not_found"),
        (422, FailureKind.PERMANENT, "internal_server_error"),
        (429, FailureKind.CAPACITY, "internal_server_error"),
        (500, FailureKind.TRANSIENT, "internal_server_error"),
    ],
)
def test_what_a_gateway_calls_its_own_error_is_judged_by_its_status(
    status: int, kind: FailureKind, code: str, api: BatchApi, server: ScriptedServer
) -> None:
    """LiteLLM says of all that the server behind it refuses that it has failed itself."""
    server.answer(api_error(status, str(status), "internal_server_error", **NO_RETRY))
    failure = failure_of(lambda: api.retrieve("batch_1"))
    assert (failure.kind, failure.code) == (kind, code)


TOO_LARGE = {
    "openai": api_error(400, "invalid", param="limit"),
    "aibrix": api_error(400, "invalid_request_error"),
    "fastapi": as_json({"detail": [{"loc": ["query", "limit"], "msg": "too large"}]}, status=422),
}
"""How servers refuse a page of 1,000 files: some name the parameter, some say it in prose alone."""


@pytest.mark.parametrize("refusal", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_page_that_is_too_large_for_the_server_is_made_smaller(
    refusal: Reply, newcomer: BatchApi, server: ScriptedServer
) -> None:
    file = {"id": "file-1", "filename": "ours.jsonl", "created_at": 1}
    server.answer(refusal, as_json({"data": [file]}), as_json({"data": []}))
    assert [one.id for one in newcomer.files_page().items] == ["file-1"]
    newcomer.files_page("file-1")
    assert [limit_of(call) for call in server.calls] == ["1000", "100", "100"]


def test_a_list_that_takes_no_size_is_asked_for_without(
    newcomer: BatchApi, server: ScriptedServer
) -> None:
    server.answer(*[api_error(400, "invalid")] * 2, as_json({"data": []}), as_json({"data": []}))
    newcomer.files_page()
    newcomer.files_page()
    assert [limit_of(call) for call in server.calls] == ["1000", "100", None, None]


def test_what_is_refused_at_any_size_was_not_refused_for_it(
    newcomer: BatchApi, server: ScriptedServer
) -> None:
    server.answer(*[api_error(400, "invalid")] * 3, as_json({"data": []}))
    assert failure_of(lambda: newcomer.files_page("file-gone")).kind is FailureKind.PERMANENT
    newcomer.files_page()
    assert limit_of(server.calls[-1]) == "1000"


@pytest.mark.parametrize("status", [405, 501])
def test_a_call_that_a_server_does_not_have_is_told_from_one_that_fails(
    status: int, api: BatchApi, server: ScriptedServer
) -> None:
    server.answer(api_error(status, "whatever", **NO_RETRY))
    failure = failure_of(api.files_page)
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "unsupported")
