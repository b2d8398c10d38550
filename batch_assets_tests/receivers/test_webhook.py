"""One POST on a real connection; what fails is said without the address."""

import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx2
import pytest

from batch_assets.domain.alerts.records import AlertState, Severity
from batch_assets.receivers.receiver import DeliveryError, RefusedError, Sender, notification_of
from batch_assets.receivers.webhook import Webhook, body_of
from batch_assets_tests.openai_batch.scripted_server import Reply, ScriptedServer, as_json

TOKEN = "canary-9c2e"
NOTIFICATION = notification_of(
    AlertState("error_rate", True, Severity.ERROR, "Größer als 10 %", datetime.now(UTC)),
    what_to_do="Look.",
    behind=(),
    sender=Sender("inst", "livedash", "run-1"),
)


@pytest.fixture
def server(listening_server: tuple[ScriptedServer, str]) -> ScriptedServer:
    listening_server[0].answer(as_json({}))
    return listening_server[0]


@pytest.fixture
def url(listening_server: tuple[ScriptedServer, str]) -> str:
    return f"{listening_server[1]}/services/{TOKEN}?key={TOKEN}"


def reason_of(url: str) -> str:
    with pytest.raises(DeliveryError) as caught:
        Webhook(url, timeout_seconds=0.5).deliver(NOTIFICATION)
    assert not isinstance(caught.value, RefusedError), "it is tried again, whatever it was"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return str(caught.value)


def test_it_is_one_post_of_json(server: ScriptedServer, url: str) -> None:
    Webhook(url).deliver(NOTIFICATION)
    (call,) = server.calls
    assert (call.method, call.path) == ("POST", f"/v1/services/{TOKEN}?key={TOKEN}")
    assert call.headers["Content-Type"] == "application/json"
    assert json.loads(call.body) == body_of(NOTIFICATION)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(500), "it answered 500"),
        (Reply(400), "it answered 400"),
        (Reply(404, TOKEN.encode()), "it answered 404"),
        (Reply(302, headers={"location": f"/elsewhere/{TOKEN}"}), "it answered 302"),
        (Reply(drop="unanswered"), "RemoteProtocolError"),
        (Reply(delay=0.9), "ReadTimeout"),
    ],
)
def test_what_was_not_taken_is_said_and_not_repeated(
    server: ScriptedServer, url: str, reply: Reply, reason: str
) -> None:
    server.answer(reply)
    assert reason_of(url) == reason
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (f"http://127.0.0.1:9/{TOKEN}", "ConnectError"),
        (f"ftp://127.0.0.1/{TOKEN}", "UnsupportedProtocol"),
        (f"{TOKEN}", "UnsupportedProtocol"),
        (f"http://127.0.0.1:9/{TOKEN}\n", "InvalidURL"),
        (f"http://{TOKEN}..invalid/", "UnicodeError"),
        (f"http://127.0.0.1:port/{TOKEN}", "InvalidURL"),
    ],
)
def test_an_address_that_leads_nowhere_is_not_repeated(wrong: str, reason: str) -> None:
    assert reason_of(wrong) == reason


def test_an_endless_answer_is_not_read(server: ScriptedServer, url: str) -> None:
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while len(sent) < 10_000:
            sent.append(1)
            yield b"x" * 100_000

    server.answer(Reply(200, endless))
    Webhook(url).deliver(NOTIFICATION)
    assert len(sent) < 1_000


@pytest.mark.parametrize(
    ("spelled", "otherwise"),
    [
        ("http://", "http://"),
        ("http://", "HTTP://"),
        ("127.0.0.1", "LOCALHOST"),
        ("http://", f"http://user:{TOKEN}@"),
        ("/services/", "/./x/../serv%69ces/ü/"),
    ],
)
def test_the_address_is_in_no_log_however_it_is_spelled(
    server: ScriptedServer,
    url: str,
    caplog: pytest.LogCaptureFixture,
    spelled: str,
    otherwise: str,
) -> None:
    url = url.replace(spelled, otherwise)
    with caplog.at_level(logging.DEBUG):
        Webhook(url).deliver(NOTIFICATION)
        server.answer(Reply(500, headers={"location": url}))
        reason_of(url)
        assert len(server.calls) == 1
        server.answer(as_json({}))
        httpx2.get(url.replace(TOKEN, "public"))
    assert TOKEN not in caplog.text
    assert "public" in caplog.text, "what others ask for is theirs"
    for log in ("httpx2", "httpcore2.http11", "httpcore2.connection"):
        assert logging.getLogger(log).filters == []


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("HTTPS_PROXY", "foo://user:canary-pw@h:1", "ValueError"),
        ("HTTPS_PROXY", "socks5://user:canary-pw@h:1", "ImportError"),
        ("SSL_CERT_FILE", "/canary-pw/none.pem", "FileNotFoundError"),
    ],
)
def test_what_keeps_every_call_from_being_made_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    value: str,
    error: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert reason_of(f"https://hooks.example/{TOKEN}") == (
        f"no call could be made, {error}: see what HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are here"
    )
    assert capfd.readouterr() == ("", "")


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    server: ScriptedServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    Webhook(url).deliver(NOTIFICATION)
    assert len(server.calls) == 1


def test_a_byte_at_a_time_does_not_keep_a_call(server: ScriptedServer, url: str) -> None:
    def trickle() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nX-Slow: "
        for _ in range(30):
            time.sleep(0.1)
            yield b"x"

    server.answer(Reply(raw=trickle))
    began = time.monotonic()
    assert reason_of(url) == "it did not answer in time"
    assert time.monotonic() - began < 2
