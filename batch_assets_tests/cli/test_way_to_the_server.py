"""What keeps a command from the server is one sentence, on terminals of any width and in a pipe."""

import re
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from batch_assets_tests.cli.conftest import KEY
from batch_assets_tests.cli.terminals import Environ, PipedTyping, Typing, Typist, typing
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.openai_batch import certificates
from batch_assets_tests.openai_batch.scripted_server import Reply, ScriptedServer, api_error

pytestmark = pytest.mark.xdist_group("terminals")

CANARY = "canary-password"
ELSEWHERE = {"OPENAI_BASE_URL": "https://api.example/v1"}
CASES: dict[str, tuple[int, tuple[str, ...]]] = {
    "no trust": (1, ("certificate is not one that this machine trusts", "set SSL_CERT_FILE")),
    "expired": (1, ("certificate has expired", "the clock here")),
    "another host": (1, ("certificate is another host's", "check the host in OPENAI_BASE_URL")),
    "no certificates": (2, ("SSL_CERT_FILE names no certificates that can be read",)),
    "proxy refuses": (1, ("proxy does not let calls through", "check HTTPS_PROXY")),
    "no proxy": (1, ("or to the proxy that HTTPS_PROXY names",)),
    "no address of a proxy": (2, ("HTTPS_PROXY is no address of a proxy",)),
    "header": (2, ("OPENAI_ORG_ID holds a line break",)),
    "region": (5, ("incorrect_hostname", "set OPENAI_BASE_URL to the host of the region")),
    "query": (2, ("OPENAI_BASE_URL has a query",)),
    "no path": (1, ("HTTP 404", "set OPENAI_BASE_URL", "with its path")),
    "page": (1, ("the answer cannot be read", "set OPENAI_BASE_URL")),
}


@pytest.fixture(scope="module")
def environs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Environ]]:
    place = tmp_path_factory.mktemp("way")
    with ExitStack() as stack:

        def serve(reply: Reply | None = None, certificate: str | None = None) -> dict[str, str]:
            server = ScriptedServer()
            server.answer(reply or Reply())
            if certificate is None:
                return {"OPENAI_BASE_URL": stack.enter_context(server.listening())}
            path = certificates.written(certificate, tmp_path_factory.mktemp("certificate"))
            url = stack.enter_context(server.listening(path))
            return {"OPENAI_BASE_URL": url, "SSL_CERT_FILE": str(path)}

        proxy = serve(Reply(407, b"no"))["OPENAI_BASE_URL"].removesuffix("/v1")
        yield {
            "no trust": {**serve(certificate=certificates.GOOD), "SSL_CERT_FILE": None},
            "expired": serve(certificate=certificates.EXPIRED),
            "another host": serve(certificate=certificates.OTHER),
            "no certificates": {**ELSEWHERE, "SSL_CERT_FILE": str(place / "nowhere")},
            "proxy refuses": {**ELSEWHERE, "HTTPS_PROXY": with_password(proxy)},
            "no proxy": {**ELSEWHERE, "HTTPS_PROXY": with_password("http://127.0.0.1:9")},
            "no address of a proxy": {**ELSEWHERE, "HTTPS_PROXY": f"ftp://{CANARY}"},
            "header": {"OPENAI_ORG_ID": f"org-1\nx-a: {CANARY}"},
            "region": serve(api_error(401, "incorrect_hostname", message=CANARY)),
            "query": {"OPENAI_BASE_URL": f"https://api.example/v1?key={CANARY}"},
            "no path": serve(api_error(404, message=CANARY)),
            "page": serve(Reply(200, f"<p>{CANARY}</p>".encode(), {"content-type": "text/html"})),
        }


def with_password(url: str) -> str:
    return url.replace("://", f"://someone:{CANARY}@")


@pytest.fixture(scope="module")
def copied(databases: TestDatabases) -> Iterator[str]:
    """A database of which an operator has to say what it is, which asks the server first."""
    url = databases.clone_migrated()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE batch_assets.installation SET database_name = 'original'")
    yield url
    databases.drop(url)


@pytest.fixture(scope="module", params=[50, None], ids=["50 columns", "pipe"])
def type_(
    request: pytest.FixtureRequest, typist: Typist, copied: str
) -> Iterator[Typing | PipedTyping]:
    environ = {"DATABASE_URL": copied, "OPENAI_API_KEY": KEY}
    with typing(typist, request.param, environ) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_and_what_to_do(
    type_: Typing | PipedTyping, environs: dict[str, Environ], case: str
) -> None:
    code, parts = CASES[case]
    seen = type_("confirm", "--copy", "--yes", environ=environs[case])
    said = re.sub(r"\s+", " ", seen.text).strip()
    for part in parts:
        assert part in said
    assert seen.code == code
    assert said.endswith(".")
    for never in (CANARY, KEY, "Traceback", "Error"):
        assert never not in said
    assert max(map(len, seen.lines)) <= (seen.columns or 1_000)
