"""A server of one machine at an address of a network: `python -m drills.relay ADDRESS:PORT TARGET`.

The target is `HOST:PORT`, or the path of a socket. Bytes go through as they are.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress

_CHUNK = 65_536


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _serve(host: str, port: int, target: str) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = (
                await asyncio.open_unix_connection(target)
                if target.startswith("/")
                else await asyncio.open_connection(*target.rsplit(":", 1))
            )
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))

    async with await asyncio.start_server(relay, host, port) as server:
        await server.serve_forever()


def main(arguments: Sequence[str]) -> None:
    """Serve until told to end."""
    address, target = arguments
    host, port = address.rsplit(":", 1)
    asyncio.run(_serve(host, int(port), target))


if __name__ == "__main__":
    main(sys.argv[1:])
