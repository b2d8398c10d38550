"""The server's objects as records of the domain: read with tolerance, since servers differ.

What comes in is JSON as it was sent, not the SDK's objects: those are built without validation and
may lack, or hold in another type, any attribute that they declare.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from batch_assets.domain.records import BatchErrorLine, RemoteBatch, RemoteFile
from batch_assets.openai_batch.codes import identifier

_Item = TypeVar("_Item")


class UnreadableAnswerError(ValueError):
    """The server said that all is well, and what it sent is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """One page of a listing; `has_more` is `None` where the server does not say."""

    items: tuple[_Item, ...]
    has_more: bool | None


def remote_batch(data: object) -> RemoteBatch:
    """A batch. UnreadableAnswerError if it is none."""
    data = _object(data)
    counts = _mapping(data.get("request_counts"))
    return RemoteBatch(
        id=_id(data),
        status=_text(data.get("status")) or "unknown",
        input_file_id=_text(data.get("input_file_id")),
        output_file_id=_text(data.get("output_file_id")),
        error_file_id=_text(data.get("error_file_id")),
        created_at=_moment(data.get("created_at")),
        completed_at=_moment(data.get("completed_at")),
        metadata=_metadata(data.get("metadata")),
        total=_count(counts.get("total")),
        completed=_count(counts.get("completed")),
        failed=_count(counts.get("failed")),
        errors=_errors(data.get("errors")),
    )


def remote_file(data: object) -> RemoteFile:
    """A file. UnreadableAnswerError if it is none."""
    data = _object(data)
    return RemoteFile(
        id=_id(data),
        name=_text(data.get("filename")) or "",
        created_at=_moment(data.get("created_at")),
        bytes=_count(data.get("bytes")),
    )


def page(read: Callable[[object], _Item], data: object) -> Page[_Item]:
    """One page of a listing. UnreadableAnswerError if it is none: no list is not an empty one."""
    has_more = _object(data).get("has_more")
    return Page(
        items=tuple(read(item) for item in items(data)),
        has_more=has_more if isinstance(has_more, bool) else None,
    )


def items(data: object) -> list[object]:
    """What a page of a listing holds, unread. UnreadableAnswerError if it is none."""
    found = _object(data).get("data")
    if not isinstance(found, list):
        raise UnreadableAnswerError("a listing without data")
    return found


def is_deleted(data: object) -> bool:
    """Whether the answer to a deletion says that it was done; Azure says so with an empty one."""
    return data is None or _object(data).get("deleted") is True


def object_id(data: object) -> str:
    """The id of any object. UnreadableAnswerError if it has none."""
    return _id(_object(data))


def _object(data: object) -> Mapping[str, object]:
    if not isinstance(data, Mapping):
        raise UnreadableAnswerError("no JSON object")
    return data


def _id(data: Mapping[str, object]) -> str:
    found = _text(data.get("id"))
    if found is None:
        raise UnreadableAnswerError("an object without id")
    return found


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return max(value, 0)


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _metadata(value: object) -> dict[str, str]:
    return {key: text for key, text in _mapping(value).items() if isinstance(text, str)}


def _errors(value: object) -> tuple[BatchErrorLine, ...]:
    found = _mapping(value).get("data")
    if not isinstance(found, list):
        return ()
    return tuple(_error(item) for item in found if isinstance(item, Mapping))


def _error(item: Mapping[str, object]) -> BatchErrorLine:
    return BatchErrorLine(
        code=identifier(item.get("code")) or "unknown_error",
        line=_count(item.get("line")) or None,
    )
