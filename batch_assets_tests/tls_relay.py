"""TLS in front of a real PostgreSQL: the programs of the wheel are built without it.

What a client checks of a certificate it checks here as with PostgreSQL itself. Behind it all goes
on to the server as it is.
"""

import asyncio
import ssl
import struct
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, make_url

_SSL_REQUEST, _GSS_REQUEST = (struct.pack("!II", 8, code) for code in (80877103, 80877104))


@contextmanager
def tls_relay(url: str, certificate: Path | None) -> Iterator[URL]:
    """The URL of the same database on 127.0.0.1, with that certificate; `None`: without TLS."""
    relay = _Relay(make_url(url), certificate)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(relay.listen(), loop).result()
    try:
        port = listening.sockets[0].getsockname()[1]
        yield make_url(url).difference_update_query(["host"]).set(host="127.0.0.1", port=port)
    finally:
        asyncio.run_coroutine_threadsafe(relay.close(listening), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Relay:
    def __init__(self, url: URL, certificate: Path | None) -> None:
        self._url = url
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[StreamWriter] = []

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._attend, "127.0.0.1", 0)

    async def close(self, listening: asyncio.Server) -> None:
        listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        # What is aborted is closed by the loop, a turn later.
        await asyncio.sleep(0.01)

    async def _attend(self, client: StreamReader, to_client: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.append(to_client)
        # Whoever does not trust the certificate breaks off.
        with suppress(OSError, asyncio.IncompleteReadError):
            first = await client.readexactly(8)
            while first in (_SSL_REQUEST, _GSS_REQUEST):
                if first == _SSL_REQUEST and self._tls is not None:
                    to_client.write(b"S")
                    await to_client.start_tls(self._tls)
                else:
                    to_client.write(b"N")
                first = await client.readexactly(8)
            server, to_server = await self._connect()
            self._writers.append(to_server)
            to_server.write(first)
            await asyncio.gather(_pass_on(client, to_server), _pass_on(server, to_client))
        to_client.close()
        self._tasks.discard(task)

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        host = str(self._url.query.get("host", self._url.host))
        port = self._url.port or 5432
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)


async def _pass_on(source: StreamReader, sink: StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()
