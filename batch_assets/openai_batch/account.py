"""One account on one server: its key and address, what is known of its clock, and connections.

Nothing is connected before the first call: most commands make none.
"""

import hashlib
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from batch_assets.domain.errors import ConfigurationError
from batch_assets.openai_batch.concurrency_limit import ConcurrencyLimit, most_in_flight
from batch_assets.openai_batch.limits import NO_END
from batch_assets.openai_batch.listings import NO_TIME
from batch_assets.openai_batch.operations import CallGuard, Timeouts
from batch_assets.openai_batch.profiles import DEFAULT_BASE_URL, Profile, check_dated, profile_of

if TYPE_CHECKING:
    from batch_assets.openai_batch.connections import Connections


@dataclass(frozen=True, slots=True)
class Project:
    """In whose name calls are made beside the key: this decides, too, whose batches are listed."""

    organization: str | None = field(default=None, repr=False)
    id: str | None = field(default=None, repr=False)

    @classmethod
    def of_environment(cls) -> Self:
        """The one that the SDK takes by itself."""
        return cls(os.environ.get("OPENAI_ORG_ID"), os.environ.get("OPENAI_PROJECT_ID"))


def account_of(api_key: str, base_url: str, project: Project | None = None) -> str:
    """Make a short hash of key, address and project, the same only where the same is spoken to.

    None of them can be told from it. There is one, too, of a key that can be none. Without a
    project it is the environment's.
    """
    meant = project or Project.of_environment()
    parts = (api_key, base_url, meant.organization, meant.id)
    return hashlib.sha256("\n".join(part or "" for part in parts).encode()).hexdigest()[:12]


class ApiAccount:
    """One account on one server. Connects with the first call; threads may share it.

    `api_key` and `base_url` are taken as they are: nothing else is looked up in the environment
    but what the SDK adds there (headers) and a proxy, and the project if none is given. Without a
    `profile` the server has that of its host.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str,
        *,
        profile: Profile | None,
        project: Project | None,
        timeouts: Timeouts,
        reading_retries: int,
        guard: CallGuard,
    ) -> None:
        _check_key(api_key)
        self.profile = profile_of(base_url) if profile is None else profile
        _check_url(base_url, self.profile)
        self.timeouts = timeouts
        self.in_flight = ConcurrencyLimit(most_in_flight())
        """How many calls its server takes at one time, as far as that was met."""
        self._api_key = api_key
        self._base_url = base_url
        self._project = project or Project.of_environment()
        self._reading_retries = reading_retries
        self._guard = guard
        self._connections: Connections | None = None
        self._lock = threading.Lock()
        self._stage_ends_at = NO_END

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a later call would connect again."""
        with self._lock:
            if self._connections is not None:
                self._connections.close()
                self._connections = None

    @property
    def account(self) -> str:
        """See `account_of`.

        It is kept with each batch, since what one account lists says nothing of another one's
        batches.
        """
        return account_of(self._api_key, self._base_url, self._project)

    @property
    def clock_ahead(self) -> timedelta:
        """The time that the server's clock is ahead of ours, by its answers; 0 before the first."""
        with self._lock:
            known = self._connections
        return NO_TIME if known is None else known.clock.ahead

    @contextmanager
    def within(self, seconds: float) -> Generator[None, None, None]:
        """Let calls of this context, in whatever thread, fail that do not end by then.

        Synchronous requests take the time that they need.
        """
        before = self._stage_ends_at
        self._stage_ends_at = min(before, time.monotonic() + seconds)
        try:
            yield
        finally:
            self._stage_ends_at = before

    def prepare(self) -> None:
        """Do all that a first call would do before it is sent.

        Raises:
            ConfigurationError: A proxy, certificates or headers of the environment are none.
        """
        self._connect()

    def _connect(self) -> "Connections":
        # The SDK takes most of a second to import, which most commands need not spend.
        from batch_assets.openai_batch.connections import Connections  # noqa: PLC0415 (see above)

        with self._lock:
            if self._connections is None:
                self._connections = Connections(
                    self._api_key,
                    self._base_url,
                    self.timeouts,
                    profile=self.profile,
                    project=self._project,
                    reading_retries=self._reading_retries,
                    limit=self.in_flight,
                    guard=self._guard,
                    stage_ends_at=lambda: self._stage_ends_at,
                )
            return self._connections


def _check_key(api_key: str) -> None:
    # The HTTP library would quote a key that is no header value in its error.
    if not api_key or not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise ConfigurationError(
            "OPENAI_API_KEY is empty or holds a space, a line break or another character that no "
            "key has: set it to the key alone."
        )


def _check_url(base_url: str, profile: Profile) -> None:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not (usable and base_url.isprintable() and " " not in base_url):
        raise ConfigurationError(
            "OPENAI_BASE_URL is no address of an API: set it to one such as "
            f"{DEFAULT_BASE_URL}, or not at all."
        )
    if profile.is_dated:
        check_dated(base_url)
    elif parts.query or parts.fragment:
        raise ConfigurationError(
            "OPENAI_BASE_URL has a query or a fragment, to which no call's path can be added: "
            "leave out what follows the `?` or the `#`."
        )
