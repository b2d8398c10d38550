"""The lines of a download, as its bytes arrive."""

from collections.abc import Iterable, Iterator

from batch_assets.domain.failures import ApiError, Failure, FailureKind
from batch_assets.openai_batch import codes, limits
from batch_assets.openai_batch.operations import Operation
from batch_assets.openai_batch.results import read_json


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Each line without its end; memory holds the longest line.

    Lines end at a line feed only: JSON strings may hold every other character that Python's own
    `splitlines` would break at. A line that is longer than any may be is cut, and thus no JSON any
    more. A last line without its end counts if it is whole JSON; otherwise ApiError: the download
    was cut. (Cut exactly between two lines, without a length to compare with, a download looks
    whole: the caller counts what it got.)
    """
    pending: list[bytes] = []
    room = limits.MAX_LINE_BYTES
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        if room > 0:
            pending.append(first[:room])
            room -= len(first)
        if not others:
            continue
        yield b"".join(pending)
        yield from others[:-1]
        pending = [others[-1]]
        room = limits.MAX_LINE_BYTES - len(others[-1])
    last = b"".join(pending)
    if last.strip() or room < 0:
        yield _whole(last)


def _whole(line: bytes) -> bytes:
    try:
        read_json(line.decode("utf-8"))
    except ValueError:
        complete = False
    else:
        complete = True
    if not complete:
        reason = "the file ended in the middle of a line: it has to be read again"
        failure = Failure(FailureKind.TRANSIENT, codes.TRUNCATED, reason)
        raise ApiError(Operation.DOWNLOAD_FILE, failure)
    return line
