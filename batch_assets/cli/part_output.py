"""Where Dagster's programs print: a file that does not grow for ever.

While a database is away they print a megabyte a minute of frames. So it is no matter for the
terminal, which has a sentence of ours for it.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, cast

MOST_BYTES: Final = 10_000_000
"""The file is begun anew after that; the one before it is kept beside it."""
_PIECE_BYTES: Final = 65_536
_LAST_SECONDS: Final = 2.0


@contextmanager
def bounded_log(path: Path, most_bytes: int = MOST_BYTES) -> Iterator[BinaryIO]:
    """A file for programs to print into, which `path` has, or a name with `.1` once that is full.

    Raises:
        OSError: It cannot be written.
    """
    log = path.open("wb")
    reading, writing = os.pipe()
    thread = threading.Thread(
        target=_pump, args=(reading, log, path, most_bytes), name="log", daemon=True
    )
    thread.start()
    try:
        with os.fdopen(writing, "wb", buffering=0) as output:
            yield cast("BinaryIO", output)
    finally:
        # What was started and outlives this would print on: it is not waited for.
        thread.join(_LAST_SECONDS)


def _pump(reading: int, log: BinaryIO, path: Path, most_bytes: int) -> None:
    written = 0
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while piece := pipe.read(min(_PIECE_BYTES, most_bytes)):
            # A full disk must not hold up who prints: what cannot be kept is let go.
            with suppress(OSError):
                if written + len(piece) > most_bytes:
                    log.close()
                    path.replace(path.with_name(f"{path.name}.1"))
                    log = path.open("wb")
                    written = 0
                log.write(piece)
                log.flush()
                written += len(piece)
    log.close()
