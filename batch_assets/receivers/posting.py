"""One POST of JSON. Its address and its body may hold a secret: they are in no error and no log."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from batch_assets.domain.hosts import is_loopback
from batch_assets.receivers.receiver import DeliveryError

if TYPE_CHECKING:
    import httpx2

TIMEOUT_SECONDS: Final = 10.0
"""For connecting, for sending and for the answer, each."""


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
        target=lambda: answers.append(_post(url, body, timeout_seconds)), daemon=True
    )
    call.start()
    call.join(2 * timeout_seconds)
    answer = answers[0] if answers else "it did not answer in time"
    if isinstance(answer, str):
        # Raised out here, the error has no cause: that would quote the address.
        raise DeliveryError(answer)
    return answer


def _post(url: str, body: Mapping[str, object], timeout_seconds: float) -> int | str:
    """The status, or why there is none."""
    # Imported here: it takes a sixth of a second, and most runs have nothing to deliver.
    import httpx2  # noqa: PLC0415 (see above)

    try:
        with (
            _unlogged(url),
            _client(httpx2.URL(url), timeout_seconds) as client,
            client.stream("POST", url, json=body) as answer,
        ):
            return int(answer.status_code)
    # A host's name that no resolver takes is a UnicodeError.
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        return type(error).__name__


def _client(url: "httpx2.URL", timeout_seconds: float) -> "httpx2.Client":
    import httpx2  # noqa: PLC0415 (see above)

    return httpx2.Client(
        timeout=timeout_seconds,
        follow_redirects=False,
        # A proxy in the environment is for the way out, not for this machine.
        trust_env=not is_loopback(url.host),
    )


class _Without(logging.Filter):
    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = secret

    def filter(self, record: logging.LogRecord) -> bool:
        return self._secret not in record.getMessage()


@contextmanager
def _unlogged(url: str) -> Iterator[None]:
    """Keep the client from logging what it is asked for, as it does for whoever wants to know."""
    logger, without = logging.getLogger("httpx2"), _Without(url)
    logger.addFilter(without)
    try:
        yield
    finally:
        logger.removeFilter(without)
