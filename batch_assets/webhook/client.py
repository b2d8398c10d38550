"""One POST to the webhook. Its address may hold a token: it is in no error and no log."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from batch_assets.domain.addresses import is_loopback

if TYPE_CHECKING:
    import httpx2

TIMEOUT_SECONDS: Final = 10.0
"""For connecting, for sending and for the answer, each."""


class WebhookError(Exception):
    """It was not delivered; the message is the reason, without the address."""


class Webhook:
    """Somebody who wants to hear of alerts; connects for each POST, since there are few."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds

    def post(self, body: Mapping[str, object]) -> None:
        """Send a JSON object; no redirect is followed and the answer's body is not read.

        Raises `WebhookError` unless the answer is 2xx, and has come in all of that time twice over,
        however many bytes of it have come in between.
        """
        reasons: list[str] = []
        call = threading.Thread(target=lambda: reasons.append(self._post(body)), daemon=True)
        call.start()
        call.join(2 * self._timeout_seconds)
        reason = reasons[0] if reasons else "it did not answer in time"
        if reason:
            # Raised out here, the error has no cause: that would quote the address.
            raise WebhookError(reason)

    def _post(self, body: Mapping[str, object]) -> str:
        """Why it was not delivered; empty if it was."""
        # Imported here: it takes a sixth of a second, and most runs have nothing to tell.
        import httpx2  # noqa: PLC0415 (see above)

        try:
            with (
                _unlogged(self._url),
                self._client(httpx2.URL(self._url)) as client,
                client.stream("POST", self._url, json=body) as answer,
            ):
                return "" if answer.is_success else f"it answered {answer.status_code}"
        # A host's name that no resolver takes is a UnicodeError.
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            return type(error).__name__

    def _client(self, url: "httpx2.URL") -> "httpx2.Client":
        import httpx2  # noqa: PLC0415 (see above)

        return httpx2.Client(
            timeout=self._timeout_seconds,
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
