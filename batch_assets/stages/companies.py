"""Companies side by side: a bounded number of them at a time, each one's work in its order."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def side_by_side(
    items: Iterable[_Item],
    company_of: Callable[[_Item], str],
    work: Callable[[_Item], None],
    *,
    at_a_time: int,
) -> None:
    """Do `work` on every item: at most `at_a_time` companies at once, a company's items in turn.

    What `work` raises ends the work for that company alone; the first error is raised when all the
    others are done. After an interruption items that were begun are finished and no other is begun.
    """
    queues: defaultdict[str, list[_Item]] = defaultdict(list)
    for item in items:
        queues[company_of(item)].append(item)
    interrupted = threading.Event()
    pool = ThreadPoolExecutor(max_workers=at_a_time)
    try:
        answers = pool.map(lambda queue: _in_turn(queue, work, interrupted), queues.values())
        errors = list(filter(None, answers))
    except BaseException:
        interrupted.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if errors:
        raise errors[0]


def _in_turn(
    items: Iterable[_Item], work: Callable[[_Item], None], interrupted: threading.Event
) -> Exception | None:
    """Do `work` on one item after the other; the error that ended it, if any did."""
    try:
        for item in items:
            if interrupted.is_set():
                break
            work(item)
    except Exception as error:
        return error
    except BaseException:
        interrupted.set()
        raise
    return None
