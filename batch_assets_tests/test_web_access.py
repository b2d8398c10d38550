"""Who is let in by the origin check: a table of what browsers send, and programs that are none."""

import re
from collections.abc import Coroutine
from typing import Any, Final

import pytest
from dagster_webserver.webserver import DagsterWebserver
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from batch_assets.project_files import PROJECT_DIR
from batch_assets.web_access import OriginCheck

PROXY: Final = PROJECT_DIR / "deploy" / "nginx" / "batch-assets.conf"
JSON: Final = {"content-type": "application/json"}
FOREIGN: Final = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
LINK: Final = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}
MUTATION: Final = "query=mutation{launchRun(executionParams:{}){__typename}}"
IN: Final = 200


async def _ui(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": IN, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _nothing() -> Message:
    return {"type": "http.request"}


def ask(call: Coroutine[Any, Any, None]) -> None:
    """Run a call of the origin check to its end: it waits for nothing, and needs no event loop."""
    with pytest.raises(StopIteration):
        call.send(None)


def answers(path: str = "/", kind: str = "http", **given: Any) -> list[Message]:
    """What is sent back; `headers` are laid over those of a program on the same machine."""
    headers = {"host": "localhost:3000", **given.get("headers", {})}
    path, _, query = path.partition("?")
    scope: Scope = {
        "type": kind,
        "method": given.get("method", "GET"),
        "scheme": given.get("scheme", "ws" if kind == "websocket" else "http"),
        "path": path,
        "query_string": query.encode(),
        "headers": [(key.encode(), text.encode("latin-1")) for key, text in headers.items()],
    }
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    ask(OriginCheck(_ui, ["dagster.example.com"])(scope, _nothing, send))
    return sent


def status_of(path: str = "/", **given: Any) -> int:
    return int(answers(path, **given)[0]["status"])


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8080", "LOCALHOST:3000", "127.0.0.1:3000", "127.1.2.3"),
        *("[::1]:3000", "[::1]", "dagster.example.com", "Dagster.Example.com:8443"),
    ],
)
def test_names_of_this_machine_at_any_port_and_names_that_were_set_are_its_own(host: str) -> None:
    assert status_of(headers={"host": host}) == IN


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("10.0.0.5:3000", "0.0.0.0:3000", "", "localhost:port", "localhost@evil.example", "[::1"),
        *("evil.example/localhost", "localhost/", "dagster.example.com.evil.example"),
        # What is read in more than one way is none of ours.
        *("localhost.", "dagster.example.com.", "[::1].evil.example", "[::1]evil.example:3000"),
        *("local\thost", "localhost#evil.example", "localhost?", "localhost\\evil.example"),
        *("localhost:99999", "[::ffff:10.0.0.5]", "http://localhost:3000", "127.1", "2130706433"),
    ],
)
def test_a_foreign_name_is_refused_whatever_is_asked(host: str) -> None:
    assert status_of(headers={"host": host}) == 403
    assert status_of("/graphql", method="POST", headers={"host": host, **JSON}) == 403
    refused = answers("/graphql", kind="websocket", headers={"host": host})
    assert refused == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    assert b"BATCH_UI_HOSTS" in answers(headers={"host": host})[1]["body"]


@pytest.mark.parametrize("number", [0, 2])
def test_exactly_one_name_is_given(number: int) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
    scope["headers"] = [(b"host", b"localhost")] * number
    ask(OriginCheck(_ui)(scope, _nothing, send))
    assert sent[0]["status"] == 403


