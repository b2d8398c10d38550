"""The origin check of a web server that has no login: pages of other origins do not get in.

Whoever has the UI open in one window may have anything else open in another one. What such a page
can have the browser send looks like the person's own requests, but for what no page can choose:
`Host`, `Origin`, `Sec-Fetch-Site` and, before the server was asked, a `Content-Type` of JSON. A
program that is no browser sends no `Origin`, and is let in: it needs no page to do harm.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

from graphql import GraphQLSyntaxError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from batch_assets.domain.hosts import is_loopback

_OURS: Final = frozenset({"same-origin", "none"})
"""What a browser says of who asks: a page of this origin, or the person, by the address bar."""
_READING: Final = frozenset({"GET", "HEAD"})
_ASKED_FIRST: Final = frozenset({"application/json", "application/graphql"})
"""A page of another origin may send neither before its browser has asked the server."""
_DATA: Final = re.compile(
    r"/(graphql|logs|notebook|download_debug|report_asset_[a-z]+|server_info|dagit_info)(/|$)"
)
"""The paths of what is no page of the UI, also below a prefix."""
_PROBED: Final = "/server_info"
"""Dagster's version, for those who ask whether it is up: by an address that no person types."""
_ADDRESS: Final = re.compile(
    r"([a-z]+://)?(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]+)?", re.ASCII | re.IGNORECASE
)
"""What `urlsplit` is given: it would overlook tabs, and what follows a bracket."""
_PORTS: Final = {"http": 80, "https": 443}
_HEADERS: Final = {
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Keep pages of other origins from showing an answer in a frame, and from loading it as a part."""


class OriginCheck:
    """Refuses a foreign `Host`, and whatever a page of another origin asks for but the UI itself.

    A link from elsewhere to one of the UI's pages goes on to work, one to data does not.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or answer with one sentence and 403."""
        reason = _refusal(scope, self._hosts) if scope["type"] in ("http", "websocket") else ""
        if not reason:
            await self._app(scope, receive, _marked(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            await PlainTextResponse(f"{reason}\n", status_code=403)(scope, receive, send)


def _refusal(scope: Scope, hosts: Collection[str]) -> str:
    """Why this is refused; empty if it is let in."""
    headers = Headers(scope=scope)
    host = _address(headers.getlist("host"), "//")
    if not (_is_ours(host, hosts) or _is_probe(scope)):
        return (
            "This name is not one of the UI's: call it by a name of BATCH_UI_HOSTS or of "
            "BATCH_UI_URL, or on its own machine as localhost."
        )
    if _is_foreign(headers, host, scope) and not _is_link(scope, headers):
        return "A page of another origin may not ask for this."
    if scope["type"] == "http":
        return _refusal_of_http(scope, headers)
    return ""


def _refusal_of_http(scope: Scope, headers: Headers) -> str:
    if scope["method"] in _READING:
        if _is_graphql(scope) and any(map(_changes, _queries(scope))):
            return "A GET changes nothing: send a mutation as a POST of JSON."
    elif headers.get("content-type", "").partition(";")[0].strip().lower() not in _ASKED_FIRST:
        return "Only JSON is taken: send it with the Content-Type application/json."
    return ""


def _is_ours(host: SplitResult | None, hosts: Collection[str]) -> bool:
    """Whether the UI is called by a name of its own."""
    name = "" if host is None else host.hostname or ""
    return is_loopback(name) or name in hosts


def _is_probe(scope: Scope) -> bool:
    """Whether it is only asked whether the server is up."""
    path = str(scope["path"])
    found = _DATA.search(path)
    is_asked = found is not None and path[found.start() :] == _PROBED
    return is_asked and scope["type"] == "http" and scope["method"] in _READING


def _is_foreign(headers: Headers, host: SplitResult | None, scope: Scope) -> bool:
    """Whether a page of another origin asks, as far as the browser says so."""
    if headers.get("sec-fetch-site", "none") not in _OURS:
        return True
    if "origin" not in headers:
        return False
    origin = _address(headers.getlist("origin"), "")
    if host is None or origin is None or origin.scheme not in _PORTS:
        return True
    # A proxy may or may not say that it speaks TLS; what came by TLS has no origin without it.
    if scope.get("scheme") in ("https", "wss") and origin.scheme != "https":
        return True
    usual = _PORTS[origin.scheme]
    return (origin.hostname, origin.port or usual) != (host.hostname, host.port or usual)


def _is_link(scope: Scope, headers: Headers) -> bool:
    """Whether a whole window goes to a page of the UI: what that is then, no other page can see."""
    return (
        scope["type"] == "http"
        and scope["method"] in _READING
        and "origin" not in headers
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and not _DATA.search(scope["path"])
    )


def _is_graphql(scope: Scope) -> bool:
    """Whether GraphQL might be asked: a path that ends in a line end leads there, too."""
    return "/graphql" in str(scope["path"]).lower()


def _queries(scope: Scope) -> Iterable[str]:
    return QueryParams(scope["query_string"]).getlist("query")


def _changes(query: str) -> bool:
    """Whether a document does more than ask, or cannot be read."""
    try:
        parts = parse(query).definitions
    except GraphQLSyntaxError:
        return True
    return any(
        isinstance(part, OperationDefinitionNode) and part.operation is not OperationType.QUERY
        for part in parts
    )


def _address(given: list[str], before: str) -> SplitResult | None:
    """The one address that was given, if it is one and nothing else."""
    if len(given) != 1 or not _ADDRESS.fullmatch(given[0]):
        return None
    try:
        address = urlsplit(before + given[0])
        _ = address.port  # raises if it is none
    except ValueError:
        return None
    return address


def _marked(send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return marked
