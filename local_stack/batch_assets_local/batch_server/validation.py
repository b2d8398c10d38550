"""What OpenAI checks in an input file before a batch starts, line by line, in flat memory."""

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from batch_assets_local.batch_server import strict_json
from batch_assets_local.batch_server.config import Limits
from batch_assets_local.batch_server.models import Catalog, Model
from batch_assets_local.batch_server.profiles.played import Played
from batch_assets_local.batch_server.tokens import count_tokens

_MAX_ERRORS = 100
_KINDS = {"custom_id": str, "method": str, "url": str, "body": dict}
_FIELDS = frozenset(_KINDS)


@dataclass(frozen=True, slots=True)
class BatchError:
    """One entry of `errors.data`; `line` is 1-based, None when the whole file is meant."""

    code: str | None
    message: str | None
    param: str | None = None
    line: int | None = None


class _LineError(Exception):
    """A line that is not a request."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


@dataclass(slots=True)
class InputReport:
    """What a file holds: the model (a snapshot), how many requests and tokens, what is wrong."""

    model: str | None = None
    total: int = 0
    tokens: int = 0
    errors: list[BatchError] = field(default_factory=list)


def inspect_input(
    path: Path, endpoint: str, limits: Limits, catalog: Catalog, played: Played
) -> InputReport:
    """Read a whole input file and report; the first hundred errors are kept.

    A file that is gone is found missing only here: the batch was taken without a look at it.
    """
    if not path.exists():
        message = "Cannot find the input file, or this project cannot access it."
        return InputReport(errors=[BatchError("invalid_request", message, "file_id")])
    size = path.stat().st_size
    if size == 0:
        return InputReport(errors=[BatchError("empty_file", "The input file is empty.")])
    if size > limits.max_input_bytes:
        message = f"The input file has {size} bytes; {limits.max_input_bytes} are allowed."
        return InputReport(errors=[BatchError("invalid_request", message)])
    return _Inspection(endpoint, limits, catalog, played).read(path)


def first_model(path: Path) -> str | None:
    """The model that the first line of an input file asks for, if that can be told."""
    try:
        with path.open("rb") as stream:
            request = strict_json.parse(stream.readline())
        return str(request["body"]["model"])
    except (OSError, strict_json.NotJsonError, LookupError, TypeError):
        return None


def lines_with(path: Path, expression: str) -> list[int]:
    """The 1-based lines of a valid input file whose custom_id matches a regular expression."""
    pattern = re.compile(expression)
    with path.open("rb") as stream:
        return [
            number
            for number, line in enumerate(stream, start=1)
            if pattern.search(strict_json.parse(line)["custom_id"])
        ]


class _Inspection:
    """One pass over a file; remembers the custom_ids (as digests) and the first line's model."""

    def __init__(self, endpoint: str, limits: Limits, catalog: Catalog, played: Played) -> None:
        self._fields = _FIELDS if played.lines_say_where else _FIELDS - {"method", "url"}
        self._endpoint = endpoint
        self._limits = limits
        self._catalog = catalog
        self._seen: set[bytes] = set()
        self._model: Model | None = None
        self._report = InputReport()

    def read(self, path: Path) -> InputReport:
        report = self._report
        blank = True
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                blank = blank and not line.strip()
                if number > self._limits.max_requests:
                    return self._too_many()
                self._read_line(number, line)
        if blank:
            report.errors = [BatchError("empty_batch", "The batch has no requests.")]
        report.model = self._model.snapshot if self._model else None
        return report

    def _too_many(self) -> InputReport:
        message = (
            f"The batch has too many requests; at most {self._limits.max_requests} are allowed."
        )
        return InputReport(errors=[BatchError("too_many_tasks", message)])

    def _read_line(self, number: int, line: bytes) -> None:
        report = self._report
        report.total += 1
        try:
            body = self._check(line)
        except _LineError as wrong:
            if len(report.errors) < _MAX_ERRORS:
                report.errors.append(BatchError(wrong.code, wrong.message, wrong.param, number))
            return
        report.tokens += _estimate(body)

    def _check(self, line: bytes) -> dict[str, Any]:
        try:
            request = strict_json.parse(line)
        except strict_json.NotJsonError:
            raise _LineError(
                "invalid_json_line", "This line is not parseable as valid JSON."
            ) from None
        if not isinstance(request, dict):
            raise _LineError("invalid_json_line", "This line is not a JSON object.")
        self._check_envelope(request)
        self._check_custom_id(request["custom_id"])
        self._check_model(request["body"].get("model"))
        body: dict[str, Any] = request["body"]
        return body

    def _check_envelope(self, request: dict[str, Any]) -> None:
        for name, kind in _KINDS.items():
            if name in self._fields and name not in request:
                message = f"Missing required parameter: '{name}'."
                raise _LineError("invalid_request", message, name)
            if name in self._fields and not isinstance(request[name], kind):
                message = f"The parameter '{name}' has the wrong type."
                raise _LineError("invalid_request", message, name)
        unknown = sorted(request.keys() - self._fields)
        if unknown:
            raise _LineError("invalid_request", f"Unknown parameter: '{unknown[0][:64]}'.")
        if request.get("method", "POST") != "POST":
            raise _LineError("invalid_request", "The method must be 'POST'.", "method")
        if request.get("url", self._endpoint) != self._endpoint:
            message = (
                "The URL provided for this request does not match the batch endpoint "
                f"'{self._endpoint}'."
            )
            raise _LineError("url_mismatch", message, "url")

    def _check_custom_id(self, custom_id: str) -> None:
        if not custom_id:
            raise _LineError("invalid_request", "The custom ID must not be empty.", "custom_id")
        digest = blake2b(custom_id.encode(), digest_size=16).digest()
        if digest in self._seen:
            message = (
                "The custom ID for this request is a duplicate of another request. The custom ID "
                "parameter must be unique for each request in a batch."
            )
            raise _LineError("duplicate_custom_id", message, "custom_id")
        self._seen.add(digest)

    def _check_model(self, name: object) -> None:
        if not isinstance(name, str):
            raise _LineError("invalid_request", "Missing required parameter: 'model'.", "model")
        model = self._catalog.find(name)
        if model is None:
            message = f"The provided model '{name[:64]}' is not supported by the Batch API."
            raise _LineError("model_not_found", message, "body.model")
        if self._model is None:
            self._model = model
        elif model != self._model:
            message = (
                "The model for this request does not match the rest of the batch. Each batch must "
                "contain requests for a single model."
            )
            raise _LineError("model_mismatch", message, "body.model")


def _estimate(body: dict[str, Any]) -> int:
    """Enqueued prompt tokens, of whatever the messages hold; a malformed row fails later, alone."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return 0
    return sum(
        count_tokens(message["content"])
        for message in messages
        if isinstance(message, dict) and isinstance(message.get("content"), str)
    )
