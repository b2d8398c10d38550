"""The SDK's clients, and the one place where its exceptions become failures.

Importing this module costs most of a second (`import openai`): only `client` does, when it is used
for the first time.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, BinaryIO, Final, Protocol, TypeVar, cast
from urllib.parse import quote

import httpx2
import openai

from batch_assets.domain.errors import ApiError
from batch_assets.openai_batch.account import Project
from batch_assets.openai_batch.batch_parameters import OPTIONAL, refused_parameters
from batch_assets.openai_batch.concurrency_limit import ConcurrencyLimit
from batch_assets.openai_batch.limits import Bounds, bounded, bounds_of, each_within
from batch_assets.openai_batch.listings import ServerClock
from batch_assets.openai_batch.operations import CallGuard, Operation, Timeouts
from batch_assets.openai_batch.profiles import Profile
from batch_assets.openai_batch.results import read_json, whole_lines
from batch_assets.openai_batch.sdk_clients import NO_TELEMETRY, PooledClient, sdk_client
from batch_assets.openai_batch.sdk_errors import (
    API_ERRORS,
    classify,
    date_of,
    is_rate_limit,
    retry_after_seconds,
    time_is_up,
)
from batch_assets.openai_batch.spans import call_span
from batch_assets.openai_batch.transport import (
    ACCEPTED_ENCODING,
    BoundedTransport,
    check_headers,
    proxy_of,
    proxy_variable,
    trusted,
)

_Result = TypeVar("_Result")

_WRONG = (openai.BadRequestError, openai.UnprocessableEntityError)
"""What a server says to a parameter that it does not take."""
_TIER: Final = "service_tier"
_BESIDE_THE_LIMIT = 4
"""Connections for calls that are made one at a time, and do not wait for a slot."""
_PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before a call is made again that was refused for those beside it, at most."""
_LONGEST_PAUSE = 10.0
"""Who asks for a longer one has no room for it now: a call holds a slot, and others wait for it."""
_IN_A_PATH = "!$&'()*+,;=:@"
"""What stands for itself in a part of a path, beside letters, digits and `-._~` (RFC 3986)."""


class RawAnswer(Protocol):
    """An answer as it was sent: the HTTP library's, or the SDK's `with_raw_response`."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Looked up whatever the case."""

    @property
    def content(self) -> bytes:
        """The body, unpacked."""

    @property
    def text(self) -> str:
        """The body in the encoding that the headers name, or else in UTF-8."""


