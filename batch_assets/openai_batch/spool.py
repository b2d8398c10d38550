"""Files on their way to the server and from it: readable by nobody else, gone afterwards.

They lie in a directory of their own, which is locked by the process that made it. The kernel drops
that lock with the process, however it ends, so `sweep` can tell what is left over from what is in
use, also across containers that share the parent directory.
"""

import errno
import fcntl
import io
import os
import shutil
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from batch_assets.domain.custom_ids import custom_id_of
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.json_text import texts_as_json
from batch_assets.openai_batch.profiles import COMPATIBLE, Profile

LINE_BYTES = 106
"""Of a line beside its request's body, with a `custom_id` as LiveDash makes its ids."""

_PREFIX = "batch-files-"


class Spool:
    """A directory for the files of one piece of work, from its first file to the removal of all.

    Its input files are written as a server of this profile wants them. Use it as a context manager.

    Raises:
        ConfigurationError: On entry: the parent is open to others, or nothing can be made in it.
    """

    def __init__(self, spool_dir: Path, profile: Profile = COMPATIBLE) -> None:
        self._spool_dir = spool_dir
        self._profile = profile
        self.path = spool_dir / f"{_PREFIX}{uuid4().hex}"

    def __enter__(self) -> Self:
        try:
            _private_directory(self._spool_dir)
            self.path.mkdir(mode=0o700)
        except OSError as error:
            raise ConfigurationError(not_kept(self._spool_dir, error)) from None
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.path)
        os.close(self._lock)

    def new_path(self) -> Path:
        """Choose where another file may be made."""
        return self.path / f"{uuid4().hex}.jsonl"

    def input_file(
        self,
        *,
        max_bytes: int | None = None,
        max_requests: int | None = None,
    ) -> "InputFile":
        """Begin a new input file, to be written in a context and uploaded after it.

        Without a limit of its own it has the server's.
        """
        return InputFile(
            self.new_path(),
            self._profile.max_file_bytes if max_bytes is None else max_bytes,
            self._profile.max_requests if max_requests is None else max_requests,
            self._profile,
        )


class InputFile:
    """One input file. It is complete, and closed, when its context ends; an error removes it.

    Lines go to disk as they come, so memory holds one of them. `add` takes a line or leaves it:
    what is on disk never exceeds the two limits.
    """

    def __init__(self, path: Path, max_bytes: int, max_requests: int, profile: Profile) -> None:
        self.path = path
        where = b',"method":"POST","url":' + texts_as_json(profile.endpoint)
        self._between = (where if profile.lines_say_where else b"") + b',"body":'
        self._max_bytes = max_bytes
        self._max_requests = max_requests
        self.requests = 0
        """Lines written."""
        self.bytes = 0
        """Bytes written, line ends included: what the upload will send."""
        self.first_id = ""
        """The request of the first line."""

    def __enter__(self) -> Self:
        self._file = open(self.path, "xb", opener=_private)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # Writes what is buffered, and fails on a full disk.
            self._file.close()
        except OSError:
            self.remove()
            raise
        if kind is not None:
            self.remove()

    def add(self, request_id: str, body: bytes) -> bool:
        """Append one request. False: it would exceed a limit, and nothing was written.

        Its body is JSON as `domain.json_text` writes it. False on an empty file means that this
        request alone is too large ever to be sent. The caller sees to it that no request comes
        twice.
        """
        custom_id = texts_as_json(custom_id_of(request_id))
        line = b"".join((b'{"custom_id":', custom_id, self._between, body, b"}\n"))
        if self.requests >= self._max_requests or self.bytes + len(line) > self._max_bytes:
            return False
        self._file.write(line)
        self.first_id = self.first_id or request_id
        self.requests += 1
        self.bytes += len(line)
        return True

    def remove(self) -> None:
        """Remove the file before its spool goes."""
        self.path.unlink(missing_ok=True)


def not_kept(spool_dir: Path, error: OSError) -> str:
    """Say, in a sentence for people, that no file can be kept there."""
    why = os.strerror(error.errno) if error.errno else type(error).__name__
    return (
        f"No file can be kept in the spool directory {spool_dir} ({why}): make room on its disk, "
        "see to it that the user who runs this may write there, or set BATCH_SPOOL_DIR to another "
        "place."
    )


def sweep(spool_dir: Path, older_than_seconds: float) -> int:
    """Remove spools whose process is gone and that are older; how many were removed.

    The age protects one in the instant between its creation and its lock.
    """
    newest = time.time() - older_than_seconds
    return sum(_removed(path, newest) for path in spool_dir.glob(f"{_PREFIX}*"))


def _removed(path: Path, newest: float) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        # Another sweep was faster, or it is a link or a file, which is never ours.
        return False
    try:
        if os.fstat(descriptor).st_mtime > newest:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def require_usable(spool_dir: Path) -> None:
    """See that files can be kept in a directory, which need not be there yet; nothing is made.

    Raises:
        ConfigurationError: They cannot, or others could read them.
    """
    nearest = next(one for one in (spool_dir, *spool_dir.parents) if one.exists())
    if nearest == spool_dir and spool_dir.is_dir():
        _require_private(spool_dir)
    why = 0
    if not nearest.is_dir():
        why = errno.ENOTDIR
    elif not os.access(nearest, os.W_OK | os.X_OK):
        why = errno.EACCES
    if why:
        raise ConfigurationError(not_kept(spool_dir, OSError(why, os.strerror(why))))


def _private_directory(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_private(path)


def _require_private(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationError(
            f"The spool directory {path} must belong to the user that runs this and be closed to "
            "all others: choose another one, or run `chmod 700` on it."
        )


class TimedFile(io.FileIO):
    """A file to upload that gives no more bytes after `seconds`: a slow upload ends some time."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__(path, "rb")
        self._end = time.monotonic() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as from any file.

        Raises:
            TimeoutError: The time is up.
        """
        if time.monotonic() > self._end:
            raise TimeoutError("the upload takes too long")
        return super().read(-1 if size is None else size) or b""
