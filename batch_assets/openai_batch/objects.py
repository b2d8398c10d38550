"""The server's objects as records of the domain: read with tolerance, since servers differ.

What comes in is JSON as it was sent, not the SDK's objects: those are built without validation and
may lack, or hold in another type, any attribute that they declare.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from batch_assets.domain.money import Usage
from batch_assets.domain.records import BatchErrorLine, RemoteBatch, RemoteFile
from batch_assets.openai_batch.error_codes import validation_code

_Item = TypeVar("_Item")

_LONGEST_ID = 512
_LONGEST_STATUS = 64
_LARGEST_COUNT = 2**31 - 1
_MOST_TOKENS = 2**53

_STATUSES = {
    "validating": "created initializing new notrunning notstarted pending queued scheduled "
    "scheduling starting submitted validating",
    "in_progress": "inprogress processing running started",
    "finalizing": "finalising finalizing",
    "completed": "complete completed done ended finished succeeded success successful",
    "failed": "error errored failed failure",
    "expired": "expired timedout timeout timeoutexceeded",
    "cancelling": "canceling cancellationrequested cancelling",
    "cancelled": "aborted canceled cancelled",
}
_KNOWN = {theirs: ours for ours, words in _STATUSES.items() for theirs in words.split()}
"""Statuses as servers spell them, letters alone and small, to OpenAI's words."""

_FILE_PENDING = frozenset(
    {"pending", "queued", "uploading", "validating", "processing", "running", "notrunning"}
)
_FILE_FAILED = frozenset({"error", "failed", "cancelled", "deleting", "deleted"})


class UnreadableAnswerError(ValueError):
    """The server said that all is well, and what it sent is not what was asked for."""


class MalformedAnswerError(UnreadableAnswerError):
    """It is what was asked for, with an id or a status that none can have."""


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """One page of a listing; `has_more` is `None` where the server does not say."""

    items: tuple[_Item, ...]
    has_more: bool | None


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """An input file, and whether the server is done with it."""

    id: str
    is_pending: bool
    has_failed: bool


def uploaded_file(data: object) -> UploadedFile:
    """Read a file that was uploaded; of an unknown state it is ready.

    Raises:
        UnreadableAnswerError: It is none.
    """
    data = _object(data)
    status = (_text(data.get("status")) or "").lower()
    return UploadedFile(_id(data), status in _FILE_PENDING, status in _FILE_FAILED)


def remote_batch(data: object) -> RemoteBatch:
    """Read a batch, also within what else a creation is answered with.

    Raises:
        UnreadableAnswerError: It is none.
        MalformedAnswerError: It has an id or a status that none can have.
    """
    data = _object(data)
    data = _mapping(data.get("job")) or data
    counts = _mapping(data.get("request_counts"))
    return RemoteBatch(
        id=_id(data),
        status=_status(data.get("status")),
        input_file_id=_id_in(data, "input_file_id"),
        output_file_id=_id_in(data, "output_file_id"),
        error_file_id=_id_in(data, "error_file_id"),
        created_at=_moment(data.get("created_at")),
        completed_at=_moment(data.get("completed_at")),
        metadata=_metadata(data.get("metadata")),
        total=_count(counts.get("total")),
        completed=_count(counts.get("completed")),
        failed=_count(counts.get("failed")),
        errors=_errors(data.get("errors")),
        billed=_billed(_mapping(data.get("usage"))),
    )


def remote_file(data: object) -> RemoteFile:
    """Read a file.

    Raises:
        UnreadableAnswerError: It is none.
        MalformedAnswerError: It has an id that none can have.
    """
    data = _object(data)
    return RemoteFile(
        id=_id(data),
        name=_text(data.get("filename")) or "",
        created_at=_moment(data.get("created_at")),
        bytes=_count(data.get("bytes")),
    )


