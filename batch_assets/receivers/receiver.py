"""What every receiver is handed, how it posts, and how it says what became of it."""

import hashlib
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from batch_assets.domain.alerts.records import AlertState, Severity
from batch_assets.domain.display import plain, unlinked
from batch_assets.domain.hosts import is_loopback

_EVENTS: Final = uuid.UUID("6f1f9c1a-6d3e-5a0b-9a52-2f7d9d6f0c11")
TIMEOUT_SECONDS: Final = 10.0
"""For connecting, for sending and for the answer, each."""


class DeliveryError(Exception):
    """A failed delivery; the message is the reason, without address or key."""


class RefusedError(DeliveryError):
    """A delivery that was refused for good, as the same would be again under these settings."""


@dataclass(frozen=True, slots=True)
class Sender:
    """From where a change is reported: an installation, in one of its runs."""

    installation_id: str
    database: str
    run_id: str
    ui_url: str | None = None

    @property
    def run_url(self) -> str | None:
        """The run's page, where it is known where the UI is."""
        return f"{self.ui_url.rstrip('/')}/runs/{self.run_id}" if self.ui_url else None


@dataclass(frozen=True, slots=True)
class Notification:
    """One change of one alert. In its texts no name of others is a command, a link or markup."""

    name: str
    is_raised: bool
    severity: Severity
    """Of a resolved alert, as it was raised."""
    summary: str
    what_to_do: str
    """Empty once it is resolved, as is `behind`. Commands stand between backticks."""
    behind: tuple[str, ...]
    since: datetime
    """When the change was seen, by the database's clock."""
    sender: Sender

    @property
    def state(self) -> str:
        """The word for what it is now."""
        return "raised" if self.is_raised else "resolved"

    @property
    def event_id(self) -> str:
        """The same each time that the same change is delivered."""
        change = [self.sender.installation_id, self.name, self.state, self.since.isoformat()]
        return str(uuid.uuid5(_EVENTS, "/".join(change)))


class Receiver(Protocol):
    """Somebody who is told of each change of an alert, at least once and in order."""

    name: str
    """Under it is kept what was delivered; it never changes."""

    @property
    def fingerprint(self) -> str:
        """What changes with the address and the key, and shows neither; see `fingerprint_of`."""

    def deliver(self, notification: Notification) -> None:
        """Hand over one change; return once the receiver has said that it has it.

        Raises:
            RefusedError: never to be repeated under these settings.
            DeliveryError: for whatever else it was not delivered; a later run tries again.
        """


def fingerprint_of(*settings: str) -> str:
    """Make a short digest of settings that may be secret, by which a change of them is noticed."""
    return hashlib.sha256("\n".join(settings).encode()).hexdigest()[:16]


def notification_of(
    state: AlertState, *, what_to_do: str, behind: tuple[str, ...], sender: Sender
) -> Notification:
    """Make what receivers are handed for one change: the one place where its texts become safe."""
    return Notification(
        name=state.name,
        is_raised=state.is_raised,
        severity=state.severity,
        summary=plain(state.summary),
        what_to_do=unlinked(what_to_do),
        behind=tuple(plain(one) for one in behind),
        since=state.since,
        sender=sender,
    )


def post_json(
    url: str, body: Mapping[str, object], *, timeout_seconds: float = TIMEOUT_SECONDS
) -> int:
    """POST a JSON object and return the status; no redirect is followed, and no answer read.

    It connects for each POST, since there are few, and takes twice `timeout_seconds` at most,
    however many bytes of the answer have come in between.

    Raises:
        DeliveryError: there was no answer in that time; the message is the reason alone.
    """
    answers: list[int | str] = []
    call = threading.Thread(
        target=lambda: answers.append(_answer(url, body, timeout_seconds)), daemon=True
    )
    call.start()
    call.join(2 * timeout_seconds)
    answer = answers[0] if answers else "it did not answer in time"
    if isinstance(answer, str):
        # Raised out here, the error has no cause: that would quote the address.
        raise DeliveryError(answer)
    return answer


def _answer(url: str, body: Mapping[str, object], timeout_seconds: float) -> int | str:
    """The status, or why there is none: a class's name, since an error may quote the address."""
    # Imported here: it takes a sixth of a second, and most runs have nothing to deliver.
    import httpx2  # noqa: PLC0415 (see above)

    try:
        return _post(url, body, timeout_seconds)
    # A host's name that no resolver takes is a UnicodeError.
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        return type(error).__name__
    # Whatever it is: it is about the way out, and keeps nobody else from being told.
    except Exception as error:
        return (
            f"no call could be made, {type(error).__name__}: see what HTTPS_PROXY, NO_PROXY and "
            "SSL_CERT_FILE are here"
        )


def _post(url: str, body: Mapping[str, object], timeout_seconds: float) -> int:
    import httpx2  # noqa: PLC0415 (see above)

    there = httpx2.URL(url)
    with (
        httpx2.Client(
            timeout=timeout_seconds,
            follow_redirects=False,
            # A proxy in the environment is for the way out, not for this machine.
            trust_env=not is_loopback(there.host),
        ) as client,
        _unlogged(),
        client.stream("POST", there, json=body) as answer,
    ):
        return int(answer.status_code)


_CLIENTS: Final = frozenset({"httpx2", "httpcore2"})
"""The libraries that log what they are asked for: address, headers, and what was answered."""


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep the client from logging what this thread asks for, however it spells that.

    It does so for whoever wants to know, and an address may be a secret. A filter at a logger does
    not see the records of those below it: so each of them has one. They are there with the client.
    """
    thread = threading.get_ident()

    def is_of_another(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logs = [
        logging.getLogger(name)
        for name in list(logging.root.manager.loggerDict)
        if name.partition(".")[0] in _CLIENTS
    ]
    for log in logs:
        log.addFilter(is_of_another)
    try:
        yield
    finally:
        for log in logs:
            log.removeFilter(is_of_another)
