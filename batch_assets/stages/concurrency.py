"""Work on many batches at once: each key's items in turn, and leases kept meanwhile."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

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

    Each waits for a slot of `limit`, in which it makes its calls one after the other. `items` may
    be made while the first of them are worked on. After an interruption items that were begun are
    finished and no other is begun.

    Raises:
        Exception: Whatever `work` raised first. It ends the work for its key alone, and is raised
            when all the others are done. What `items` raises is raised when what was begun is done.
    """
    queues = _Queues(work, limit)
    pool = ThreadPoolExecutor(max_workers=at_a_time)
    try:
        for item in items:
            if queues.interrupted.is_set():
                break
            key = key_of(item)
            if queues.put(key, item):
                queues.workers.append(pool.submit(queues.work_on, key))
        errors = [error for error in (one.result() for one in queues.workers) if error is not None]
    except BaseException:
        queues.interrupted.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if errors:
        raise errors[0]


class _Queues(Generic[_Item]):
    """The items of each key that wait; a key that has any has a worker."""

    def __init__(self, work: Callable[[_Item], None], limit: ConcurrencyLimit) -> None:
        self.workers: list[Future[Exception | None]] = []
        self.interrupted = threading.Event()
        self._work = work
        self._limit = limit
        self._waiting: dict[str, deque[_Item]] = {}
        self._ended: set[str] = set()
        """Keys for which an error has ended the work."""
        self._lock = threading.Lock()

    def put(self, key: str, item: _Item) -> bool:
        """Let an item wait for its turn; whether its key needs a worker for that."""
        with self._lock:
            if key in self._ended:
                return False
            needs_worker = key not in self._waiting
            self._waiting.setdefault(key, deque()).append(item)
            return needs_worker

    def work_on(self, key: str) -> Exception | None:
        """Do the work on one item of a key after the other; the error that ended it, if any did."""
        try:
            while (item := self._take(key)) is not None:
                with self._limit.slot(self.interrupted.is_set):
                    if self.interrupted.is_set():
                        break
                    self._work(item)
        except Exception as error:
            with self._lock:
                self._ended.add(key)
            return error
        except BaseException:
            self.interrupted.set()
            raise
        return None

    def _take(self, key: str) -> _Item | None:
        with self._lock:
            queue = self._waiting[key]
            if queue:
                return queue.popleft()
            del self._waiting[key]
            return None


class LeaseKeeper:
    """Leases that are held; they are renewed together at half of their time.

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
        taken_at: float | None = None,
        longest_call: float = 0.0,
    ) -> None:
        """The leases were taken or renewed at `taken_at`, of `time.monotonic`, or just now."""
        self._queries = queries
        self._leases = list(leases)
        self._seconds = seconds
        self._renew_after = seconds - max(seconds / 2, longest_call)
        self._held = {lease.batch_id for lease in leases}
        self._renewed_at = time.monotonic() if taken_at is None else taken_at
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