@pytest.mark.parametrize(
    ("host", "origin", "scheme"),
    [
        ("localhost:3000", "http://localhost:3000", "http"),
        ("localhost:8080", "http://localhost:8080", "http"),
        ("[::1]:3000", "http://[::1]:3000", "http"),
        ("localhost", "http://localhost", "http"),
        ("localhost:80", "http://localhost", "http"),
        ("dagster.example.com", "https://dagster.example.com", "https"),
        # A proxy that does not say that it speaks TLS.
        ("dagster.example.com", "https://dagster.example.com", "http"),
        ("DAGSTER.example.com:443", "https://dagster.example.com", "https"),
    ],
)
def test_a_page_of_the_same_origin_may_do_all(host: str, origin: str, scheme: str) -> None:
    headers = {"host": host, "origin": origin, "sec-fetch-site": "same-origin"}
    given: dict[str, Any] = {"method": "POST", "headers": headers | JSON}
    assert status_of("/graphql", scheme=scheme, **given) == IN
    scheme = {"http": "ws", "https": "wss"}[scheme]
    assert answers("/graphql", kind="websocket", scheme=scheme, headers=headers)[0]["status"] == IN


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        (FOREIGN, "http"),
        ({"origin": "https://evil.example"}, "http"),
        ({"origin": "null"}, "http"),
        ({"origin": ""}, "http"),
        ({"origin": "file://localhost:3000"}, "http"),
        ({"origin": "chrome-extension://abcdef"}, "http"),
        # Another server of the same machine is another origin, though it is the same site.
        ({"origin": "http://localhost:8000", "sec-fetch-site": "same-site"}, "http"),
        ({"origin": "http://127.0.0.1:3000", "sec-fetch-site": "cross-site"}, "http"),
        ({"origin": "http://localhost:3000.evil.example"}, "http"),
        ({"origin": "http://localhost:3000@evil.example"}, "http"),
        ({"sec-fetch-site": "same-site"}, "http"),
        ({"sec-fetch-site": "cross-site"}, "http"),
        ({"sec-fetch-site": "sideways"}, "http"),
        # By TLS, and a page that came without it.
        ({"host": "dagster.example.com", "origin": "http://dagster.example.com"}, "https"),
    ],
)
def test_a_page_of_another_origin_may_do_nothing(headers: dict[str, str], scheme: str) -> None:
    for path in ("/graphql", "/logs/a/compute_logs/b.err", "/download_debug/r", "/notebook", "/"):
        assert status_of(path, headers=headers, scheme=scheme) == 403
        post: dict[str, Any] = {"method": "POST", "headers": headers | JSON}
        assert status_of(path, scheme=scheme, **post) == 403
    (refused,) = answers(
        "/graphql", kind="websocket", headers=headers, scheme={"http": "ws"}.get(scheme, "wss")
    )
    assert refused["type"] == "websocket.close"


def test_a_link_from_elsewhere_leads_to_a_page_and_to_nothing_that_answers_questions() -> None:
    assert status_of("/runs/5b1e", headers=LINK) == IN
    for path in ("/graphql?query={version}", "/logs/a/b.err", "/dagster/logs/a/b.err", "/notebook"):
        assert status_of(path, headers=LINK) == 403
    assert status_of("/runs/5b1e", headers=LINK | {"sec-fetch-dest": "iframe"}) == 403
    assert status_of("/runs/5b1e", headers=LINK | {"sec-fetch-dest": "empty"}) == 403
    assert status_of("/runs/5b1e", method="POST", headers=LINK | JSON) == 403
    assert status_of("/runs/5b1e", headers=LINK | {"origin": "https://evil.example"}) == 403
    assert answers("/runs", kind="websocket", headers=LINK)[0]["type"] == "websocket.close"


