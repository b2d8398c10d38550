"""What LiveDash's timers select, at any moment; nothing is changed here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine

from batch_assets.store.sql import load
from drills.livedash.calls import Request

SQL: Final = load(Path(__file__).with_suffix(".sql"))

MOST_MADE: Final = 50
"""createBatchRequestsForSessions: `batchSize || 50`, and SESSION_PROCESSING_BATCH_SIZE is 0."""
MOST_IN_A_BATCH: Final = 1_000
"""lib/batchProcessor.ts, BATCH_CONFIG.MAX_REQUESTS_PER_BATCH."""
ENOUGH_FOR_A_BATCH: Final = 10
"""lib/batchScheduler.ts and lib/batchSchedulerOptimized.ts, SCHEDULER_CONFIG.MIN_BATCH_SIZE."""
LONGEST_WAIT_SECONDS: Final = 30 * 60
"""The same, MAX_WAIT_TIME_MINUTES."""
MOST_RETRIED: Final = 10
"""Of a company: lib/batchProcessor.ts, retryFailedRequests."""
_ANY: Final = None
"""As a LIMIT: whichever of them it comes to, sooner or later."""


@dataclass(frozen=True, slots=True)
class Selected:
    """The ids of what the four batch timers may touch now, or once their turn comes."""

    create: frozenset[str]
    check: frozenset[str]
    """Ids of batches, as those of `process`."""
    process: frozenset[str]
    retry: frozenset[str]


@dataclass(frozen=True)
class Selections:
    """Asks as each timer does; the company cache of five minutes is left out.

    `selects` leaves out the limits as well, so that its answer does not depend on which rows come
    first: what it does not name no timer takes, however long it runs.
    """

    engine: Engine
    """In autocommit, as Prisma's calls are."""

    def selects(self) -> Selected:
        """What the four batch timers may take, the due rule and all limits aside."""
        with self.engine.connect() as connection:
            return Selected(
                create=_ids(connection, "to_create_of_all"),
                check=_ids(connection, "to_check"),
                process=_ids(connection, "to_process"),
                retry=_ids(connection, "to_retry", most=_ANY),
            )

    def selects_to_make(self, most: int = MOST_MADE) -> list[tuple[str, str]]:
        """Session and company of each request that the processing timer would make now.

        lib/processingStatusManager.ts, getSessionsNeedingProcessing, and what
        lib/processingScheduler.ts, createBatchRequestsForSessions, keeps of it.
        """
        rows = self._rows("to_make", most=most)
        return [(row.session_id, row.company_id) for row in rows]

    def selects_to_create(self, *, optimized: bool = True) -> dict[str, list[Request]]:
        """What the create timer reads, by company and oldest first, whether or not it is due.

        Optimized: lib/batchProcessorOptimized.ts, getPendingBatchRequestsForAllCompanies, which
        has no limit. Else lib/batchProcessor.ts, getPendingBatchRequests, for each company of
        lib/batchScheduler.ts, createBatchesForAllCompanies. Neither looks at success, completedAt
        or what is older than the column.
        """
        found: dict[str, list[Request]] = {}
        if optimized:
            for request in map(_request, self._rows("to_create_of_all")):
                found.setdefault(request.company_id, []).append(request)
            return found
        for company_id in self._active_companies():
            rows = self._rows("to_create_of_company", company_id=company_id, most=MOST_IN_A_BATCH)
            if rows:
                found[company_id] = [_request(row) for row in rows]
        return found

    def is_due(self, company_id: str, waiting: int) -> bool:
        """Whether the create timer makes a batch of what it read.

        lib/batchScheduler.ts, shouldCreateBatchForCompany; lib/batchSchedulerOptimized.ts,
        shouldCreateBatchForCompanyOptimized, is the same.
        """
        if waiting >= ENOUGH_FOR_A_BATCH:
            return True
        ((seconds,),) = self._rows("oldest_wait_seconds", company_id=company_id)
        return seconds is not None and seconds >= LONGEST_WAIT_SECONDS

    def selects_to_check(self) -> list[tuple[str, str]]:
        """Our id and OpenAI's of each batch that the check timer asks OpenAI about.

        lib/batchProcessor.ts, checkBatchStatuses, for each active company; the optimized scheduler
        leaves out companies without any (lib/batchProcessorOptimized.ts,
        getInProgressBatchesForAllCompanies) and calls the same.
        """
        return [(row.id, row.openai_batch_id) for row in self._rows("to_check")]

    def selects_to_process(self) -> list[tuple[str, str]]:
        """The id and the output file of each batch whose results the process timer writes.

        lib/batchProcessor.ts, processCompletedBatches, for each active company; as `check`, the
        optimized scheduler calls the same.
        """
        return [(row.id, row.output_file_id) for row in self._rows("to_process")]

    def selects_to_retry(self) -> list[Request]:
        """What the retry timer buys live now: ten failed requests of each active company.

        lib/batchProcessor.ts, retryFailedRequests; the optimized scheduler calls the same.
        """
        return [_request(row) for row in self._rows("to_retry", most=MOST_RETRIED)]

    def _active_companies(self) -> list[str]:
        return [row.id for row in self._rows("active_companies")]

    def _rows(self, name: str, **parameters: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(SQL[name], parameters))


def _ids(connection: Connection, name: str, **parameters: Any) -> frozenset[str]:
    return frozenset(row.id for row in connection.execute(SQL[name], parameters))


def _request(row: Any) -> Request:
    return Request(
        id=row.id,
        session_id=row.session_id,
        company_id=row.company_id,
        model=row.model,
        processing_type=row.processing_type,
    )
