"""The optimized creation: one read for all companies, and companies side by side."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as NoConnectionError

from batch_assets_tests.defects.replaced.creating import (
    AT_MOST,
    active_companies,
    body,
    submit,
)
from batch_assets_tests.defects.replaced.scheduler import ReplacedSystem

# Without a limit (22), and with a count in place of the conversation (13).
_ALL_PENDING = text("""
    SELECT r.id, r.model, s."companyId" AS company_id,
        (SELECT count(*) FROM public."Message" AS m WHERE m."sessionId" = s.id) AS messages
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    JOIN public."Company" AS c ON c.id = s."companyId"
    WHERE c.status = 'ACTIVE' AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
    ORDER BY r."requestedAt"
""")


class BulkSystem(ReplacedSystem):
    """With ENABLE_BATCH_OPTIMIZATION: all that waits is read at once."""

    def create(self) -> None:
        bodies: defaultdict[str, dict[str, dict[str, object]]] = defaultdict(dict)
        with self.engine.begin() as connection:
            for row in connection.execute(_ALL_PENDING).all():
                bodies[row.company_id][row.id] = body(row.model, [])
            for company_id, some in bodies.items():
                if len(some) > AT_MOST:
                    return  # "too many requests for a batch": the timer logs it and goes on (11)
                submit(connection, self.client, company_id, some)


class ParallelSystem(ReplacedSystem):
    """With ENABLE_PARALLEL_PROCESSING: every company at once, on one pool of connections."""

    def create(self) -> None:
        def work(company_id: str) -> None:
            with suppress(NoConnectionError):  # and with it the company (23)
                self.create_for(company_id)

        in_groups(active_companies(self.engine), work, at_a_time=2)


def in_groups(companies: Sequence[str], work: Callable[[str], None], *, at_a_time: int) -> None:
    """Groups of companies, of which none waits for the one before it (20)."""
    groups = [companies[start : start + at_a_time] for start in range(0, len(companies), at_a_time)]
    with ThreadPoolExecutor(max_workers=len(companies)) as pool:
        for done in [pool.map(work, group) for group in groups]:
            list(done)
