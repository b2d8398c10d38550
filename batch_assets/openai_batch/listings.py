"""The server's lists, page by page. What they can be relied on for differs from server to server.

No order is promised, items of other people can lack their date, and some servers ignore where a
page is to begin. So a list is left before its end only where it was seen to be newest first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.records import RemoteBatch, RemoteFile
from batch_assets.openai_batch import error_codes, limits
from batch_assets.openai_batch.objects import Page
from batch_assets.openai_batch.operations import Operation

Item = TypeVar("Item", RemoteBatch, RemoteFile)
ReadPage = Callable[[str | None], Page[Item]]
"""Reads the page that begins after an item, or the first."""

NO_TIME = timedelta(0)
_ROUNDING = timedelta(seconds=1)


def every_item(
    operation: Operation,
    read: ReadPage[Item],
    created_after: datetime | None,
    clock_ahead: Callable[[], timedelta],
) -> Iterator[Item]:
    """Iterate over the items of a list that are not older, by our clock, or have no date.

    `clock_ahead` says, once a page was read, how far the server's clock is ahead of ours.

    Raises:
        ApiError: A page cannot be read, or the list does not come to its end: a part of one proves
            nothing absent.
    """
    after = None
    seen: set[str] = set()
    order = _Order()
    for _ in range(limits.MAX_PAGES):
        page = read(after)
        fresh = [item for item in page.items if item.id not in seen]
        for item in fresh:
            order.see(item.created_at)
            if created_after is None or not is_older(item, created_after, clock_ahead()):
                yield item
        if page.has_more is False or (not fresh and page.has_more is None):
            return
        if not fresh:
            break
        if (
            created_after is not None
            and order.is_newest_first
            and is_older(fresh[-1], created_after, clock_ahead())
        ):
            return
        seen.update(item.id for item in fresh)
        after = fresh[-1].id
    raise endless(operation)


def endless(operation: Operation) -> ApiError:
    """Make the error of a list that shows the same again instead of what follows."""
    reason = "the server's listing repeats itself and does not end"
    return ApiError(operation, Failure(FailureKind.TRANSIENT, error_codes.ENDLESS, reason))


def is_older(item: RemoteBatch | RemoteFile, moment: datetime, clock_ahead: timedelta) -> bool:
    """Whether the server made it before a moment of our clock; False if it does not say when."""
    return item.created_at is not None and item.created_at < moment + clock_ahead


@dataclass(slots=True)
class _Order:
    """Whether what was seen of a list so far is newest first; a list of one moment shows none."""

    is_newest_first: bool = False
    _last: datetime | None = None
    _has_risen: bool = field(default=False)

    def see(self, moment: datetime | None) -> None:
        if moment is None:
            return
        if self._last is not None and moment != self._last:
            self._has_risen |= moment > self._last
            self.is_newest_first = not self._has_risen
        self._last = moment


@dataclass(slots=True)
class ServerClock:
    """How far the server's clock is ahead of ours, by the `Date` of its newest answer."""

    ahead: timedelta = NO_TIME

    def note(self, date: datetime | None) -> None:
        """Learn from an answer that has just come in; whole seconds are what a server says.

        One second is none: the next one may have begun meanwhile, and some keep the text for one.
        """
        if date is not None:
            ahead = date - datetime.now(UTC).replace(microsecond=0)
            self.ahead = NO_TIME if abs(ahead) <= _ROUNDING else ahead
