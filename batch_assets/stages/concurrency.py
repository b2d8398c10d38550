"""Work on many batches at once: each key's items in turn, and leases kept meanwhile."""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from opentelemetry import context as contexts

from batch_assets.domain.records import Lease
from batch_assets.openai_batch.concurrency_limit import ConcurrencyLimit
from batch_assets.store.protocol import Queries

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


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
    interrupted = threading.Event()
    pool = SlotPool(limit, at_a_time, interrupted)
    queues = _Queues(work, pool, interrupted)
    try:
        for item in items:
            if interrupted.is_set():
                break
            queues.put(key_of(item), item)
        # What is worked on adds the next item of its key before it is done.
        errors = [error for error in (one.result() for one in queues.begun) if error is not None]
    except BaseException:
        interrupted.set()
        raise
    finally:
        pool.close()
    if errors:
        raise errors[0]


@contextmanager
def made_ahead(items: Generator[_Item, None, None]) -> Generator[Iterator[_Item], None, None]:
    """Let a thread make all items, whatever whoever takes them waits for; they are taken in turn.

    What making them raises is raised after the last one that was made. Where not all are taken,
    making ends with the one that is begun.
    """
    made: SimpleQueue[tuple[_Item] | None] = SimpleQueue()
    is_over = threading.Event()

    def make() -> None:
        try:
            with closing(items):
                for item in items:
                    made.put((item,))
                    if is_over.is_set():
                        break
        finally:
            made.put(None)

    def taken() -> Iterator[_Item]:
        while (one := made.get()) is not None:
            yield one[0]
        making.result()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as thread:
        making = thread.submit(make)
        try:
            yield taken()
        finally:
            is_over.set()


class _Queues(Generic[_Item]):
    """The items of each key that wait; the first of a key is with the pool."""

    def __init__(
        self, work: Callable[[_Item], None], pool: "SlotPool", interrupted: threading.Event
    ) -> None:
        self.begun: list[Future[Exception | None]] = []
        self._interrupted = interrupted
        self._work = work
        self._pool = pool
        self._waiting: dict[str, deque[_Item]] = {}
        self._ended: set[str] = set()
        """Keys for which an error has ended the work."""
        self._lock = threading.Lock()

    def put(self, key: str, item: _Item) -> None:
        """Let an item wait for its turn."""
        with self._lock:
            if key in self._ended:
                return
            is_first = key not in self._waiting
            self._waiting.setdefault(key, deque()).append(item)
        if is_first:
            self._begin(key)

    def _begin(self, key: str, *, next_of_all: bool = False) -> None:
        task = partial(self._work_on, key)
        self.begun.append(self._pool.submit(task, next_of_all=next_of_all))

    def _work_on(self, key: str) -> Exception | None:
        """Do the work on the next item of a key; the error if that ended the work for it."""
        if self._interrupted.is_set():
            return None
        try:
            self._work(self._waiting[key].popleft())
        except Exception as error:
            with self._lock:
                self._ended.add(key)
            return error
        except BaseException:
            self._interrupted.set()
            raise
        with self._lock:
            if not self._waiting[key]:
                del self._waiting[key]
                return None
        self._begin(key, next_of_all=True)
        return None


class SlotPool:
    """Threads that each do one task at a time, in a slot of a limit.

    One is begun only when tasks wait and no other thread waits for a task or for a slot: there are
    no more of them than calls in flight, and one that waits for the next slot.
    """

    def __init__(self, limit: ConcurrencyLimit, most: int, is_over: threading.Event) -> None:
        """`most` threads are there at one time, however many slots there are.

        Once `is_over` is set, tasks wait for no slot any more: they make no call.
        """
        self._limit = limit
        self._most = most
        self._is_over = is_over
        self._tasks: deque[tuple[Future[Any], Callable[[], object]]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        """Threads that wait for a task or for a slot."""
        self._is_closed = False
        self._changed = threading.Condition()
        self._span_context = contexts.get_current()
        """Whose spans those of the calls belong to."""

    def submit(self, task: Callable[[], _Result], *, next_of_all: bool = False) -> Future[_Result]:
        """Let a task be done after those that wait, or before them; what it gives or raises."""
        future: Future[_Result] = Future()
        with self._changed:
            if next_of_all:
                self._tasks.appendleft((future, task))
            else:
                self._tasks.append((future, task))
            self._changed.notify()
            self._begin_thread()
        return future

    def close(self) -> None:
        """Begin no task any more, and wait until those that were begun are done."""
        self._is_over.set()
        with self._changed:
            self._is_closed = True
            for future, _ in self._tasks:
                future.cancel()
            self._tasks.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _begin_thread(self) -> None:
        if self._tasks and not self._idle and len(self._threads) < self._most:
            thread = threading.Thread(target=self._work, name=f"slot-{len(self._threads)}")
            try:
                thread.start()
            except RuntimeError:
                # The system gives no more of them: those that are there do the work.
                if not self._threads:
                    raise
                return
            self._threads.append(thread)
            self._idle += 1

    def _work(self) -> None:
        contexts.attach(self._span_context)
        while self._wait_for_task():
            with self._limit.slot(self._is_over.is_set):
                self._do_next()
            with self._changed:
                self._idle += 1

    def _wait_for_task(self) -> bool:
        with self._changed:
            while not (self._tasks or self._is_closed):
                self._changed.wait()
            return not self._is_closed

    def _do_next(self) -> None:
        with self._changed:
            self._idle -= 1
            if not self._tasks:
                return
            future, task = self._tasks.popleft()
            # Only now is it known that there was a slot for this one.
            self._begin_thread()
        try:
            future.set_result(task())
        except BaseException as error:
            future.set_exception(error)


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

    def lost(self, batch_ids: set[str]) -> None:
        """Others hold the leases on these batches now, as the database says."""
        with self._lock:
            self._keep(self._held - batch_ids)

    def holds(self, lease: Lease) -> bool:
        """Whether a lease is still ours."""
        with self._lock:
            if time.monotonic() - self._renewed_at > self._renew_after:
                self._keep(self._queries.renew(self._leases, self._seconds))
                self._renewed_at = time.monotonic()
        return lease.batch_id in self._held

    def _keep(self, held: set[str]) -> None:
        self._leases = [lease for lease in self._leases if lease.batch_id in held]
        self._held = held
