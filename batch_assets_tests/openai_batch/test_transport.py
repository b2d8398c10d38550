"""What lies between us and the server: certificates, proxies, headers; and what is said of each."""

from pathlib import Path

import pytest

from batch_assets.domain.errors import ApiError, ConfigurationError, Failure, FailureKind
from batch_assets.openai_batch.client import BatchApi
from batch_assets_tests.openai_batch import certificates
from batch_assets_tests.openai_batch.scripted_server import (
    Reply,
    ScriptedServer,
    api_error,
    as_json,
)

ELSEWHERE = "http://api.example/v1"
NOBODY = "http://127.0.0.1:9"
CANARY = "kanarie-7f3a"
NO_RETRY = {"x_should_retry": "false"}


def failure_of(base_url: str) -> Failure:
    with BatchApi("sk-x", base_url, reading_retries=0) as api, pytest.raises(ApiError) as raised:
        api.check_account()
    said = raised.value.sentence("try again")
    assert CANARY not in said
    assert said.endswith(".")
    return raised.value.failure


@pytest.mark.parametrize(
    ("certificate", "code", "advice"),
    [
        ("GOOD", "certificate_not_trusted", "SSL_CERT_FILE"),
        ("EXPIRED", "certificate_expired", "clock"),
        ("EARLY", "certificate_not_valid_yet", "clock"),
        ("OTHER", "certificate_of_another", "OPENAI_BASE_URL"),
    ],
)
def test_a_certificate_that_is_not_right(
    certificate: str,
    code: str,
    advice: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = certificates.written(getattr(certificates, certificate), tmp_path)
    if certificate != "GOOD":
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with ScriptedServer().listening(path) as url:
        failure = failure_of(url)
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, code)
    assert advice in failure.advice


def test_a_certificate_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = certificates.written(certificates.GOOD, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    server = ScriptedServer()
    server.answer(as_json({"data": []}))
    with server.listening(path) as url, BatchApi("sk-x", url) as api:
        api.check_account()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "certificates"
    if name == "SSL_CERT_FILE":
        monkeypatch.setenv(name, str(place))
    else:
        place.write_text("no certificate", encoding="ascii")
        monkeypatch.setenv("SSL_CERT_FILE", str(place))
        name = "SSL_CERT_FILE"
    with BatchApi("sk-x") as api, pytest.raises(ConfigurationError, match=name):
        api.prepare()


@pytest.mark.parametrize("method", ["CONNECT", "GET"])
@pytest.mark.parametrize("status", [407, 403])
def test_a_proxy_that_refuses(
    method: str,
    status: int,
    base_url: str,
    server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheme = "https" if method == "CONNECT" else "http"
    name = f"{scheme.upper()}_PROXY"
    monkeypatch.setenv(name, base_url.replace("://", f"://someone:{CANARY}@").removesuffix("/v1"))
    server.answer(Reply(status, b"<p>no</p>", {"x-should-retry": "false"}))
    failure = failure_of(ELSEWHERE.replace("http", scheme, 1))
    assert [call.method for call in server.calls] == [method]
    if (method, status) == ("GET", 403):
        assert failure.kind is FailureKind.ACCOUNT, "nobody can tell that from the server's own"
    else:
        assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "proxy_refused")
        assert name in failure.advice


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, NOBODY.replace("://", f"://someone:{CANARY}@"))
    failure = failure_of(ELSEWHERE)
    assert failure.code == "not_connected"
    assert name.upper() in failure.reason


def test_a_proxy_is_passed_by_for_some_hosts(
    base_url: str, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", base_url.removesuffix("/v1"))
    monkeypatch.setenv("NO_PROXY", "internal, localhost")
    server.answer(as_json({"data": []}))
    with BatchApi("sk-x", ELSEWHERE) as api:
        api.check_account()
    assert [call.path for call in server.calls] == ["http://api.example/v1/batches?limit=1"]
    assert failure_of("http://api.internal:9/v1").reason == "no connection to the server"


@pytest.mark.parametrize(
    "url", [f"ftp://someone:{CANARY}@proxy:1", f"http://{CANARY}:port", f"http://[{CANARY}"]
)
def test_what_is_no_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with BatchApi("sk-x") as api, pytest.raises(ConfigurationError, match="HTTPS_PROXY") as raised:
        api.prepare()
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_ORG_ID", f"org-1\nx-{CANARY}: 1"),
        ("OPENAI_PROJECT_ID", f"{CANARY}\r"),
        ("OPENAI_CUSTOM_HEADERS", f"x-a: {CANARY}\rb"),
        ("OPENAI_CUSTOM_HEADERS", f"x-a: b\nx-é: {CANARY}"),
        ("OPENAI_CUSTOM_HEADERS", f"x-a: b\nx {CANARY}: c"),
        ("OPENAI_CUSTOM_HEADERS", f": {CANARY}"),
    ],
)
def test_what_is_no_header(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with BatchApi("sk-x") as api, pytest.raises(ConfigurationError, match=name) as raised:
        api.prepare()
    assert CANARY not in str(raised.value)


def test_headers_of_several_lines(
    base_url: str, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-first: 1\nx-second: 2")
    server.answer(as_json({"data": []}))
    with BatchApi("sk-x", base_url) as api:
        api.check_account()
    assert (server.calls[0].headers["x-first"], server.calls[0].headers["x-second"]) == ("1", "2")


def test_https_to_a_port_without_tls(base_url: str) -> None:
    failure = failure_of(base_url.replace("http://", "https://"))
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "no_tls")
    assert "http://" in failure.advice


def test_an_address_with_a_space() -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL"):
        BatchApi("sk-x", "https://host example/v1")


@pytest.mark.parametrize("end", ["?api-version=2024-10-21", "#top", "/v1?"])
def test_an_address_with_a_query(end: str) -> None:
    if end == "/v1?":
        BatchApi("sk-x", "https://host.example/v1?")
        return
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL"):
        BatchApi("sk-x", f"https://host.example/v1{end}")


@pytest.mark.parametrize(
    "reply",
    [
        api_error(404, None, "invalid_request_error"),
        Reply(404, b"<p>not here</p>", {"content-type": "text/html"}),
        Reply(405, b"", {}),
        Reply(200, b"<p>welcome</p>", {"content-type": "text/html"}),
        Reply(200, b"{}"),
        Reply(302, b"", {"location": "/login"}),
    ],
)
def test_an_address_without_the_api(reply: Reply, base_url: str, server: ScriptedServer) -> None:
    server.answer(reply, Reply(200, b"<p>log in</p>", {"content-type": "text/html"}))
    failure = failure_of(base_url)
    assert "OPENAI_BASE_URL" in failure.advice
    assert failure.kind in {FailureKind.PERMANENT, FailureKind.TRANSIENT}


def test_a_key_of_another_region(base_url: str, server: ScriptedServer) -> None:
    server.answer(api_error(401, "incorrect_hostname", "invalid_request_error", message=CANARY))
    failure = failure_of(base_url)
    assert (failure.kind, failure.code) == (FailureKind.ACCOUNT, "incorrect_hostname")
    assert "region" in failure.advice
