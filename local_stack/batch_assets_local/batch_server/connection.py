"""Reaching the connection under a request: faults close it where HTTP would not."""

import asyncio
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from batch_assets_local.batch_server.fault_rules import TruncateEffect

_STATE_KEY = "batch_server_connection"


class ReachableProtocol(H11Protocol):
    """uvicorn's own protocol, which also puts itself into the state of each request's scope."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, _STATE_KEY: self}, _loop)


async def drop(scope: Scope, receive: Receive) -> None:
    """Close the connection without another byte, and wait until it is closed."""
    protocol: ReachableProtocol = scope["state"][_STATE_KEY]
    protocol.transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


class TruncatedSend:
    """Passes an answer on until so many bytes of its body were sent, then ends it as told."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, effect: TruncateEffect) -> None:
        """Stand between the answer and the given `send`."""
        self._scope = scope
        self._receive = receive
        self._send = send
        self._effect = effect
        self._left = effect.after_bytes
        self._ended = False

    async def __call__(self, message: Message) -> None:
        """One ASGI message of the answer."""
        if self._ended:
            return
        if message["type"] == "http.response.start":
            await self._send(self._started(message))
            return
        body = message.get("body", b"")
        cut = len(body) >= self._left or not message.get("more_body", False)
        kept = body[: self._left]
        self._left -= len(kept)
        silent = self._effect.framing == "silent"
        await self._send(
            {"type": "http.response.body", "body": kept, "more_body": not (cut and silent)}
        )
        if cut:
            self._ended = True
            if not silent:
                await drop(self._scope, self._receive)

    def _started(self, message: Message) -> Message:
        if self._effect.framing == "content_length":
            return message
        headers = [pair for pair in message["headers"] if pair[0].lower() != b"content-length"]
        return {**message, "headers": headers}
