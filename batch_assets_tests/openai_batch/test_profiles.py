"""What the servers are like: which profile a URL has, and what the client makes of one."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from batch_assets.domain.errors import ApiError, ConfigurationError, FailureKind
from batch_assets.openai_batch.batch_parameters import completion_window
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.profiles import NAMES, PROFILES, profile_of, versioned
from batch_assets.openai_batch.spool import Spool
from batch_assets_tests.openai_batch.conftest import API_KEY
from batch_assets_tests.openai_batch.scripted_server import (
    Call,
    Reply,
    ScriptedServer,
    api_error,
    as_json,
)
from batch_assets_tests.policies import a_policy

WEEK = 7 * 86_400
BATCH = {"id": "batch_1", "object": "batch", "status": "validating", "input_file_id": "file-1"}
FILE = {"id": "file-1", "object": "file", "status": "processed"}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://EU.api.openai.com/v1/", "openai"),
        ("https://acme.openai.azure.com/openai/v1/", "azure"),
        ("https://acme.services.ai.azure.com/openai/v1", "azure"),
        ("https://acme.openai.azure.com", "azure-dated"),
        ("https://acme.openai.azure.com/openai?api-version=2024-10-21", "azure-dated"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.together.xyz/v1", "together"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://127.0.0.1:8000/v1", "compatible"),
        ("https://api.openai.com.example.org/v1", "compatible"),
        ("https://notapi.openai.com/v1", "compatible"),
        ("https://[broken", "compatible"),
        ("", "compatible"),
    ],
)
def test_the_host_says_which_profile_a_server_has(url: str, name: str) -> None:
    assert profile_of(url).name == name


def test_a_profile_can_be_asked_for_by_name() -> None:
    for name in NAMES:
        assert profile_of("https://gateway.example.com/v1", name).name == name
    with pytest.raises(LookupError):
        profile_of("https://api.openai.com/v1", "nobody")


def test_each_profile_has_a_source_and_figures_that_can_be() -> None:
    assert len({profile.name for profile in PROFILES}) == len(PROFILES)
    for profile in PROFILES:
        assert len(profile.source) > 20
        assert "://" not in profile.source
        assert profile.max_requests >= 1_000
        assert profile.max_file_bytes >= 10_000_000
        assert 0 < profile.price_factor <= 1
        assert completion_window(profile.completion_windows, 0) == profile.completion_windows[0]


def test_a_batch_is_no_larger_than_the_server_takes() -> None:
    large = a_policy(max_batch_requests=60_000, max_batch_bytes=150_000_000)
    assert profile_of("", "openai").bound(large).max_batch_requests == 50_000
    assert profile_of("", "together").bound(large).max_batch_bytes == 100_000_000
    small = a_policy(max_batch_requests=10, max_batch_bytes=2_000)
    assert profile_of("", "together").bound(small) == small


@pytest.mark.parametrize(
    ("name", "hours", "window"),
    [
        ("openai", 720, "24h"),
        ("groq", 24, "24h"),
        ("groq", 167, "24h"),
        ("groq", 168, "7d"),
        ("dashscope", 100, "72h"),
        ("dashscope", 720, "336h"),
        ("dashscope", 1, "24h"),
    ],
)
def test_the_longest_window_within_the_time_out_is_asked_for(
    name: str, hours: float, window: str
) -> None:
    offered = profile_of("", name).completion_windows
    assert completion_window(offered, hours * 3_600) == window


@pytest.mark.parametrize(
    ("name", "seconds", "asked"),
    [
        ("openai", WEEK, WEEK),
        ("openai", 60, 3_600),
        ("azure", WEEK, 14 * 86_400),
        ("azure", 90 * 86_400, 30 * 86_400),
        ("groq", WEEK, None),
    ],
)
def test_files_are_asked_to_expire_when_the_server_allows_it(
    name: str, seconds: int, asked: int | None
) -> None:
    assert profile_of("", name).expires_after(seconds) == asked


def test_a_version_is_that_of_the_url_or_the_one_that_is_set() -> None:
    url = "https://acme.openai.azure.com"
    assert versioned(url, "2024-10-21") == f"{url}?api-version=2024-10-21"
    assert versioned(f"{url}?api-version=2025-01-01", "2024-10-21").endswith("=2025-01-01")
    with pytest.raises(ConfigurationError, match="OPENAI_API_VERSION"):
        versioned(url, None)


@pytest.mark.parametrize("rest", ["", "?api-version=", "?other=1", "?api-version=1&x=2", "?x#y"])
def test_a_dated_api_needs_a_version_and_nothing_else_in_its_url(rest: str) -> None:
    url = f"https://acme.openai.azure.com{rest}"
    with pytest.raises(ConfigurationError, match="OPENAI_"):
        BatchApi(API_KEY, url)


@pytest.fixture
def batch_file(tmp_path: Path) -> Path:
    path = tmp_path / "input.jsonl"
    path.write_bytes(b'{"custom_id": "1"}\n')
    return path


def client(base_url: str, name: str) -> BatchApi:
    url = f"{base_url}?api-version=2024-10-21" if name == "azure-dated" else base_url
    return BatchApi(API_KEY, url, profile=profile_of(url, name))


def form(call: Call) -> dict[str, str]:
    """The fields of an upload, the file's name among them."""
    fields = {}
    for part in call.body.split(b"\r\n--"):
        head, _, value = part.partition(b"\r\n\r\n")
        for name in ("purpose", "file_name", "filename"):
            if f'name="{name}"'.encode() in head:
                fields[name] = value.decode()
        if b"filename=" in head:
            fields["filename"] = head.partition(b'filename="')[2].partition(b'"')[0].decode()
    return fields


