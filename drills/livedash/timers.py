"""LiveDash's timers: what each of them does when its time comes."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError

from batch_assets.store.sql import load
from batch_assets.store.urls import application_url
from drills.livedash import results
from drills.livedash.calls import Api, Created, RefusedError, Request, UnavailableError
from drills.livedash.selecting import MOST_IN_A_BATCH, MOST_MADE, Selected, Selections

SQL: Final = load(Path(__file__).with_suffix(".sql"))

DEFAULT_MODEL: Final = "gpt-4o"
"""lib/processingScheduler.ts, where OPENAI_MODEL is not set."""
_STATUSES: Final[Mapping[str, str]] = {
    "validating": "VALIDATING",
    "failed": "FAILED",
    "in_progress": "IN_PROGRESS",
    "finalizing": "FINALIZING",
    "completed": "COMPLETED",
    "expired": "FAILED",
    "cancelled": "CANCELLED",
}
"""lib/batchProcessor.ts, updateBatchStatus; any other word, `cancelling` too, is FAILED."""


@dataclass(frozen=True, slots=True)
class Made:
    """A request that the processing timer made."""

    id: str
    session_id: str
    company_id: str
    model: str


def new_id(_session_id: str) -> str:
    """As Prisma's client makes them."""
    return str(uuid.uuid4())


class LiveDash:
    """LiveDash's server on a database, as far as its requests and batches go.

    Its statements commit one by one: it uses no transaction around them. `make_id` gives a request
    of a session its id, which is a UUID's text unless a drill needs to know it by its name.
    """

    def __init__(
        self,
        url: str,
        *,
        default_model: str = DEFAULT_MODEL,
        make_id: Callable[[str], str] = new_id,
    ) -> None:
        self._engine = create_engine(
            application_url(url),
            pool_size=1,
            isolation_level="AUTOCOMMIT",
            connect_args={"prepare_threshold": None, "application_name": "livedash"},
        )
        self._default_model = default_model
        self._make_id = make_id
        self.selections = Selections(self._engine)

    @classmethod
    def beside(cls, engine: Engine, *, make_id: Callable[[str], str] = new_id) -> Self:
        """On the database that an engine is on, with a connection of its own."""
        url = engine.url.set(drivername="postgresql")
        return cls(url.render_as_string(hide_password=False), make_id=make_id)

    def close(self) -> None:
        """Give the connection back."""
        self._engine.dispose()

    def selects(self) -> Selected:
        """What its four batch timers may take; see `Selections.selects`."""
        return self.selections.selects()

    def processing_timer(self, most: int = MOST_MADE) -> list[Made]:
        """Make a request for each session whose analysis is PENDING, hourly or when asked.

        lib/processingScheduler.ts, createBatchRequestsForSessions: all stages are started before
        the first request is made. It does not look whether there is a request already.
        """
        found = self.selections.selects_to_make(most)
        with self._engine.connect() as connection:
            for session_id, _ in found:
                start_stage(connection, session_id, "AI_ANALYSIS")
            return [self._make(connection, *one) for one in found]

    def _make(self, connection: Connection, session_id: str, company_id: str) -> Made:
        model = self._model_of(connection, company_id)
        request_id = self._make_id(session_id)
        values = {"id": request_id, "session_id": session_id, "model": model}
        connection.execute(SQL["make_request"], values)
        return Made(request_id, session_id, company_id, model)

    def _model_of(self, connection: Connection, company_id: str) -> str:
        """lib/processingScheduler.ts, getCompanyAIModel."""
        found = connection.execute(SQL["default_model"], {"company_id": company_id})
        return found.scalar_one_or_none() or self._default_model

    def create_timer(self, api: Api, *, optimized: bool = True) -> list[str]:
        """Make a batch of what waits, for each company that is due; the batches' ids.

        lib/batchSchedulerOptimized.ts, createBatchesOptimized, where a company with more than
        1,000 gets none; else lib/batchScheduler.ts, createBatchesForCompany, which takes the
        oldest 1,000. A company whose calls fail is passed over.
        """
        made = []
        found = self.selections.selects_to_create(optimized=optimized)
        for company_id, requests in found.items():
            if len(requests) > MOST_IN_A_BATCH:
                continue
            if not self.selections.is_due(company_id, len(requests)):
                continue
            try:
                created = api.buy(requests)
            except (RefusedError, UnavailableError):
                continue
            made.append(self._record_batch(company_id, requests, created))
        return made

    def _record_batch(self, company_id: str, requests: Sequence[Request], created: Created) -> str:
        """Write down what was bought. lib/batchProcessor.ts, createBatchRequest, after its calls.

        The rows were read before the calls, and are not looked at again.
        """
        batch_id = str(uuid.uuid4())
        ids = [request.id for request in requests]
        values = {
            "id": batch_id,
            "company_id": company_id,
            "openai_batch_id": created.openai_batch_id,
            "input_file_id": created.input_file_id,
        }
        with self._engine.connect() as connection:
            connection.execute(SQL["insert_batch"], values)
            connection.execute(SQL["put_in_batch"], {"batch_id": batch_id, "ids": ids})
        return batch_id

    def check_timer(self, api: Api) -> None:
        """Ask how each batch in flight is, and keep what was said; ours too, were they selected.

        lib/batchProcessor.ts, checkBatchStatuses: after all tries, or behind an open breaker, the
        batch and its rows have failed. After a 4xx nothing changes.
        """
        for batch_id, openai_batch_id in self.selections.selects_to_check():
            try:
                remote = api.retrieve(openai_batch_id)
            except RefusedError:
                continue
            except UnavailableError as error:
                with self._engine.connect() as connection:
                    results.fail_batch(connection, batch_id, str(error))
                continue
            values = {
                "id": batch_id,
                "status": _STATUSES.get(remote.status, "FAILED"),
                "output_file_id": remote.output_file_id,
                "error_file_id": remote.error_file_id,
                "completed_at": remote.completed_at,
            }
            with self._engine.connect() as connection:
                connection.execute(SQL["batch_status"], values)

    def process_timer(self, api: Api) -> None:
        """Write the answers of each batch that completed.

        lib/batchProcessor.ts, processCompletedBatches: when that fails, the batch and its rows
        have failed, and what else is in flight of their sessions waits again.
        """
        for batch_id, output_file_id in self.selections.selects_to_process():
            with self._engine.connect() as connection:
                rows = connection.execute(SQL["rows_of_batch"], {"batch_id": batch_id}).all()
                try:
                    results.write_lines(connection, batch_id, api.download(output_file_id))
                except (RefusedError, UnavailableError, DBAPIError) as error:
                    results.fail_batch(connection, batch_id, str(error))
                    session_ids = [row.session_id for row in rows]
                    results.reset_sessions(connection, session_ids, str(error))

    def retry_timer(self, api: Api) -> None:
        """Buy ten failed requests of each company live, as often as its time comes.

        lib/batchProcessor.ts, retryFailedRequests. How often a request was tried is not asked.
        """
        for request in self.selections.selects_to_retry():
            with self._engine.connect() as connection:
                try:
                    answer = api.call(request)
                except (RefusedError, UnavailableError) as error:
                    with suppress(results.GoneError):
                        results.fail_retry(connection, request.id, str(error))
                    continue
                with suppress(results.GoneError):
                    results.write_answer(connection, request.id, answer)


def start_stage(connection: Connection, session_id: str, stage: str) -> None:
    """lib/processingStatusManager.ts, startStage, without metadata."""
    values = {"id": new_id(session_id), "session_id": session_id, "stage": stage}
    connection.execute(SQL["start_stage"], values)
