"""Work on many batches at once: each key's items in turn, and leases kept meanwhile."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from batch_assets.domain.records import Lease
from batch_assets.openai_batch.concurrency_limit import ConcurrencyLimit
from batch_assets.store.protocol import Queries

_Item = TypeVar("_Item")


def run_per_key(
    items: Iterable[_Item],
    key_of: Callable[[_Item], str],
    work: Callable[[_Item], None],
    *,
    at_a_time: int,
    limit: ConcurrencyLimit,
) -> None:
    """Do `work` on every item: at most `at_a_time` keys at once, the items of one key in turn.

    Each waits for a slot of `limit`, in which it makes its calls one after the other. After an
    interruption items that were begun are finished and no other is begun.

    Raises:
        Exception: Whatever `work` raised first. It ends the work for its key alone, and is raised
            when all the others are done.
    """
    queues: defaultdict[str, list[_Item]] = defaultdict(list)
    for item in items:
        queues[key_of(item)].append(item)
    interrupted = threading.Event()
    pool = ThreadPoolExecutor(max_workers=at_a_time)
    try:
        answers = pool.map(lambda queue: _in_turn(queue, work, limit, interrupted), queues.values())
        errors = list(filter(None, answers))
    except BaseException:
        interrupted.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if errors:
        raise errors[0]


def _in_turn(
    items: Iterable[_Item],
    work: Callable[[_Item], None],
    limit: ConcurrencyLimit,
    interrupted: threading.Event,
) -> Exception | None:
    """Do `work` on one item after the other; the error that ended it, if any did."""
    try:
        for item in items:
            with limit.slot(interrupted.is_set):
                if interrupted.is_set():
                    break
                work(item)
    except Exception as error:
        return error
    except BaseException:
        interrupted.set()
        raise
    return None


class LeaseKeeper:
    """Leases that were just taken or renewed; they are renewed together at half of their time.

    They are renewed sooner if less than `longest_call` seconds would be left, so that no call that
    is made after `holds` outlasts its lease. Time is measured on a clock that runs on while the
    process is frozen: one that wakes too late asks the database before it goes on, and learns what
    it has lost. Threads may share it.
    """

    def __init__(
        self,
        queries: Queries,
        leases: Sequence[Lease],
        seconds: float,
        *,
        longest_call: float = 0.0,
    ) -> None:
        self._queries = queries
        self._leases = list(leases)
        self._seconds = seconds
        self._renew_after = seconds - max(seconds / 2, longest_call)
        self._held = {lease.batch_id for lease in leases}
        self._renewed_at = time.monotonic()
        self._lock = threading.Lock()

    def renewed(self, held: set[str]) -> None:
        """The database has just renewed the leases on these batches, and on no others."""
        self._leases = [lease for lease in self._leases if lease.batch_id in held]
        self._held = held
        self._renewed_at = time.monotonic()

    def holds(self, lease: Lease) -> bool:
        """Whether a lease is still ours."""
        with self._lock:
            if time.monotonic() - self._renewed_at > self._renew_after:
                self.renewed(self._queries.renew(self._leases, self._seconds))
        return lease.batch_id in self._held
