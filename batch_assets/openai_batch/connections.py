"""The SDK's clients, and the one place where its exceptions become failures.

Importing this module costs most of a second (`import openai`): only `client` does, when it is used
for the first time.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

import httpx2
import openai

from batch_assets.domain.addresses import is_loopback
from batch_assets.openai_batch.downloads import whole_lines
from batch_assets.openai_batch.failures import API_ERRORS, classify, date_of
from batch_assets.openai_batch.gate import Gate
from batch_assets.openai_batch.listings import ServerClock
from batch_assets.openai_batch.operations import Operation, Timeouts
from batch_assets.openai_batch.results import read_json

_Result = TypeVar("_Result")


class RawAnswer(Protocol):
    """What the SDK's `with_raw_response` gives: the answer as it was sent."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Looked up whatever the case."""

    @property
    def text(self) -> str:
        """The body."""


class Connections:
    """Two clients with a pool each: one repeats calls that failed, the other never does."""

    def __init__(
        self,
        api_key: str,
        base_url: str,
        timeouts: Timeouts,
        *,
        reading_retries: int,
        max_connections: int,
        gate: Gate,
    ) -> None:
        def client(*, seconds: float, retries: int, follow_redirects: bool) -> openai.OpenAI:
            pool = httpx2.Client(
                timeout=httpx2.Timeout(seconds, connect=timeouts.connect, pool=timeouts.connect),
                limits=httpx2.Limits(
                    max_connections=max_connections, max_keepalive_connections=max_connections
                ),
                follow_redirects=follow_redirects,
                # A proxy in the environment is for the way out, not for this machine.
                trust_env=not is_loopback(httpx2.URL(base_url).host),
            )
            return openai.OpenAI(
                api_key=api_key, base_url=base_url, max_retries=retries, http_client=pool
            )

        self.reading = client(seconds=timeouts.read, retries=reading_retries, follow_redirects=True)
        # A redirect can turn a POST into a GET, or send it a second time.
        self.creating = client(seconds=timeouts.create, retries=0, follow_redirects=False)
        self._gate = gate
        self.clock = ServerClock()

    def call(
        self,
        operation: Operation,
        request: Callable[[], RawAnswer],
        read: Callable[[object], _Result],
    ) -> _Result:
        """What `read` makes of the JSON that `request` is answered with, `None` if with nothing.

        ApiError if there is no answer, or none that `read` understands, or if the gate is shut.
        """
        with self._gate.attempt(operation):
            try:
                answer = request()
                self.clock.note(date_of(answer.headers))
                text = answer.text
                return read(read_json(text) if text else None)
            except API_ERRORS as error:
                failure = classify(error, operation)
            # Raised out here, the error has no cause or context: those may quote a text or the key.
            raise failure

    def lines(self, file_id: str) -> Iterator[bytes]:
        """The lines of a file as they arrive. ApiError, also in the middle of it."""
        with self._gate.attempt(Operation.DOWNLOAD_FILE):
            try:
                with self.reading.files.with_streaming_response.content(file_id) as response:
                    yield from whole_lines(response.iter_bytes())
            except API_ERRORS as error:
                failure = classify(error, Operation.DOWNLOAD_FILE)
            else:
                return
            raise failure

    def close(self) -> None:
        """Give all connections back."""
        self.reading.close()
        self.creating.close()
