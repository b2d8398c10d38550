"""Brings batches to the state that a test is about, by the operations themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from batch_assets.domain.batches import (
    BatchOutcomes,
    Claim,
    ClaimedBatch,
    EndedBatch,
    InFlightBatch,
    SubmittedBatch,
    UploadedBatch,
    Written,
)
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.money import Cost, Price, Rates, Usage, livedash_price
from batch_assets.domain.packing import Sizes, Terms
from batch_assets.domain.policy import Policy
from batch_assets.domain.records import Findings, Lease, RemoteBatch, Response, RowOutcome
from batch_assets.store.protocol import Holder, Queries, Spent
from batch_assets_tests.factories import Messages, make_company, make_requests
from batch_assets_tests.policies import a_policy

POLICY = a_policy()
PRICE = livedash_price(1e-6, 4e-6)
USAGE = Usage(
    prompt_tokens=1_200,
    completion_tokens=80,
    total_tokens=1_280,
    cached_tokens=1_024,
    audio_tokens_prompt=1,
    reasoning_tokens=2,
    audio_tokens_completion=3,
    accepted_prediction_tokens=4,
    rejected_prediction_tokens=5,
)
COST = Cost(usd=0.002, eur=0.00175, synchronous_eur=0.0035, rates=Rates(5e-7, 2.5e-7, 2e-6))
RESPONSE = Response(
    request_id="chatcmpl-1",
    model="gpt-4o-mini-2024-07-18",
    service_tier="default",
    system_fingerprint="fp_1",
    usage=USAGE,
    content="{}",
)
FINDINGS = Findings(
    language="nl",
    sentiment="NEGATIVE",
    category="LEAVE_VACATION",
    escalated=True,
    forwarded_hr=False,
    summary="An employee asked for a day off.",
    questions=("Can I have Friday off?", "Who decides?"),
)
TRANSIENT = Failure(FailureKind.TRANSIENT, "server_error", "The server failed on this request.")
PERMANENT = Failure(FailureKind.PERMANENT, "refused", "The model refused to answer.")
ACCOUNT = "account-1"
CAPACITY = Failure(FailureKind.CAPACITY, "rate_limit_exceeded", "The server had no room.")


def completed(request_id: str, findings: Findings = FINDINGS, cost: Cost = COST) -> RowOutcome:
    return RowOutcome(request_id, RESPONSE, cost, findings=findings)


def failed(request_id: str, failure: Failure = TRANSIENT, *, paid: bool = False) -> RowOutcome:
    if paid:
        return RowOutcome(request_id, RESPONSE, COST, failure=failure)
    return RowOutcome(request_id, failure=failure)


def terms(policy: Policy = POLICY, price: Price | None = PRICE) -> Terms:
    return Terms(
        policy=policy,
        price_of=lambda model: price,
        sizes_of=lambda kind, model: Sizes(1_000, 200, 200, 100),
        account=ACCOUNT,
    )


@dataclass(frozen=True)
class Desk:
    """Rows, operations and looks at the tables."""

    engine: Engine
    queries: Queries

    @property
    def holder(self) -> Holder:
        """A run of the installation as it is now."""
        installation_id = str(self.value("SELECT i.id FROM batch_assets.installation AS i"))
        return Holder("host:1", "run-1", installation_id, lease_seconds=900, account=ACCOUNT)

    def company(self, count: int = 0, **options: Any) -> tuple[str, list[str]]:
        """A company with `count` requests that were noticed; `options` go to `make_requests`."""
        with self.engine.begin() as connection:
            company_id = make_company(connection)
            ids = make_requests(connection, company_id, count, **options) if count else []
        self.queries.notice_pending(10_000)
        return company_id, ids

    def more(self, company_id: str, count: int, **options: Any) -> list[str]:
        """More noticed requests of a company."""
        with self.engine.begin() as connection:
            ids = make_requests(connection, company_id, count, **options)
        self.queries.notice_pending(10_000)
        return ids

    def claim(
        self,
        *company_ids: str,
        policy: Policy = POLICY,
        spent: Spent | None = None,
        price: Price | None = PRICE,
    ) -> Claim:
        return self.queries.claim(company_ids, terms(policy, price), self.holder, spent or Spent())

    def claimed(self, count: int = 3, messages: Messages = 4) -> tuple[ClaimedBatch, list[str]]:
        """A claimed batch of a company of its own, and its requests."""
        company_id, ids = self.company(count, messages=messages)
        (batch,) = self.claim(company_id).batches
        return batch, ids

    def uploaded(self, count: int = 3) -> tuple[ClaimedBatch, list[str]]:
        batch, ids = self.claimed(count)
        self.upload(batch.lease)
        return batch, ids

    def upload(self, lease: Lease) -> None:
        upload = UploadedBatch(lease, f"file-{lease.batch_id}", 1_000)
        assert self.queries.record_uploads([upload], 900) == {lease.batch_id}

    def submit(self, batch: ClaimedBatch) -> None:
        submission = SubmittedBatch(batch.lease, remote_batch(batch.id))
        assert self.queries.record_submissions([submission]) == {batch.id}

    def submitted(self, count: int = 3) -> tuple[InFlightBatch, list[str]]:
        """A batch that the server has."""
        batch, ids = self.uploaded(count)
        self.submit(batch)
        return self.in_flight(batch.id), ids

    def in_flight(self, batch_id: str) -> InFlightBatch:
        (found,) = [one for one in self.queries.batches_in_flight(1_000) if one.id == batch_id]
        return found

    def end(self, batch: InFlightBatch, **changes: Any) -> None:
        """The server ends a batch: completed with an output file, unless `changes` say else."""
        word = {"status": "completed", "output_file_id": f"file-out-{batch.id}"} | changes
        remote = replace(remote_batch(batch.id), **word)
        self.queries.record_statuses([(batch, remote)], frozenset({batch.id}))

    def ended(self, count: int = 3, **changes: Any) -> tuple[EndedBatch, list[str]]:
        """A batch that ended, with its lease taken."""
        batch, ids = self.submitted(count)
        self.end(batch, **changes)
        return self.take(batch.id), ids

    def take(self, batch_id: str) -> EndedBatch:
        """Take ended batches until the wanted one comes."""
        taken = self.queries.take_ended(self.holder, 1_000)
        (found,) = [one for one in taken if one.id == batch_id]
        return found

    def write(
        self,
        lease: Lease,
        outcomes: Sequence[RowOutcome],
        refused: int = 0,
        policy: Policy = POLICY,
    ) -> Written | None:
        """Write the outcomes of one batch; `None` if its lease was lost."""
        written = self.queries.write_results([BatchOutcomes(lease, outcomes, refused)], policy)
        return written.get(lease.batch_id)

    def finalize(self, lease: Lease) -> int | None:
        """Finalize one batch; how many rows wait again, `None` if its lease was lost."""
        return self.queries.finalize([lease]).get(lease.batch_id)

    def lapse(self, batch_id: str) -> None:
        """Let the lease of a batch run out."""
        self.do(
            "UPDATE batch_assets.batch SET lease_expires_at = clock_timestamp() - interval '1 s'"
            " WHERE id = :id",
            id=batch_id,
        )

    def do(self, statement: str, **parameters: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), parameters)

    def value(self, query: str, **parameters: Any) -> Any:
        with self.engine.begin() as connection:
            return connection.execute(text(query), parameters).scalar_one()

    def column(self, query: str, **parameters: Any) -> list[Any]:
        with self.engine.begin() as connection:
            return list(connection.execute(text(query), parameters).scalars())

    def column_pairs(self, query: str, **parameters: Any) -> list[tuple[Any, Any]]:
        with self.engine.begin() as connection:
            return [(row[0], row[1]) for row in connection.execute(text(query), parameters)]

    def rows(self, query: str, **parameters: Any) -> list[Row[Any]]:
        with self.engine.begin() as connection:
            return list(connection.execute(text(query), parameters))

    def batch(self, batch_id: str) -> Row[Any]:
        """Our row of a batch."""
        return self._row("SELECT * FROM batch_assets.batch WHERE id = :id", batch_id)

    def livedash_batch(self, batch_id: str) -> Row[Any]:
        """LiveDash's row of a batch."""
        return self._row('SELECT * FROM public."AIBatchRequest" WHERE id = :id', batch_id)

    def request(self, request_id: str) -> Row[Any]:
        """LiveDash's row of a request."""
        return self._row('SELECT * FROM public."AIProcessingRequest" WHERE id = :id', request_id)

    def attempt(self, request_id: str) -> Row[Any]:
        """The only attempt of a request."""
        return self._row("SELECT * FROM batch_assets.attempt WHERE request_id = :id", request_id)

    def retry(self, request_id: str) -> Row[Any]:
        return self._row("SELECT * FROM batch_assets.retry WHERE request_id = :id", request_id)

    def dead_letter(self, request_id: str) -> Row[Any]:
        return self._row(
            "SELECT * FROM batch_assets.dead_letter WHERE request_id = :id", request_id
        )

    def session(self, request_id: str) -> Row[Any]:
        """The session of a request."""
        return self._row(
            'SELECT * FROM public."Session" WHERE id = :id', self.session_id(request_id)
        )

    def session_id(self, request_id: str) -> str:
        return str(self.request(request_id).sessionId)

    def set_stage(self, session_id: str, word: str) -> None:
        """Let the stage AI_ANALYSIS of a session say this, whatever is so."""
        self.do(
            'INSERT INTO public."SessionProcessingStatus" AS p (id, "sessionId", stage, status)'
            " VALUES (:id, :id, 'AI_ANALYSIS', CAST(:word AS public.\"ProcessingStatus\"))"
            ' ON CONFLICT ("sessionId", stage) DO UPDATE SET status = excluded.status',
            id=session_id,
            word=word,
        )

    def analysis_status(self, request_id: str) -> Row[Any] | None:
        """The AI_ANALYSIS row of a request's session."""
        with self.engine.begin() as connection:
            return connection.execute(
                text(
                    'SELECT p.* FROM public."SessionProcessingStatus" AS p'
                    ' JOIN public."AIProcessingRequest" AS r ON r."sessionId" = p."sessionId"'
                    " WHERE r.id = :id AND p.stage = 'AI_ANALYSIS'"
                ),
                {"id": request_id},
            ).one_or_none()

    def statuses(self, request_ids: Sequence[str]) -> set[str]:
        """The statuses that these requests have."""
        return set(
            self.column(
                'SELECT "processingStatus"::text FROM public."AIProcessingRequest"'
                " WHERE id = ANY(:ids)",
                ids=list(request_ids),
            )
        )

    def intake(self) -> set[str]:
        """The requests that wait in the intake."""
        return set(self.column("SELECT request_id FROM batch_assets.intake"))

    def delete_session(self, request_id: str) -> None:
        """LiveDash deletes the session, and its request with it."""
        self.do('DELETE FROM public."Session" WHERE id = :id', id=self.session_id(request_id))

    def everything(self) -> Mapping[str, list[Row[Any]]]:
        """Every row of every table that an operation can write."""
        with self.engine.begin() as connection:
            return {table: _all_of(connection, query) for table, query in _TABLES.items()}

    def _row(self, query: str, identifier: str) -> Row[Any]:
        with self.engine.begin() as connection:
            return connection.execute(text(query), {"id": identifier}).one()