@pytest.mark.parametrize("name", NAMES)
def test_an_upload_goes_where_the_server_takes_it(
    name: str, server: ScriptedServer, base_url: str, batch_file: Path
) -> None:
    server.answer(as_json(FILE))
    with client(base_url, name) as api:
        assert api.upload(batch_file, "ours.jsonl") == "file-1"
    (call,) = server.calls
    place = {"azure-dated": "/v1/openai/files", "together": "/v1/files/upload"}
    assert urlsplit(call.path).path == place.get(name, "/v1/files")
    fields = {"purpose": "batch-api" if name == "together" else "batch", "filename": "ours.jsonl"}
    assert form(call) == fields | ({"file_name": "ours.jsonl"} if name == "together" else {})


@pytest.mark.parametrize("name", NAMES)
def test_a_creation_has_what_the_server_takes(
    name: str, server: ScriptedServer, base_url: str
) -> None:
    server.answer(as_json(BATCH))
    with client(base_url, name) as api:
        assert api.create_batch("file-1", {"ours": "7"}, WEEK).id == "batch_1"
    (call,) = server.calls
    endpoint = "/chat/completions" if name.startswith("azure") else "/v1/chat/completions"
    asked: dict[str, Any] = {
        "input_file_id": "file-1",
        "endpoint": endpoint,
        "completion_window": "24h",
    }
    if name in {"openai", "compatible"}:
        asked["output_expires_after"] = {"anchor": "created_at", "seconds": WEEK}
    if name.startswith("azure"):
        asked["output_expires_after"] = {"anchor": "created_at", "seconds": 2 * WEEK}
    if name != "together":
        asked["metadata"] = {"ours": "7"}
    assert json.loads(call.body) == asked


def test_a_dated_api_is_told_its_version_and_the_key_in_a_header_of_its_own(
    server: ScriptedServer, base_url: str
) -> None:
    server.answer(as_json({"object": "list", "data": [], "has_more": False}))
    with client(base_url, "azure-dated") as api:
        api.check_account()
        list(api.list_files())
    for call in server.calls:
        assert parse_qs(urlsplit(call.path).query)["api-version"] == ["2024-10-21"]
        assert call.headers["api-key"] == API_KEY
        assert "authorization" not in call.headers
    assert [urlsplit(call.path).path for call in server.calls] == [
        "/v1/openai/batches",
        "/v1/openai/files",
    ]


def test_a_dated_api_is_called_live_by_the_deployments_name(
    server: ScriptedServer, base_url: str
) -> None:
    choice = {"message": {"content": "Twelve.", "refusal": None}, "finish_reason": "stop"}
    server.answer(as_json({"id": "chatcmpl-1", "choices": [choice]}))
    with client(base_url, "azure-dated") as api:
        api.complete({"model": "my-mini", "messages": []}, "batch/request")
    (call,) = server.calls
    assert urlsplit(call.path).path == "/v1/openai/deployments/my-mini/chat/completions"


