"""The wire of the server that is played, in front of the one that is meant inside."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batch_assets_local.batch_server.config import ReloadableConfig
from batch_assets_local.batch_server.profiles.played import PLAYED, Played

_INSIDE = "/v1"
_UNDERSCORE = re.compile(r"_([a-z])")
_DEPLOYMENT = re.compile(r"^/deployments/[^/]+")


class Translator:
    """Takes calls where that server has them, and words the answers as it does.

    Without anything to translate a call goes by untouched. An answer of JSON that is translated is
    held back until it is whole: a fault that cuts it leaves nothing of it.
    """

    def __init__(self, app: ASGIApp, config: ReloadableConfig) -> None:
        """Stand in front of an application; what is played may change with each call."""
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        played = PLAYED[self._config.current.plays]
        path = scope["path"]
        if played == Played() or path.startswith("/_local/"):
            await self._app(scope, receive, send)
            return
        inside = _inside(path, scope["method"], played)
        if inside is None or not _is_let_in(scope, played):
            message = "Resource not found"
            await JSONResponse({"error": {"code": "404", "message": message}}, 404)(
                scope, receive, send
            )
            return
        translated = {**scope, "path": inside, "headers": _with_bearer(scope["headers"], played)}
        call = f"{scope['method']} {inside}"
        await self._app(translated, receive, _Wording(send, call, played).send)


class _Wording:
    """Holds an answer of JSON back until it is whole, and sends it in other words."""

    def __init__(self, send: Send, call: str, played: Played) -> None:
        self._send: Callable[[Message], Awaitable[None]] = send
        self._call = call
        self._played = played
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = Headers(scope=message).get("content-type", "")
            if kind.startswith("application/json"):
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)
            return
        await self._send(message)

    async def _finish(self, start: Message) -> None:
        body = json.dumps(worded(json.loads(self._body), self._call, self._played)).encode()
        MutableHeaders(scope=start)["content-length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def worded(data: Any, call: str, played: Played) -> Any:
    """An answer in the words of the server that is played."""
    if not isinstance(data, dict):
        return data
    if "error" in data:
        return {**data, "error": _error(data["error"], played)}
    if data.get("object") == "list" and call == f"GET {_INSIDE}/batches":
        items = [_batch(item, played) for item in data["data"]]
        return items if played.has_bare_lists else {**data, "data": items}
    if data.get("object") == "batch":
        batch = _batch(data, played)
        is_new = call == f"POST {_INSIDE}/batches"
        return {"job": batch, "warning": ""} if is_new and played.wraps_job else batch
    return data


def _batch(batch: dict[str, Any], played: Played) -> dict[str, Any]:
    shown = dict(batch)
    if shown.get("errors"):
        errors = [_error(error, played) for error in shown["errors"]["data"]]
        shown["errors"] = {**shown["errors"], "data": errors}
    if played.has_iso_dates:
        for name, value in shown.items():
            if name.endswith("_at") and isinstance(value, int):
                shown[name] = datetime.fromtimestamp(value, UTC).isoformat()
    return shown


def _error(error: dict[str, Any], played: Played) -> dict[str, Any]:
    code = error.get("code")
    if not played.camel_codes or not isinstance(code, str):
        return error
    return {**error, "code": _UNDERSCORE.sub(lambda found: found[1].upper(), code)}


def _inside(path: str, method: str, played: Played) -> str | None:
    """Where a call goes inside; `None` where that server has nothing."""
    if not path.startswith(f"{played.path}/"):
        return None
    rest = path.removeprefix(played.path)
    if played.is_dated:
        rest = _DEPLOYMENT.sub("", rest)
    if rest.startswith("/files") and not played.takes_files:
        return None
    if played.uploads != "/files" and method == "POST":
        if rest == "/files":
            return None
        rest = "/files" if rest == played.uploads else rest
    return _INSIDE + rest


def _is_let_in(scope: Scope, played: Played) -> bool:
    """Whether a call says which version it is made to, and has its key where it belongs."""
    if not played.is_dated:
        return True
    query: Mapping[str, list[str]] = parse_qs(scope["query_string"].decode("latin-1"))
    return "api-version" in query and "api-key" in Headers(scope=scope)


def _with_bearer(headers: list[tuple[bytes, bytes]], played: Played) -> list[tuple[bytes, bytes]]:
    """The headers with the key where it is looked for inside."""
    if not played.is_dated:
        return headers
    keys = [value for name, value in headers if name == b"api-key"]
    others = [(name, value) for name, value in headers if name != b"authorization"]
    return [*others, *((b"authorization", b"Bearer " + key) for key in keys)]
