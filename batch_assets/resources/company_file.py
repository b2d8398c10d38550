"""The active companies in a file, shared by all processes of a host that work on one database.

The directory lets nobody else in, the file's name is made from the database's identity, and the
file holds ids and names only. It is replaced as a whole, so that a reader finds the old answer or
the new one. The lock is the kernel's: it is free again when its holder dies, however it dies.
"""

import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from filelock import FileLock, Timeout
from psycopg.pq import Conninfo
from pydantic import BaseModel, ConfigDict, ValidationError

from batch_assets.domain.records import Company
from batch_assets.store.urls import application_url

# Both go on while the host sleeps, which is not what each system's CLOCK_MONOTONIC does.
_UPTIME_CLOCK = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC

_IDENTITY = ("host", "hostaddr", "port", "dbname", "user", "service")


class UnusableFileError(Exception):
    """The file cannot be read, written or locked as it is; the message is the reason, in words."""


@dataclass(frozen=True)
class Instant:
    """A moment on this host, by two clocks that all its processes share.

    One alone would not do: the wall clock can be set back, and the uptime begins anew with each
    boot and stands still in a machine that is saved and restored.
    """

    wall_seconds: float
    uptime_seconds: float

    @classmethod
    def now(cls) -> Self:
        """This moment."""
        return cls(time.time(), time.clock_gettime(_UPTIME_CLOCK))

    def age_seconds(self, now: "Instant") -> float | None:
        """By the clock that says more; `None` if either of them puts it into the future."""
        ages = (now.wall_seconds - self.wall_seconds, now.uptime_seconds - self.uptime_seconds)
        return max(ages) if min(ages) >= 0 else None


class Answer(BaseModel):
    """What the database said, and the moment before it was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    form: Literal[1] = 1
    database: str
    asked_at: Instant
    companies: tuple[Company, ...]


class CompanyFile:
    """The file of one database; every method but `size_bytes` raises `UnusableFileError`.

    The constructor raises `ConfigurationError` for a URL that is not PostgreSQL's.
    """

    def __init__(self, directory: Path, database_url: str) -> None:
        self.directory = directory
        self._database = _identity(database_url)
        self._path = directory / f"{self._database}.json"

    def read(self) -> Answer | None:
        """Read the answer, however old it is; `None` if there is none.

        Raises:
            UnusableFileError: It cannot be read, or somebody else may have written it.
        """
        try:
            _require_private(self.directory.lstat(), "the directory")
            answer = Answer.model_validate_json(_read_private(self._path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(error) from None
        except ValidationError:
            # Not repeated: it would quote names.
            raise UnusableFileError("its content is damaged") from None
        if answer.database != self._database:
            raise UnusableFileError("its content is another database's")
        return answer

    def write(self, asked_at: Instant, companies: tuple[Company, ...]) -> None:
        """Put an answer into the place of the one before; only for the holder of the lock.

        Others read the one or the other, never a part.

        Raises:
            UnusableFileError: It cannot be written; the one before stays.
        """
        answer = Answer(database=self._database, asked_at=asked_at, companies=companies)
        beside = self._path.with_suffix(".new")
        try:
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(answer.model_dump_json())
            beside.replace(self._path)
        except OSError as error:
            raise _unusable(error) from None

    def forget(self) -> None:
        """Remove the answer; only for the holder of the lock.

        Raises:
            UnusableFileError: It cannot be removed.
        """
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(error) from None

    def size_bytes(self) -> int:
        """How much there is on disk; 0 if nothing is, or nothing that can be looked at."""
        try:
            return self._path.lstat().st_size
        except OSError:
            return 0

    @contextmanager
    def locked(self, wait_seconds: float) -> Iterator[bool]:
        """Try to hold the only lock, waiting no longer than that; yields whether it is held.

        Raises:
            UnusableFileError: The directory cannot be made, is open to others, or holds no lock.
        """
        # A soft lock would outlive a holder that is killed.
        lock = FileLock(self._path.with_suffix(".lock"), mode=0o600, fallback_to_soft=False)
        try:
            _make_private(self.directory)
            lock.acquire(timeout=wait_seconds)
        except Timeout:
            pass
        except OSError as error:
            raise _unusable(error) from None
        try:
            yield lock.is_locked
        finally:
            lock.release()


def _identity(database_url: str) -> str:
    """A name for the database that a URL leads to, as its driver understands it.

    What the URL leaves open, such as the host, libpq takes from its own variables and files. The
    password is no part of it.
    """
    url = application_url(database_url)
    _, given = url.get_dialect()().create_connect_args(url)
    left_open = {
        option.keyword.decode(): option.val.decode() if option.val else None
        for option in Conninfo.get_defaults()
    }
    identity = [str(given.get(name) or left_open.get(name)) for name in _IDENTITY]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def _make_private(directory: Path) -> None:
    # The one above is made as closed as this one: by itself `parents` would leave it open.
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    _require_private(directory.lstat(), "the directory")


def _read_private(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _require_private(os.fstat(descriptor), "it")
        return file.read()


def _require_private(found: os.stat_result, what: str) -> None:
    if found.st_uid != os.geteuid():
        raise UnusableFileError(f"{what} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UnusableFileError(f"{what} is open to other users")


def _unusable(error: OSError) -> UnusableFileError:
    return UnusableFileError(error.strerror or type(error).__name__)