@pytest.mark.parametrize(
    ("name", "keys", "url"),
    [
        ("openai", ["custom_id", "method", "url", "body"], "/v1/chat/completions"),
        ("azure", ["custom_id", "method", "url", "body"], "/chat/completions"),
        ("together", ["custom_id", "body"], None),
    ],
)
def test_lines_are_written_as_the_server_wants_them(
    name: str, keys: list[str], url: str | None, tmp_path: Path
) -> None:
    with Spool(tmp_path / "spool", profile_of("", name)) as spool:
        with spool.input_file() as file:
            assert file.add("request-1", b'{"model":"gpt-4o-mini"}')
        line = json.loads(file.path.read_bytes())
    assert list(line) == keys
    assert line.get("url") == url


@pytest.mark.parametrize("name", ["openrouter"])
def test_what_a_server_has_not_is_not_asked_for(
    name: str, server: ScriptedServer, base_url: str
) -> None:
    with client(base_url, name) as api:
        for call in (lambda: list(api.list_files()), lambda: api.delete_file("file-1")):
            with pytest.raises(ApiError) as raised:
                call()
            assert raised.value.failure.code == "unsupported"
    assert server.calls == []


@pytest.mark.parametrize("status", [405, 501])
def test_a_server_without_a_call_says_so(
    status: int, server: ScriptedServer, base_url: str
) -> None:
    server.answer(api_error(status, "whatever", x_should_retry="false"))
    with client(base_url, "compatible") as api:
        for call in (lambda: list(api.list_files()), lambda: api.delete_file("file-1")):
            with pytest.raises(ApiError) as raised:
                call()
            failure = raised.value.failure
            assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "unsupported")


