"""What is known of a host: that it is this machine, and what it has run out of, in a sentence."""

import errno
import ipaddress
from collections.abc import Iterator
from typing import Final

_LATER: Final = "Nothing is lost, and the next run goes on."
_NO_DESCRIPTORS: Final = (
    "This process may open no more files and connections: raise its limit (`ulimit -n`), or lower "
    f"MAX_CONCURRENT_COMPANIES. {_LATER}"
)
_NO_MEMORY: Final = (
    "This process has no memory left: give it more, or let it do less at a time "
    f"(MAX_CONCURRENT_COMPANIES, BATCH_MAX_REQUESTS). {_LATER}"
)
_NO_ROOM: Final = (
    "A disk of this host has no room left: make room where BATCH_SPOOL_DIR, DAGSTER_HOME and the "
    f"temporary files are. {_LATER}"
)
_NO_CHANGES: Final = (
    "A disk of this host takes no changes: make BATCH_SPOOL_DIR, DAGSTER_HOME and the place of "
    f"temporary files such that they may be written. {_LATER}"
)
_BY_NUMBER: Final = {
    errno.EMFILE: _NO_DESCRIPTORS,
    errno.ENFILE: _NO_DESCRIPTORS,
    errno.ENOMEM: _NO_MEMORY,
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: _NO_ROOM,
    errno.EROFS: _NO_CHANGES,
}
# libpq says why it has no connection in words alone.
_BY_WORDS: Final = {"Too many open files": _NO_DESCRIPTORS, "out of memory": _NO_MEMORY}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or its address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run_out(error: BaseException) -> str | None:
    """Say what this host has run out of; `None` if an error does not come from that."""
    for cause in _causes(error):
        if isinstance(cause, MemoryError):
            return _NO_MEMORY
        if isinstance(cause, OSError) and cause.errno in _BY_NUMBER:
            return _BY_NUMBER[cause.errno]
    return None


def run_out_by_words(said: str) -> str | None:
    """Say the same of what libpq says of a connection that it could not make."""
    return next((meant for words, meant in _BY_WORDS.items() if words in said), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
