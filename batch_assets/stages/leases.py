"""Keeps leases alive while a stage works, and knows which of them it still has."""

import threading
import time
from collections.abc import Sequence

from batch_assets.domain.records import Lease
from batch_assets.store.protocol import Queries


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
