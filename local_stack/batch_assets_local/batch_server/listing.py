"""Pages of lists: OpenAI's shape, and how the configured quirks mislead."""

from collections.abc import Callable, Sequence
from typing import Any

from batch_assets_local.batch_server.config import ListQuirks

Objects = list[dict[str, Any]]
OwnPage = Callable[[int, str | None], tuple[Objects, bool]]
"""At most so many of the server's own objects after a cursor, and whether more follow."""


def page_of(
    own: OwnPage,
    quirks: ListQuirks,
    foreign: Sequence[dict[str, Any]],
    *,
    limit: int,
    after: str | None,
) -> dict[str, Any]:
    """One page of what is this server's own, behind what is foreign."""
    if quirks.are_empty:
        return page([], has_more=False)
    cursor = None if quirks.ignore_after else after
    places = {item["id"]: place for place, item in enumerate(foreign, start=1)}
    if cursor is None or cursor in places:
        begin = places.get(cursor or "", 0)
        head = list(foreign[begin : begin + limit])
        cursor = None
    else:
        head = []
    room = limit - len(head)
    if room == 0:
        rest, _ = own(1, cursor)
        return page(head, has_more=bool(rest) or places.get(head[-1]["id"]) != len(foreign))
    objects, has_more = own(room, cursor)
    return page([*head, *objects], has_more=has_more)


def page(objects: Objects, *, has_more: bool) -> dict[str, Any]:
    """A page of a list as OpenAI shows it."""
    return {
        "object": "list",
        "data": objects,
        "first_id": objects[0]["id"] if objects else None,
        "last_id": objects[-1]["id"] if objects else None,
        "has_more": has_more,
    }