EXPIRY, METADATA = "output_expires_after", "metadata"
PLACE = {"loc": ["body", EXPIRY], "msg": "Extra inputs are not permitted", "input": {METADATA: "x"}}
REFUSALS: dict[str, tuple[Reply, list[str]]] = {
    "by its param": (api_error(400, "unknown_parameter", param=EXPIRY), [EXPIRY]),
    "by a part of it": (api_error(400, param=f"{EXPIRY}.seconds"), [EXPIRY]),
    "in the message": (api_error(400, message=f"Unknown parameter: '{EXPIRY}'."), [EXPIRY]),
    "without quotes": (api_error(400, message=f"{EXPIRY} is not supported"), [EXPIRY]),
    "422 with a place": (as_json({"detail": [PLACE]}, 422), [EXPIRY]),
    "422 with a text": (as_json({"detail": f"unexpected field {EXPIRY}"}, 422), [EXPIRY]),
    "metadata": (api_error(400, param=METADATA), [METADATA]),
    "by a gateway": (
        api_error(400, "400", "internal_server_error", message=f"Error: {{'param': '{EXPIRY}'}}"),
        [EXPIRY],
    ),
    "both": (api_error(400, message=f"Unknown: '{METADATA}', '{EXPIRY}'"), [METADATA, EXPIRY]),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_what_a_creation_is_refused_for_is_left_out_from_then_on(
    how: str, server: ScriptedServer, base_url: str
) -> None:
    reply, refused = REFUSALS[how]
    server.answer(reply, as_json(BATCH))
    with client(base_url, "compatible") as api:
        with pytest.raises(ApiError) as raised:
            api.create_batch("file-1", {"ours": "7"}, WEEK)
        assert raised.value.failure.code == "parameter_refused"
        assert raised.value.__context__ is None
        for _ in range(2):
            api.create_batch("file-1", {"ours": "7"}, WEEK)
    sent = [set(json.loads(call.body)) & {EXPIRY, METADATA} for call in server.calls]
    assert sent == [{EXPIRY, METADATA}] + [{EXPIRY, METADATA} - set(refused)] * 2


NO_REFUSALS: dict[str, Reply] = {
    "of something else": api_error(400, "invalid_value", param="completion_window"),
    "of prose": api_error(400, message="The file's metadata could not be read"),
    "that repeats what was sent": as_json(
        {"detail": [{"loc": ["body", "x"], "msg": "missing", "input": {EXPIRY: 1}}]}, 422
    ),
    "for want of room": api_error(400, "token_limit_exceeded", message=f"'{EXPIRY}'"),
    "that may have acted": api_error(409, param=EXPIRY),
    "by a server that is not well": api_error(500, param=EXPIRY),
    "without JSON": Reply(400, f"<p>'{EXPIRY}'</p>".encode()),
    "of a deep nest": Reply(400, b'{"error":' * 3_000 + b"1" + b"}" * 3_000),
}


@pytest.mark.parametrize("how", NO_REFUSALS)
def test_another_refusal_leaves_a_creation_as_it_is(
    how: str, server: ScriptedServer, base_url: str
) -> None:
    server.answer(NO_REFUSALS[how], as_json(BATCH))
    with client(base_url, "compatible") as api:
        with pytest.raises(ApiError) as raised:
            api.create_batch("file-1", {"ours": "7"}, WEEK)
        assert raised.value.failure.code != "parameter_refused"
        api.create_batch("file-1", {"ours": "7"}, WEEK)
    assert {EXPIRY, METADATA} <= set(json.loads(server.calls[-1].body))


def test_a_file_that_is_processed_first_is_asked_about(
    server: ScriptedServer, base_url: str, batch_file: Path
) -> None:
    pending = FILE | {"status": "pending"}
    server.answer(as_json(pending), as_json(pending), as_json(FILE), as_json({}))
    with client(base_url, "azure") as api:
        api.upload(batch_file, "ours.jsonl")
        assert api.is_pending("file-1")
        assert not api.is_pending("file-1")
        assert not api.is_pending("file-1")
    assert server.methods == ["POST /v1/files"] + ["GET /v1/files/file-1"] * 2


@pytest.mark.parametrize("status", ["processed", "uploaded", "succeeded", "", "of its own"])
def test_a_file_that_is_ready_costs_no_call(
    status: str, server: ScriptedServer, base_url: str, batch_file: Path
) -> None:
    server.answer(as_json(FILE | {"status": status}))
    with client(base_url, "compatible") as api:
        api.upload(batch_file, "ours.jsonl")
        assert not api.is_pending("file-1")
    assert len(server.calls) == 1


def test_a_file_that_could_not_be_processed(server: ScriptedServer, base_url: str) -> None:
    server.answer(as_json(FILE | {"status": "error"}))
    with client(base_url, "azure") as api, pytest.raises(ApiError) as raised:
        api.is_pending("file-1", ask=True)
    assert raised.value.failure.code == "file_failed"


def test_answers_in_other_shapes_are_read(server: ScriptedServer, base_url: str) -> None:
    made = BATCH | {"status": "VALIDATING", "created_at": "2026-01-15T14:30:00Z"}
    server.answer(as_json({"job": made, "warning": ""}), as_json([made]))
    with client(base_url, "together") as api:
        created = api.create_batch("file-1", {}, WEEK)
        (listed,) = api.list_batches()
    assert created.id == listed.id == "batch_1"
    assert created.created_at is not None
    assert created.created_at.isoformat() == "2026-01-15T14:30:00+00:00"
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("code", "kind", "shown"),
    [
        ("tokenLimitExceeded", FailureKind.CAPACITY, "token_limit_exceeded"),
        ("insufficientQuota", FailureKind.ACCOUNT, "insufficient_quota"),
        ("invalidPayload", FailureKind.PERMANENT, "invalid_payload"),
        ("DeploymentNotFound", FailureKind.PERMANENT, "deployment_not_found"),
        ("SHOUTED", FailureKind.PERMANENT, "http_400"),
        ("pR0j3ctS3cr3t", FailureKind.PERMANENT, "http_400"),
    ],
)
def test_codes_in_camel_case_mean_the_same(
    code: str, kind: FailureKind, shown: str, server: ScriptedServer, base_url: str
) -> None:
    server.answer(api_error(400, code))
    with client(base_url, "azure") as api, pytest.raises(ApiError) as raised:
        api.create_batch("file-1", {}, WEEK)
    assert (raised.value.failure.kind, raised.value.failure.code) == (kind, shown)
