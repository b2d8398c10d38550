"""The prepared API in a process of its own, so that its work is not the pipeline's."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from benchmarks.comparison.own_process import context, end_with_parent
from benchmarks.comparison.prepared_api import PreparedApi, Served
from benchmarks.comparison.sizes import Size

_HOST = "127.0.0.1"
_MOST_SECONDS = 600.0


@contextmanager
def api_server(size: Size) -> Iterator[str]:
    """The base URL of a server that is empty, and runs batches when `let_batches_end` says so."""
    with socket.create_server((_HOST, 0), backlog=512) as listening:
        # An answer is sent in two pieces: else the second waits until the first is acknowledged.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        process = context().Process(target=_serve, args=(listening, size), name="prepared-api")
        process.start()
        try:
            yield f"http://{_HOST}:{listening.getsockname()[1]}/v1"
        finally:
            process.terminate()
            process.join()
            process.close()


def let_batches_end(base_url: str) -> None:
    """Have the server run every batch that it has, and return when they have ended."""
    _ask(base_url, "end")


def served(base_url: str) -> Served:
    """What has been asked of it up to now."""
    return Served(**_ask(base_url, "served"))


def _ask(base_url: str, what: str) -> dict[str, Any]:
    url = f"{base_url.removesuffix('/v1')}/_bench/{what}"
    answer = httpx2.get(url, trust_env=False, timeout=_MOST_SECONDS).raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _serve(listening: socket.socket, size: Size) -> None:
    import uvicorn  # noqa: PLC0415 (what is measured is forked from the same imports, without it)

    end_with_parent()
    app = PreparedApi(size.delay, size.at_a_time)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="error",
        lifespan="off",
        # Longer than the client keeps a connection: what one closes as the other sends is lost.
        timeout_keep_alive=75,
    )
    asyncio.run(uvicorn.Server(config).serve([listening]))