class Connections:
    """Two clients with a pool each: one repeats calls that failed, the other never does."""

    def __init__(
        self,
        api_key: str,
        base_url: str,
        timeouts: Timeouts,
        *,
        profile: Profile,
        project: Project,
        reading_retries: int,
        limit: ConcurrencyLimit,
        guard: CallGuard,
        stage_ends_at: Callable[[], float],
    ) -> None:
        """Prepare the clients; nothing is sent yet.

        Raises:
            ConfigurationError: A proxy, certificates or headers of the environment are none.
        """
        check_headers(project)
        proxy = proxy_of(base_url)
        verify = trusted(base_url)

        def client(*, seconds: float, retries: int, follow_redirects: bool) -> openai.OpenAI:
            connections = limit.most + _BESIDE_THE_LIMIT
            limits = httpx2.Limits(
                max_connections=connections, max_keepalive_connections=connections
            )
            pool = PooledClient(
                timeout=httpx2.Timeout(seconds, connect=timeouts.connect, pool=timeouts.connect),
                transport=BoundedTransport(verify=verify, limits=limits, proxy=proxy, limit=limit),
                headers={"accept-encoding": ACCEPTED_ENCODING},
                follow_redirects=follow_redirects,
                trust_env=False,
            )
            return sdk_client(profile, api_key, base_url, project, retries=retries, pool=pool)

        self.reading = client(seconds=timeouts.read, retries=reading_retries, follow_redirects=True)
        # A redirect can turn a POST into a GET, or send it a second time.
        self.creating = client(seconds=timeouts.create, retries=0, follow_redirects=False)
        self._root = str(self.reading.base_url)
        self._options = _options_of(self.reading)
        self._creating_options = _options_of(self.creating)
        self._guard = guard
        self._limit = limit
        self.clock = ServerClock()
        self._timeouts = timeouts
        self._stage_ends_at = stage_ends_at
        self._proxy = proxy_variable(base_url)
        self._profile = profile

    def upload(
        self, stream: BinaryIO, name: str, fields: Mapping[str, object], refused: set[str]
    ) -> RawAnswer:
        """Send an input file, by one POST, to where the server takes them.

        `fields` are those of the form that the server can do without; the ones that it is refused
        for are added to `refused`.
        """
        stream.seek(0)
        form = {"purpose": self._profile.purpose, **fields}
        if self._profile.names_file_apart:
            form["file_name"] = name
        try:
            return self.creating.post(
                self._root + self._profile.upload_path.lstrip("/"),
                cast_to=httpx2.Response,
                body=form,
                files=[("file", (name, stream, "application/jsonl"))],
                options=_with(self._creating_options, {"Content-Type": "multipart/form-data"}),
            )
        except _WRONG as error:
            refused |= refused_parameters(error.response.text, fields)
            raise

    def create_batch(self, asked: Mapping[str, Any], refused: set[str]) -> RawAnswer:
        """Create a batch by one POST; parameters that it is refused for are added to `refused`."""
        try:
            return self.creating.post(
                self._root + "batches",
                cast_to=httpx2.Response,
                body=asked,
                options=self._creating_options,
            )
        except _WRONG as error:
            refused |= refused_parameters(error.response.text, OPTIONAL & asked.keys())
            raise

    def complete(
        self, body: Mapping[str, Any], call_id: str, refused: set[str], *, by_flex: bool
    ) -> RawAnswer:
        """Send a synchronous request by one POST; the tier is added to `refused` if that is why.

        The default tier is not named: servers that know of none take such a call, too.
        """
        create: Any = self.creating.chat.completions.with_raw_response.create
        headers = {"X-Client-Request-Id": call_id}
        if not by_flex:
            return cast("RawAnswer", create(**body, extra_headers=headers))
        connect = self._timeouts.connect
        seconds = httpx2.Timeout(self._timeouts.flex, connect=connect, pool=connect)
        asked = {**body, _TIER: "flex"}
        try:
            return cast("RawAnswer", create(**asked, extra_headers=headers, timeout=seconds))
        except _WRONG as error:
            refused |= refused_parameters(error.response.text, (_TIER,))
            raise

    def get(self, *path: str, query: Mapping[str, object] | None = None) -> RawAnswer:
        """Ask for what is at a path, whose parts are quoted here.

        Raises:
            ValueError: A part is none that a path can hold.
        """
        options: Any = {**self._options, "params": query} if query else self._options
        return self.reading.get(self._url(path), cast_to=httpx2.Response, options=options)

    def post(self, *path: str) -> RawAnswer:
        """Ask for a change that may be asked for twice, by a POST without a body; see `get`."""
        url = self._url(path)
        return self.reading.post(url, cast_to=httpx2.Response, options=self._options)

    def delete(self, *path: str) -> RawAnswer:
        """Delete what is at a path; see `get`."""
        url = self._url(path)
        return self.reading.delete(url, cast_to=httpx2.Response, options=self._options)

    def _url(self, path: tuple[str, ...]) -> str:
        """The URL of a path. A whole one is read by the SDK once, a part of one three times."""
        if not all(part.strip(".") for part in path):
            raise ValueError("a path cannot hold this")
        return self._root + "/".join(quote(part, _IN_A_PATH) for part in path)

    def call(
        self,
        operation: Operation,
        request: Callable[[], RawAnswer],
        read: Callable[[object], _Result],
    ) -> _Result:
        """Make a call: what `read` makes of the JSON of its answer, or of `None` if it is empty.

        Raises:
            ApiError: There is no answer or none that `read` understands, or the guard lets no call
                be made.
        """
        bounds = self._bounds(operation)
        with self._guard.attempt(operation), call_span(operation):
            try:
                with bounded(bounds):
                    answer = self._answered(request, bounds)
                self.clock.note(date_of(answer.headers))
                content = answer.content
                # Which encoding the headers name is not looked for where it makes no difference.
                text = content.decode() if content.isascii() else answer.text
                return read(read_json(text) if text else None)
            except API_ERRORS as error:
                failure = self._failure(error, operation, bounds)
            # Raised out here, the error has no cause or context: those may quote a text or the key.
            raise failure

    def _answered(self, request: Callable[[], RawAnswer], bounds: Bounds) -> RawAnswer:
        """The answer; what was refused for the calls beside it is asked for again, a few times.

        Nothing was made by then: the server says so. Alone, a refusal is what it says.
        """
        for pause in _PAUSES:
            try:
                return request()
            except openai.RateLimitError as error:
                asked = retry_after_seconds(error.response.headers) or 0.0
                seconds = max(asked, random.uniform(pause / 2, pause))  # noqa: S311 (no secret)
                is_of_the_rate = is_rate_limit(error) and self._limit.is_shared
                if not is_of_the_rate or seconds > min(bounds.seconds_left, _LONGEST_PAUSE):
                    raise
            time.sleep(seconds)
        return request()

    def lines(self, file_id: str) -> Iterator[bytes]:
        """Iterate over the lines of a file as they arrive.

        Raises:
            ApiError: The file is not given, or not to its end.
        """
        operation = Operation.DOWNLOAD_FILE
        bounds = self._bounds(operation)
        with self._guard.attempt(operation), call_span(operation):
            try:
                with bounded(bounds):
                    response = self._opened("files", file_id, "content")
                with closing(response):
                    yield from whole_lines(each_within(bounds, response.iter_bytes()))
            except API_ERRORS as error:
                failure = self._failure(error, operation, bounds)
            else:
                return
            raise failure

    def _opened(self, *path: str) -> httpx2.Response:
        """An answer whose body is not read yet."""
        client: Any = self.reading
        options = _with(self._options, {"Accept": "application/binary"})
        response: httpx2.Response = client.get(
            self._url(path), cast_to=httpx2.Response, stream=True, options=options
        )
        return response

    def _failure(self, error: Exception, operation: Operation, bounds: Bounds) -> ApiError:
        return classify(
            error, operation, is_stage_over=bounds.is_stage_over, proxy_variable=self._proxy
        )

    def _bounds(self, operation: Operation) -> Bounds:
        """What a call may take that begins now. ApiError if its stage has no time left for it."""
        bounds = bounds_of(operation, self._timeouts, self._stage_ends_at())
        if bounds.is_stage_over:
            raise time_is_up(operation)
        return bounds

    def close(self) -> None:
        """Close all connections."""
        self.reading.close()
        self.creating.close()


def _options_of(client: openai.OpenAI) -> Any:
    """What the SDK would find out or copy for each call anew, if it were not told."""
    return {
        "headers": NO_TELEMETRY,
        "params": {},
        "max_retries": client.max_retries,
        "timeout": client.timeout,
        "security": {"bearer_auth": True},
    }


def _with(options: Any, headers: Mapping[str, str]) -> Any:
    return {**options, "headers": {**options["headers"], **headers}}
