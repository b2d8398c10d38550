"""Calls that create, and synchronous requests: one POST each, and whether it may have acted."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.records import Response
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets_tests.openai_batch.scripted_server import (
    Reply,
    ScriptedServer,
    api_error,
    as_json,
)

ACCOUNT, CAPACITY = FailureKind.ACCOUNT, FailureKind.CAPACITY
INDETERMINATE, PERMANENT = FailureKind.INDETERMINATE, FailureKind.PERMANENT
TRANSIENT = FailureKind.TRANSIENT

HTML = Reply(200, b"<html>CANARY</html>", {"content-type": "text/html"})

OUTCOMES: dict[str, tuple[Reply, FailureKind, str]] = {
    "400": (api_error(400, "invalid_value", "invalid_request_error"), PERMANENT, "invalid_value"),
    "400 without code": (
        api_error(400, None, "invalid_request_error"),
        PERMANENT,
        "invalid_request_error",
    ),
    "400 tokens": (api_error(400, "token_limit_exceeded"), CAPACITY, "token_limit_exceeded"),
    "400 billing": (
        api_error(400, "billing_hard_limit_reached"),
        ACCOUNT,
        "billing_hard_limit_reached",
    ),
    "401": (api_error(401, "invalid_api_key"), ACCOUNT, "invalid_api_key"),
    "402": (api_error(402), ACCOUNT, "http_402"),
    "403": (api_error(403, "unsupported_country"), ACCOUNT, "unsupported_country"),
    "404": (api_error(404, None, "invalid_request_error"), PERMANENT, "not_found"),
    "408": (api_error(408), INDETERMINATE, "http_408"),
    "409": (api_error(409), INDETERMINATE, "http_409"),
    "413": (Reply(413, b"too large"), PERMANENT, "http_413 or upload_too_large"),
    "429": (api_error(429, "rate_limit_exceeded", "tokens"), CAPACITY, "rate_limit_exceeded"),
    "429 unnamed": (Reply(429, b""), CAPACITY, "http_429"),
    "429 spend": (api_error(429, "spend_limit_reached"), CAPACITY, "spend_limit_reached"),
    "429 quota": (api_error(429, None, "insufficient_quota"), ACCOUNT, "insufficient_quota"),
    "500": (api_error(500, None, "server_error"), INDETERMINATE, "server_error"),
    "502 page": (Reply(502, b"<html>bad</html>"), INDETERMINATE, "http_502"),
    "503": (api_error(503, retry_after="3"), INDETERMINATE, "http_503"),
    "asks for a retry": (api_error(500, x_should_retry="true"), INDETERMINATE, "http_500"),
    "redirect": (Reply(307, b"", {"location": "/v1/batches"}), PERMANENT, "http_307"),
    "redirect to GET": (Reply(302, b"", {"location": "/v1/batches"}), PERMANENT, "http_302"),
    "dropped unread": (Reply(drop="unread"), INDETERMINATE, "connection_lost"),
    "dropped unanswered": (Reply(drop="unanswered"), INDETERMINATE, "connection_lost"),
    "answer cut": (Reply(200, b'{"id": "x', length=500), INDETERMINATE, "connection_lost"),
    "page": (HTML, INDETERMINATE, "unreadable_answer"),
    "cut JSON": (Reply(200, b'{"id": "fi'), INDETERMINATE, "unreadable_answer"),
    "no id": (as_json({"object": "batch"}), INDETERMINATE, "unreadable_answer"),
    "empty id": (as_json({"id": ""}), INDETERMINATE, "unreadable_answer"),
    "a list": (as_json([]), INDETERMINATE, "unreadable_answer"),
}

LIVE_OUTCOMES = {
    **{name: OUTCOMES[name] for name in OUTCOMES if name not in {"no id", "empty id"}},
    "404": (api_error(404, "model_not_found"), PERMANENT, "model_not_found"),
    "404 of the place": (
        api_error(404, None, "invalid_request_error"),
        TRANSIENT,
        "invalid_request_error",
    ),
    "405": (Reply(405, b""), TRANSIENT, "http_405"),
    "redirect": (Reply(307, b"", {"location": "/v1/chat"}), TRANSIENT, "http_307"),
    "redirect to GET": (Reply(302, b"", {"location": "/v1/chat"}), TRANSIENT, "http_302"),
}
"""What differs is that nothing is looked up by an id, and what is no fault of the request."""

Creating = Callable[[BatchApi], object]


@pytest.fixture(params=["upload", "create_batch"])
def creating(request: pytest.FixtureRequest, tmp_path: Path) -> Creating:
    path = tmp_path / "input.jsonl"
    path.write_bytes(b'{"custom_id": "1"}\n')
    calls: dict[str, Creating] = {
        "upload": lambda api: api.upload(path, "ours.jsonl"),
        "create_batch": lambda api: api.create_batch("file-1", {"intent": "7"}, 86_400),
    }
    return calls[request.param]


@pytest.mark.parametrize("name", OUTCOMES)
def test_one_post_and_its_meaning(
    name: str, creating: Creating, api: BatchApi, server: ScriptedServer
) -> None:
    reply, kind, code = OUTCOMES[name]
    server.answer(reply)
    with pytest.raises(ApiError) as raised:
        creating(api)
    assert raised.value.failure.kind is kind
    assert raised.value.failure.code in code.split(" or ")
    assert [call.method for call in server.calls] == ["POST"]
    assert "CANARY" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.parametrize("name", LIVE_OUTCOMES)
def test_one_live_post_and_its_meaning(name: str, api: BatchApi, server: ScriptedServer) -> None:
    reply, kind, code = LIVE_OUTCOMES[name]
    server.answer(reply)
    with pytest.raises(ApiError) as raised:
        ask_synchronously(api)
    assert raised.value.failure.kind is kind
    assert raised.value.failure.code in code.split(" or ")
    assert [call.method for call in server.calls] == ["POST"]
    assert "CANARY" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_a_live_answer_is_read_like_that_of_a_row(api: BatchApi, server: ScriptedServer) -> None:
    message = {"content": "Twelve days.", "refusal": None}
    choice = {"message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    server.answer(as_json({"id": "chatcmpl-1", "choices": [choice], "usage": usage}))
    response, failure = ask_synchronously(api)
    assert failure is None
    assert (response.request_id, response.content) == ("chatcmpl-1", "Twelve days.")
    assert response.usage.total_tokens == 10
    (call,) = server.calls
    assert call.headers["x-client-request-id"] == "batch/request"


def ask_synchronously(api: BatchApi) -> tuple[Response, Failure | None]:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "How many days?"}]}
    return api.complete(body, "batch/request")


def test_an_answer_that_comes_too_late(
    creating: Creating, base_url: str, server: ScriptedServer
) -> None:
    server.answer(Reply(200, b'{"id": "batch_1"}', delay=1.0))
    timeouts = Timeouts(create=0.2)
    with BatchApi("sk-x", base_url, timeouts=timeouts) as api, pytest.raises(ApiError) as raised:
        creating(api)
    assert raised.value.failure.kind is INDETERMINATE
    assert raised.value.failure.code == "timeout"
    assert len(server.calls) == 1


def test_an_unreachable_server_is_never_indeterminate(creating: Creating) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with BatchApi("sk-x", f"http://127.0.0.1:{port}/v1") as api, pytest.raises(ApiError) as raised:
        creating(api)
    assert raised.value.failure.kind is TRANSIENT
    assert raised.value.failure.code == "not_connected"


def test_a_connection_that_never_comes_is_never_indeterminate(creating: Creating) -> None:
    # A full backlog of a socket that nobody accepts from: the handshake hangs.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        held = [socket.socket() for _ in range(4)]
        for waiting in held:
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        timeouts = Timeouts(connect=0.2)
        url = f"http://127.0.0.1:{port}/v1"
        with BatchApi("sk-x", url, timeouts=timeouts) as api, pytest.raises(ApiError) as raised:
            creating(api)
        for waiting in held:
            waiting.close()
    assert raised.value.failure.kind is TRANSIENT
    assert raised.value.failure.code == "not_connected"


def test_what_an_upload_sends(api: BatchApi, server: ScriptedServer, tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes('{"custom_id": "ä"}\n'.encode())
    server.answer(as_json({"id": "file-9", "object": "file"}))
    assert api.upload(path, "installation--intent.jsonl") == "file-9"
    (call,) = server.calls
    assert call.path == "/v1/files"
    assert b'filename="installation--intent.jsonl"' in call.body
    assert b'name="purpose"\r\n\r\nbatch' in call.body
    assert path.read_bytes() in call.body
    assert call.length == len(call.body)


def test_an_upload_asks_for_an_end_of_the_file(
    base_url: str, server: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(b'{"custom_id": "1"}\n')
    server.answer(as_json({"id": "file-9", "object": "file"}))
    with BatchApi("sk-x", base_url, input_expires_seconds=604_800) as api:
        assert api.upload(path, "ours.jsonl") == "file-9"
    (call,) = server.calls
    assert b'name="expires_after[anchor]"\r\n\r\ncreated_at' in call.body
    assert b'name="expires_after[seconds]"\r\n\r\n604800' in call.body


@pytest.mark.parametrize("status", [400, 422])
def test_where_no_end_can_be_asked_for_it_is_left_out(
    status: int, base_url: str, server: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(b'{"custom_id": "1"}\n')
    said = "Unknown parameter: 'expires_after'."
    refusal = api_error(status, "unknown_parameter", message=said, param="expires_after")
    server.answer(refusal, as_json({"id": "file-9", "object": "file"}))
    with BatchApi("sk-x", base_url, input_expires_seconds=604_800) as api:
        assert api.upload(path, "ours.jsonl") == "file-9"
        assert api.upload(path, "ours.jsonl") == "file-9"
    assert [b"expires_after" in call.body for call in server.calls] == [True, False, False]
    assert [path.read_bytes() in call.body for call in server.calls] == [True] * 3


def test_a_refusal_for_anything_else_is_one_post(
    base_url: str, server: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(b'{"custom_id": "1"}\n')
    server.answer(api_error(400, "invalid_value", param="purpose"))
    with (
        BatchApi("sk-x", base_url, input_expires_seconds=604_800) as api,
        pytest.raises(ApiError),
    ):
        api.upload(path, "ours.jsonl")
    assert len(server.calls) == 1


def test_what_a_creation_sends(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(as_json({"id": "batch_1", "status": "validating", "metadata": {"intent": "7"}}))
    batch = api.create_batch("file-9", {"intent": "7"}, 86_400)
    assert (batch.id, batch.status, batch.metadata) == ("batch_1", "validating", {"intent": "7"})
    (call,) = server.calls
    assert call.path == "/v1/batches"
    for part in (
        b'"completion_window":"24h"',
        b'"endpoint":"/v1/chat/completions"',
        b'"input_file_id":"file-9"',
        b'"metadata":{"intent":"7"}',
        b'"output_expires_after":{"anchor":"created_at","seconds":86400}',
    ):
        assert part in call.body


def test_an_upload_that_crawls_ends(base_url: str, server: ScriptedServer, tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(b"x" * 1_000_000)
    timeouts = Timeouts(upload=-1.0)
    with BatchApi("sk-x", base_url, timeouts=timeouts) as api, pytest.raises(ApiError) as raised:
        api.upload(path, "slow.jsonl")
    assert raised.value.failure.kind is INDETERMINATE
    assert raised.value.failure.code == "timeout"
    assert len(server.calls) <= 1