def page(read: Callable[[object], _Item], data: object) -> Page[_Item]:
    """Read one page of a listing, each item by `read`.

    Items that cannot be read are left out: whoever shares the account may have made them.

    Raises:
        UnreadableAnswerError: It is none: no list is not an empty one.
    """
    found = items(data)
    has_more = False if isinstance(data, list) else _mapping(data).get("has_more")
    return Page(
        items=tuple(_readable(read, found)),
        has_more=has_more if isinstance(has_more, bool) else None,
    )


def _readable(read: Callable[[object], _Item], found: list[object]) -> Iterator[_Item]:
    for item in found:
        try:
            yield read(item)
        except UnreadableAnswerError:
            continue


def items(data: object) -> list[object]:
    """Take the items from a page of a listing, or from a plain list, unread.

    Raises:
        UnreadableAnswerError: It is none.
    """
    found = data if isinstance(data, list) else _object(data).get("data")
    if not isinstance(found, list):
        raise UnreadableAnswerError("a listing without data")
    return found


def is_deleted(data: object) -> bool:
    """Whether the answer to a deletion says that it was done; an empty one says so, too."""
    return data is None or _object(data).get("deleted") is True


def _billed(usage: Mapping[str, object]) -> Usage | None:
    """What a batch has used; nothing at all is what servers say that do not count."""
    prompt, completion = _tokens(usage.get("input_tokens")), _tokens(usage.get("output_tokens"))
    if not (prompt or completion):
        return None
    details = _mapping(usage.get("input_tokens_details"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        cached_tokens=min(_tokens(details.get("cached_tokens")), prompt),
    )


def _tokens(value: object) -> int:
    """A count of tokens of a whole batch; what can be none is 0."""
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 <= value < _MOST_TOKENS else 0


def _object(data: object) -> Mapping[str, object]:
    if not isinstance(data, Mapping):
        raise UnreadableAnswerError("no JSON object")
    return data


def _id(data: Mapping[str, object]) -> str:
    found = _id_in(data, "id")
    if found is None:
        raise UnreadableAnswerError("an object without id")
    return found


def _id_in(data: Mapping[str, object], name: str) -> str | None:
    """An id, `None` where there is none: it goes into addresses, the database and logs."""
    found = _text(data.get(name))
    if found is not None and not is_id(found):
        raise MalformedAnswerError("an id that none can be")
    return found


def is_id(text: str) -> bool:
    """Whether a text can be an id of the server's: one printable word, which a URL can hold."""
    is_word = text.isprintable() and " " not in text and bool(text.strip("."))
    return is_word and len(text) <= _LONGEST_ID


def _status(value: object) -> str:
    """In OpenAI's word, where it has one; any other that is a name stays as it is."""
    text = _text(value)
    if text is None:
        return "unknown"
    if len(text) > _LONGEST_STATUS or not text.isprintable():
        raise MalformedAnswerError("a status that none can be")
    return _KNOWN.get(re.sub("[^a-z]", "", text.lower()), text)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 <= value <= _LARGEST_COUNT else 0


def _moment(value: object) -> datetime | None:
    """Seconds since 1970 or, as some servers have it, a text: of these, or as in ISO 8601."""
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, str):
            return _written_moment(value)
        return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else None
    except (ValueError, OverflowError, OSError):
        return None


def _written_moment(text: str) -> datetime | None:
    if len(text) > _LONGEST_STATUS:
        return None
    try:
        seconds = float(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return datetime.fromtimestamp(seconds, UTC) if math.isfinite(seconds) else None


def _metadata(value: object) -> dict[str, str]:
    return {
        key: text
        for key, text in _mapping(value).items()
        if isinstance(text, str) and len(text) <= _LONGEST_ID and text.isprintable()
    }


def _errors(value: object) -> tuple[BatchErrorLine, ...]:
    found = _mapping(value).get("data")
    if not isinstance(found, list):
        return ()
    return tuple(_error(item) for item in found if isinstance(item, Mapping))


def _error(item: Mapping[str, object]) -> BatchErrorLine:
    return BatchErrorLine(
        code=validation_code(item),
        line=_count(item.get("line")) or None,
    )
