"""A pipeline on a real database and a real server, with what tests do to it and ask of it."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import text

from batch_assets.domain.batches import ClaimedBatch
from batch_assets.domain.policy import Caps
from batch_assets.domain.records import RemoteBatch, RemoteFile
from batch_assets.domain.states import Bucket
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.abandoned import AbandonedReport, read_abandoned
from batch_assets.stages.batch_submitter import BatchSubmitter
from batch_assets.stages.ingest import ingest_results
from batch_assets.stages.orphans import delete_leftovers
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.plan import claim_terms, find_due
from batch_assets.stages.poll import PollReport, check_statuses
from batch_assets.stages.recover import RecoverReport
from batch_assets.stages.recover import recover as recover_batches
from batch_assets.stages.remote_ids import batch_of, batch_of_file
from batch_assets.stages.result_writer import IngestReport
from batch_assets.stages.retry import RetryReport, requeue_due, retry_failed
from batch_assets.stages.submit import SubmitReport, submit_due
from batch_assets.store.protocol import Queries, Spent
from batch_assets.store.registry import WorkSnapshot
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_local.batch_server.config import Timing
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import Desk

API_KEY = "sk-test-canary-0123456789"
ANSWER = {
    "language": "nl",
    "sentiment": "POSITIVE",
    "escalated": False,
    "forwarded_hr": True,
    "category": "LEAVE_VACATION",
    "questions": ["How many days off are left?"],
    "summary": "An employee asked about days off and was told the number.",
}
QUICK = a_policy(
    min_batch_requests=1,
    lease_seconds=60,
    absence_grace_seconds=0,
    retry_base_seconds=0,
    reading_grace_seconds=0,
    first_look_seconds=0,
    caps=Caps(),
    concurrent_companies=1,
)


def answer(messages: list[dict[str, Any]], response_format: dict[str, Any] | None) -> str:
    """What the server's model says to every conversation."""
    return json.dumps(ANSWER)


AT_ONCE = {"retry-after-ms": "1"}
"""The SDK repeats a reading call after its own backoff, unless the server names a time."""


def plenty() -> Budget:
    return Budget(seconds=60, rows=100_000)


def call_rule(operation: str, effect: dict[str, Any], **chance: Any) -> dict[str, Any]:
    return {"operation": operation, "effect": effect, **chance}


def refusal(status: int, code: str | None = None, **more: Any) -> dict[str, Any]:
    """The server answers with an error; `more` are headers or `work_done`."""
    return {"kind": "answer", "status": status, "error": {"code": code}, **more}