@pytest.mark.parametrize(
    "content_type",
    [
        *("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
        *("text/plain; application/json", "text/plain;charset=application/json", "application/xml"),
    ],
)
@pytest.mark.parametrize("path", [f"/graphql?{MUTATION}", "/report_asset_materialization/backlog"])
def test_only_json_is_taken(content_type: str, path: str) -> None:
    """Of whomever: these are what a page may send without its browser asking first."""
    headers = {"content-type": content_type} if content_type else {}
    for method in ("POST", "PUT", "DELETE"):
        assert status_of(path, method=method, headers=headers) == 403


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/graphql"])
def test_json_is_taken_of_a_program(content_type: str) -> None:
    headers = {"content-type": content_type}
    assert status_of("/graphql", method="POST", headers=headers) == IN


@pytest.mark.parametrize(
    "query",
    [
        MUTATION,
        "query=%6dutation%7BlaunchRun%7B__typename%7D%7D",
        "query={version}&query=mutation{a}",
        "query=mutation{a}&query={version}",
        "query=query Q{version} mutation M{a}&operationName=M",
        "query=subscription{a}",
        "query=%23 a comment%0Amutation{a}",
        "query=mutation",
        "query=",
    ],
)
@pytest.mark.parametrize(
    "path",
    # Dagster's routes overlook a line end, as regular expressions do.
    ["/graphql", "/graphql/", "/dagster/graphql", "/graphql\n", "/dagster/graphql\n", "//graphql"],
)
def test_a_get_changes_nothing(query: str, path: str) -> None:
    assert status_of(f"{path}?{query}") == 403
    assert status_of(f"{path}?{query}", method="HEAD") == 403


CROSS: Final = ("https://evil.example", "cross-site")
TRIES: Final = [
    # An address that a page has loaded: what for, and by which path.
    *(("GET", "no-cors", what) for what in ("image", "script", "style", "video", "audio", "empty")),
    *(("GET", "navigate", what) for what in ("iframe", "object", "embed", "frame", "fencedframe")),
    ("GET", "navigate", "document"),
    ("GET", "cors", "empty"),
    ("GET", "cors", "script"),
    # A form, a beacon, `fetch`; and what a browser asks before it sends JSON.
    ("POST", "navigate", "document"),
    ("POST", "navigate", "iframe"),
    ("POST", "no-cors", "empty"),
    ("POST", "cors", "empty"),
    ("OPTIONS", "cors", "empty"),
    ("PUT", "cors", "empty"),
]
"""What pages had Chromium send in `browser/test_origin_check.py`: method, mode and destination."""


@pytest.mark.parametrize(("method", "mode", "destination"), TRIES)
@pytest.mark.parametrize(
    ("origin", "site"),
    [
        CROSS,
        ("http://localhost:8000", "same-site"),
        # Sandboxed frames, files and what came by a redirect.
        ("null", "cross-site"),
        # By a name without TLS: no browser says there which site asks.
        ("http://evil.example", ""),
        ("null", ""),
    ],
)
def test_what_pages_have_a_browser_send_starts_nothing(
    method: str, mode: str, destination: str, origin: str, site: str
) -> None:
    headers = {"origin": origin} if mode == "cors" or method != "GET" else {}
    if site:
        headers |= {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": destination}
    for content_type in ("", "text/plain", "text/plain; application/json", "application/json"):
        typed = {"content-type": content_type} if content_type and method != "GET" else {}
        for path in ("/graphql", "/graphql\n", "/dagster/graphql"):
            given: dict[str, Any] = {"method": method, "headers": headers | typed}
            assert status_of(f"{path}?{MUTATION}", **given) == 403
        if method != "GET":
            given = {"method": method, "headers": headers | typed}
            assert status_of("/report_asset_materialization/a", **given) == 403


@pytest.mark.parametrize(
    "query", ["", "query={__schema{types{name}}}", "query=query Q{version} fragment F on A{b}"]
)
def test_a_get_may_ask(query: str) -> None:
    assert status_of(f"/graphql?{query}") == IN


def test_a_line_end_makes_no_page_of_what_is_data() -> None:
    for path in ("/graphql\n", "/logs/a/b/err\n", "/notebook\n", "/dagster/server_info\n"):
        assert status_of(path, headers=LINK) == 403


@pytest.mark.parametrize("path", ["/server_info", "/dagster/server_info"])
@pytest.mark.parametrize("host", ["10.0.0.5:3000", "pod-1", "", "localhost"])
def test_a_probe_needs_no_name_of_the_ui(path: str, host: str) -> None:
    """It is sent to the address of a pod or of a target, whatever that is just now."""
    assert status_of(path, headers={"host": host}) == IN
    assert status_of(path, method="HEAD", headers={"host": host}) == IN
    assert status_of(path, headers={"host": host} | FOREIGN) == 403
    assert status_of(path, headers={"host": host} | LINK) == 403


def test_a_probe_that_names_no_name_of_the_ui_reaches_nothing_else() -> None:
    headers = {"host": "10.0.0.5:3000"}
    for path in ("/", "/graphql?query={version}", "/server_info/x", "/logs/a/server_info"):
        assert status_of(path, headers=headers) == 403
    assert status_of("/server_info", method="POST", headers=headers | JSON) == 403
    assert answers("/server_info", "websocket", headers=headers)[0]["type"] == "websocket.close"


def test_a_probe_may_name_nobody_at_all() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "GET", "path": "/server_info", "query_string": b""}
    scope["headers"] = []
    ask(OriginCheck(_ui)(scope, _nothing, send))
    assert sent[0]["status"] == IN


def test_what_dagster_has_beside_its_pages_is_reached_by_no_link() -> None:
    """Neither through the origin check nor through the documented proxy: both have one list."""
    proxy = re.search(r"~(/\(graphql\S+) 0;", PROXY.read_text(encoding="utf-8"))
    assert proxy is not None
    webserver = object.__new__(DagsterWebserver)
    webserver._app_path_prefix = ""
    built: list[BaseRoute] = webserver.build_routes()  # type: ignore[no-untyped-call]
    routes = [route for route in built if isinstance(route, Route)]
    data = {
        re.sub(r"\{.*?\}", "x", route.path)
        for route in routes
        if route.name not in ("root_static", "index_html_endpoint")
    }
    assert {"/graphql", "/logs/x", "/server_info"} < data
    assert [path for path in data if status_of(path, headers=LINK) == IN] == []
    assert [path for path in data if not re.search(proxy[1], path)] == []


def test_no_answer_is_shown_in_a_frame_or_loaded_as_a_part_of_another_page() -> None:
    headers = dict(answers("/")[0]["headers"])
    assert headers[b"x-frame-options"] == b"SAMEORIGIN"
    assert headers[b"cross-origin-resource-policy"] == b"same-origin"


@given(text=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40))
def test_whatever_stands_there_is_no_error_and_opens_nothing(text: str) -> None:
    name = text.strip().lower()
    if not name.startswith(("localhost", "127.", "[::1]", "dagster.example.com")):
        assert status_of(headers={"host": text}) == 403
    if name != "http://localhost:3000":
        assert status_of(headers={"origin": text}) == 403
