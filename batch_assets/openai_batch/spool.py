"""The input file on disk: written line by line, readable by nobody else, gone afterwards.

A file lies in a directory that only its owner may enter and is locked by the process that writes
it. The kernel drops that lock with the process, however it ends, so `sweep` can tell what is left
over from what is in use, also across containers that share the directory.
"""

import fcntl
import json
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from batch_assets.domain.errors import ConfigurationError
from batch_assets.openai_batch import limits

_PREFIX = "batch-input-"
_SUFFIX = ".jsonl"

_LINE_SEPARATORS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""Legal inside a JSON string, but a line break to many a reader of lines: sent escaped."""


class InputFile:
    """One input file, from its first line to its removal; use it as a context manager.

    Lines go to disk as they come, so memory holds one of them. `add` takes a line or leaves it:
    what is on disk never exceeds the two limits.
    """

    def __init__(
        self,
        spool_dir: Path,
        *,
        max_bytes: int = limits.MAX_FILE_BYTES,
        max_requests: int = limits.MAX_REQUESTS,
    ) -> None:
        self._spool_dir = spool_dir
        self._max_bytes = max_bytes
        self._max_requests = max_requests
        self.path = spool_dir / f"{_PREFIX}{uuid4().hex}{_SUFFIX}"
        self.requests = 0
        """Lines written."""
        self.bytes = 0
        """Bytes written, line ends included: what the upload will send."""

    def __enter__(self) -> Self:
        _private_directory(self._spool_dir)
        # O_EXCL also refuses a symbolic link that someone put in the way.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._file = os.fdopen(descriptor, "wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Removed first: closing writes what is buffered and fails on a full disk.
        self.path.unlink(missing_ok=True)
        self._file.close()

    def add(self, custom_id: str, body: Mapping[str, object]) -> bool:
        """Append one request. False: it would exceed a limit, and nothing was written.

        False on an empty file means that this request alone is too large ever to be sent. The
        caller sees to it that no `custom_id` comes twice.
        """
        line = _line(custom_id, body)
        if self.requests >= self._max_requests or self.bytes + len(line) > self._max_bytes:
            return False
        self._file.write(line)
        self.requests += 1
        self.bytes += len(line)
        return True

    def finish(self) -> Path:
        """Hand what is buffered to the system; the file can be uploaded until the context ends."""
        self._file.flush()
        return self.path


def sweep(spool_dir: Path, older_than_seconds: float) -> int:
    """Remove input files whose process is gone and that are older; how many were removed.

    The age protects a file in the instant between its creation and its lock.
    """
    newest = time.time() - older_than_seconds
    leftovers = spool_dir.glob(f"{_PREFIX}*{_SUFFIX}")
    return sum(_removed(path, newest) for path in leftovers)


def _removed(path: Path, newest: float) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        # Another sweep was faster, or it is a link, which is never ours.
        return False
    try:
        if os.fstat(descriptor).st_mtime > newest:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _line(custom_id: str, body: Mapping[str, object]) -> bytes:
    request = {"custom_id": custom_id, "method": "POST", "url": limits.ENDPOINT, "body": body}
    text = json.dumps(request, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for separator, escaped in _LINE_SEPARATORS.items():
        text = text.replace(separator, escaped)
    # Half a surrogate pair is no text: it is sent as a question mark, not allowed to stop a batch.
    return text.encode("utf-8", "replace") + b"\n"


def _private_directory(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationError(
            f"The spool directory {path} must belong to the user that runs this and be closed to "
            "all others: choose another one, or run `chmod 700` on it."
        )