@dataclass(frozen=True)
class Lab:
    """One pipeline and the two real things that it stands between."""

    pipeline: Pipeline
    server: RunningServer
    desk: Desk

    def configure(self, **parts: Any) -> None:
        """Put a configuration of the server in force: nothing waits but what `parts` say."""
        timing = Timing.instant().model_copy(update=parts.pop("timing", {}))
        self.server.set_config(ServerConfig.model_validate({"timing": timing, **parts}))

    def under(self, **changes: Any) -> "Lab":
        """The same with another policy."""
        policy = replace(self.pipeline.policy, **changes)
        return replace(self, pipeline=replace(self.pipeline, policy=policy))

    def using(self, api: BatchApi) -> "Lab":
        """The same with another client."""
        return replace(self, pipeline=replace(self.pipeline, api=api))

    def asking(self, queries: Queries) -> "Lab":
        """The same with other operations on the database."""
        return replace(self, pipeline=replace(self.pipeline, queries=queries))

    def company(self, count: int = 3, **options: Any) -> tuple[str, list[str]]:
        """An active company with pending requests that nobody has noticed yet."""
        with self.desk.engine.begin() as connection:
            company_id = make_company(connection)
            return company_id, make_requests(connection, company_id, count, **options)

    def more(self, company_id: str, count: int, **options: Any) -> list[str]:
        with self.desk.engine.begin() as connection:
            return make_requests(connection, company_id, count, **options)

    def submit(self, budget: Budget | None = None) -> SubmitReport:
        """Find what is due for all active companies, and submit it."""
        seen = self.pipeline.read_snapshot()
        companies = [company.id for company in self.pipeline.queries.active_companies()]
        due = find_due(self.pipeline, seen, companies).due
        company_ids = [backlog.company_id for backlog in due]
        return submit_due(self.pipeline, seen, company_ids, budget or plenty())

    def claim(self, snapshot: WorkSnapshot | None = None) -> Sequence[ClaimedBatch]:
        """Claim for all active companies, and go no further; by what was seen before, if given."""
        seen = snapshot or self.pipeline.read_snapshot()
        companies = [company.id for company in self.pipeline.queries.active_companies()]
        find_due(self.pipeline, seen, companies)
        terms = claim_terms(self.pipeline, seen)
        installation_id = self.pipeline.registry.installation().id
        holder = self.pipeline.holder(installation_id)
        return self.pipeline.queries.claim(companies, terms, holder, Spent()).batches

    def send(self, batches: Sequence[ClaimedBatch]) -> BatchSubmitter:
        """Send what was claimed."""
        submitter = BatchSubmitter(
            self.pipeline, self.pipeline.registry.installation().id, plenty()
        )
        submitter.send(batches, claimed_at=time.monotonic())
        return submitter

    def poll(self) -> PollReport:
        return check_statuses(self.pipeline, self.pipeline.read_snapshot(), plenty())[0]

    def ingest(self, budget: Budget | None = None) -> IngestReport:
        seen = self.pipeline.read_snapshot()
        return ingest_results(self.pipeline, seen, budget or plenty())[0]

    def recover(self) -> RecoverReport:
        return recover_batches(self.pipeline, self.pipeline.read_snapshot(), plenty())[0]

    def retry(self) -> RetryReport:
        return requeue_due(self.pipeline, self.pipeline.read_snapshot(), plenty())

    def retry_failed(self) -> RetryReport:
        """Send live what must not wait, if that is on, and requeue what else is due."""
        return retry_failed(self.pipeline, self.pipeline.read_snapshot(), plenty())

    def clean(self, budget: Budget | None = None) -> int:
        """Delete the files of finished batches on the server; of how many."""
        return delete_leftovers(self.pipeline, self.pipeline.read_snapshot(), budget or plenty())

    def read_abandoned(self, *, whenever: bool = False) -> AbandonedReport:
        """Look at batches that were given up, those that are due or all."""
        seen = self.pipeline.read_snapshot()
        return read_abandoned(self.pipeline, seen, plenty(), whenever=whenever)

    def poll_to_the_end(self) -> PollReport:
        """Poll until no batch is in flight; the last report, with all that ended counted."""
        reports: list[PollReport] = []

        def has_ended() -> bool:
            reports.append(self.poll())
            return reports[-1].in_flight == 0

        wait_until(has_ended)
        return replace(reports[-1], ended=sum(report.ended for report in reports))

    def read_to_the_end(self) -> IngestReport:
        """Wait for what is in flight and ingest it."""
        self.poll_to_the_end()
        return self.ingest()

    def finish(self) -> None:
        """Whatever happened before: run until nothing waits, is in a batch or is due."""
        self.configure()

        def is_done() -> bool:
            self.recover()
            self.retry()
            self.submit()
            self.read_to_the_end()
            return not self.bucket_counts().keys() & {"waiting", "in_batch", "retry"}

        wait_until(is_done)

    def batches(self, state: str | None = None) -> list[str]:
        """Our batches, all or those in a state, oldest first."""
        return self.desk.column(
            "SELECT id FROM batch_assets.batch"
            " WHERE CAST(:state AS text) IS NULL OR state = :state ORDER BY claimed_at, id",
            state=state,
        )

    def remote_batches(self) -> list[RemoteBatch]:
        """This installation's batches on the server, newest first."""
        ours = self.desk.holder.installation_id
        return [one for one in self.pipeline.api.list_batches() if batch_of(one, ours)]

    def remote_files(self) -> list[RemoteFile]:
        """This installation's input files on the server."""
        ours = self.desk.holder.installation_id
        return [one for one in self.pipeline.api.list_files() if batch_of_file(one, ours)]

    def all_file_ids(self) -> set[str]:
        """Every file on the server."""
        return {one.id for one in self.pipeline.api.list_files()} | self._output_files()

    def _output_files(self) -> set[str]:
        return {
            file_id
            for batch in self.pipeline.api.list_batches()
            for file_id in (batch.output_file_id, batch.error_file_id)
            if file_id is not None
        }

    def times_billed(self, request_ids: Sequence[str]) -> list[int]:
        """How often the server billed each of these requests."""
        ledger = self.server.ledger()
        return [len(list(ledger.entries(custom_id=request_id))) for request_id in request_ids]

    def statuses(self, request_ids: Sequence[str]) -> list[str]:
        """The status of each of these requests."""
        return [self.desk.request(request_id).processingStatus for request_id in request_ids]

    def bucket_counts(self) -> dict[str, int]:
        """How many requests there are in each bucket, empty ones left out."""
        totals: dict[str, int] = {}
        for company in self.pipeline.queries.statistics():
            for bucket in sorted(Bucket):
                count = getattr(company, bucket)
                if count:
                    totals[bucket] = totals.get(bucket, 0) + count
        return totals

    def open_transactions(self) -> int:
        """Transactions that the pipeline has open on the database at this moment."""
        query = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'batch-assets' AND pid <> pg_backend_pid()"
            " AND xact_start IS NOT NULL"
        )
        with self.desk.engine.begin() as connection:
            return int(connection.execute(query).scalar_one())


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return once the condition holds; fail the test if it does not in time."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "the condition did not come true in time"
        time.sleep(0.01)