def remote_batch(batch_id: str) -> RemoteBatch:
    """A batch as the server describes it right after its creation."""
    return RemoteBatch(
        id=f"batch_{batch_id}", status="validating", input_file_id=f"file-{batch_id}"
    )


_TABLES = {
    "request": 'SELECT * FROM public."AIProcessingRequest" ORDER BY id',
    "livedash_batch": 'SELECT * FROM public."AIBatchRequest" ORDER BY id',
    "session": 'SELECT * FROM public."Session" ORDER BY id',
    "status": 'SELECT * FROM public."SessionProcessingStatus" ORDER BY id',
    "question": 'SELECT * FROM public."Question" ORDER BY id',
    "session_question": 'SELECT * FROM public."SessionQuestion" ORDER BY id',
    "batch": "SELECT * FROM batch_assets.batch ORDER BY id",
    "abandoned_batch": "SELECT * FROM batch_assets.abandoned_batch ORDER BY batch_id",
    "attempt": "SELECT * FROM batch_assets.attempt ORDER BY batch_id, request_id",
    "intake": "SELECT * FROM batch_assets.intake ORDER BY request_id",
    "retry": "SELECT * FROM batch_assets.retry ORDER BY request_id",
    "dead_letter": "SELECT * FROM batch_assets.dead_letter ORDER BY request_id",
    "follower": "SELECT * FROM batch_assets.follower ORDER BY request_id",
    "model_cooldown": "SELECT * FROM batch_assets.model_cooldown ORDER BY model",
    "bisection_request": "SELECT * FROM batch_assets.bisection_request ORDER BY request_id",
}


def _all_of(connection: Connection, query: str) -> list[Row[Any]]:
    return list(connection.execute(text(query)))
