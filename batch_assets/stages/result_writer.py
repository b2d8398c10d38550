"""Result lines of any number of batches: what each means for its row, written a set at a time.

Sets are written by threads of their own, two where the machine has the cores, while the lines of
the next one are collected.
"""

import os
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from batch_assets import analysis
from batch_assets.domain.batches import (
    BatchOutcomes,
    BatchRow,
    EndedBatch,
    Written,
)
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.lookups import HIDDEN, MOST_LISTED, BatchSummary
from batch_assets.domain.money import Cost, Price, Usage, batch_cost
from batch_assets.domain.policy import Policy
from batch_assets.domain.records import Response, ResultLine, RowOutcome
from batch_assets.openai_batch.prices import price_of_answer
from batch_assets.openai_batch.results import BrokenLine
from batch_assets.stages.concurrency import LeaseKeeper
from batch_assets.stages.pipeline import Pipeline

log = open_log(__name__)

_WRITERS = min(2, os.cpu_count() or 1)
"""More would wait for the database, and each holds a set in memory."""

_NO_SESSION = Failure(FailureKind.PERMANENT, "session_deleted", "The session was deleted.")


@dataclass(slots=True)
class IngestReport:
    """What one run read and wrote."""

    finalized: int = 0
    """Batches that are finished."""
    finalized_as: Counter[str] = field(default_factory=Counter)
    """The same, by the server's last word."""
    postponed: int = 0
    """Batches that could not be read to their end; a later run reads them again."""
    incomplete: int = 0
    """Those of them of which the server has more than it shows."""
    rows: Written = field(default_factory=Written)
    refused: Counter[str] = field(default_factory=Counter)
    """Lines that belong to no open row of their batch, by what is wrong with them."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failed rows by code."""
    failed: dict[str, str] = field(default_factory=dict)
    """Companies whose results could not be written, and the error's class."""
    batches_read: list[BatchSummary] = field(default_factory=list)
    """The first of those that are finished."""
    company_ids: set[str] = field(default_factory=set, metadata=HIDDEN)
    written_for: set[str] = field(default_factory=set, metadata=HIDDEN)

    @property
    def failed_for_all(self) -> bool:
        """Whether there was something to write, and nothing of any company could be written."""
        return bool(self.failed) and not self.written_for

    def add_read(self, batches: Sequence[EndedBatch]) -> None:
        """Note batches that were read to their end."""
        self.company_ids.update(batch.company_id for batch in batches)
        for batch in batches[: MOST_LISTED - len(self.batches_read)]:
            self.batches_read.append(
                BatchSummary(
                    batch_id=batch.id,
                    openai_batch_id=batch.openai_batch_id,
                    company=batch.company or batch.company_id,
                    requests=batch.requests,
                    state=f"finalized, {batch.server_status}",
                    sent_by_run=batch.run_id,
                )
            )


@dataclass(slots=True)
class _Pending:
    """The lines of one batch that are not written yet."""

    batch: EndedBatch
    lines: list[ResultLine] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Seen:
    """What the lines of a batch came to, as far as they were written."""

    answered: int = 0
    """Rows that have an answer now, or an error of their own."""
    returned: int = 0
    """Rows that never ran."""
    files: set[bool] = field(default_factory=set)
    """Which of its files held rows of its own: the output file (False), the error file (True)."""


class ResultWriter:
    """Collects lines until a set is full, and counts what became of them in the report.

    The lines come batch by batch. A set holds batches to their end, or one batch as far as it was
    read; of two sets that are written at once none has a batch in common. What has become of the
    lines is known after `flush`, and what the writing raised is raised by one of the next calls. A
    batch in `unwritten` has lost its lease, or could not be written to its last row: it is not to
    be finalized.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        batches: Sequence[EndedBatch],
        report: IngestReport,
        *,
        lease_seconds: float | None = None,
    ) -> None:
        """The leases are of so many seconds; without a number, of the policy's."""
        leases = [batch.lease for batch in batches]
        self.unwritten: set[str] = set()
        self._given_up: set[str] = set()
        """Those of them of which nothing more is written; of the others a row was set aside."""
        self.seen: defaultdict[str, Seen] = defaultdict(Seen)
        """By the batch's id."""
        self._pipeline = pipeline
        self._queries = pipeline.queries
        seconds = lease_seconds or pipeline.policy.lease_seconds
        self._keeper = LeaseKeeper(self._queries, leases, seconds)
        self._company_of = {batch.id: batch.company_id for batch in batches}
        self._report = report
        self._pending: dict[str, _Pending] = {}
        self._size = 0
        self._limited_log = RateLimitedLogger(log)
        self._threads = ThreadPoolExecutor(_WRITERS, thread_name_prefix="result-writer")
        self._writing: deque[tuple[set[str], Future[None]]] = deque()
        """The sets that are being written: the ids of their batches."""
        self._counting = threading.Lock()
        """Held while the report is changed, and what is known of batches."""

    def close(self) -> None:
        """Let the sets that are being written come to their end, and say what warnings were left
        out.

        It may be called twice.
        """
        self._threads.shutdown(wait=True)
        self._limited_log.close()

    def add(self, batch: EndedBatch, line: ResultLine | BrokenLine) -> None:
        """Take a line in, and have the set written if that made it full."""
        pending = self._pending.get(batch.id)
        if pending is None:
            pending = self._pending[batch.id] = _Pending(batch)
        if isinstance(line, BrokenLine):
            pending.refused[line.code] += 1
        else:
            pending.lines.append(line)
        self._size += 1
        if self._size >= self._pipeline.policy.rows_per_write:
            self._hand_over(begun=pending if len(self._pending) > 1 else None)

    def flush(self) -> None:
        """Write what was collected, and return when all of it is written."""
        self._hand_over()
        while self._writing:
            self._await_first()

    def _hand_over(self, begun: _Pending | None = None) -> None:
        """Have the set written, but for the batch that was `begun`: it opens the next one."""
        collected = [one for one in self._pending.values() if one is not begun]
        self._pending = {} if begun is None else {begun.batch.id: begun}
        self._size = 0 if begun is None else len(begun.lines) + begun.refused.total()
        ids = {one.batch.id for one in collected}
        while len(self._writing) >= _WRITERS or any(ids & others for others, _ in self._writing):
            self._await_first()
        taken = [one for one in collected if self._may_write(one.batch)]
        if taken:
            write = self._threads.submit(lambda: self._write(self._read(taken)))
            self._writing.append((ids, write))

    def _await_first(self) -> None:
        _, writing = self._writing.popleft()
        writing.result()

    def fail_rest(self, batches: Sequence[tuple[EndedBatch, Failure]]) -> None:
        """Let the rows of batches that have no outcome yet fail; those of each with its failure."""
        failures = {batch.id: failure for batch, failure in batches}
        leases = {batch.id: batch.lease for batch, _ in batches}
        size = self._pipeline.policy.rows_per_write
        while ids := [batch_id for batch_id in failures if batch_id not in self.unwritten]:
            rows = self._queries.open_rows(ids, size)
            if rows:
                outcomes: dict[str, list[RowOutcome]] = {}
                for batch_id, request_id in rows:
                    outcome = RowOutcome(request_id, failure=failures[batch_id])
                    outcomes.setdefault(batch_id, []).append(outcome)
                self._write([BatchOutcomes(leases[one], some) for one, some in outcomes.items()])
            if len(rows) < size:
                return

    def _read(self, taken: Sequence[_Pending]) -> list[BatchOutcomes]:
        """What the lines of some batches mean for their rows."""
        rows = [(one.batch.id, line.request_id) for one in taken for line in one.lines]
        types = self._queries.rows_of(rows) if rows else {}
        found = [self._outcomes(one, types) for one in taken]
        return [result for result in found if result is not None]

    def _may_write(self, batch: EndedBatch) -> bool:
        if not self._keeper.holds(batch.lease):
            self._stop_writing(batch.id)
        return batch.id not in self._given_up

    def _stop_writing(self, batch_id: str) -> None:
        self.unwritten.add(batch_id)
        self._given_up.add(batch_id)

    def _outcomes(
        self, pending: _Pending, types: Mapping[BatchRow, str | None]
    ) -> BatchOutcomes | None:
        batch = pending.batch
        reader = LineReader(batch, self._pipeline.price_of, self._pipeline.policy)
        ours = [line for line in pending.lines if (batch.id, line.request_id) in types]
        left = self._left(batch, pending.lines, types) if batch.is_of_earlier_installation else []
        pending.refused["not_in_batch"] += len(pending.lines) - len(ours) - len(left)
        seen = self.seen[batch.id]
        seen.files.update(line.in_error_file for line in [*ours, *left])
        seen.answered += sum(line.answered for line in left)
        # The lines go while they are read: the answers' texts are most of what a set takes.
        pending.lines.clear()
        ours.reverse()
        outcomes = []
        try:
            while ours:
                line = ours.pop()
                outcomes.append(reader.outcome(line, types[batch.id, line.request_id]))
        except (LookupError, TypeError, ValueError) as error:
            # Nothing of the error goes on but its class: it may quote an answer.
            self._give_up(batch.id, type(error).__name__)
            return None
        with self._counting:
            self._report.refused.update(+pending.refused)
        # The answer to a synchronous request cannot be read again.
        gives_up = batch.is_synchronous or (
            batch.ended_seconds > self._pipeline.policy.batch_timeout_seconds
        )
        return BatchOutcomes(
            batch.lease,
            outcomes,
            pending.refused.total(),
            gives_up,
            price=reader.price,
            model=batch.model,
        )

    def _left(
        self, batch: EndedBatch, lines: Sequence[ResultLine], types: Mapping[BatchRow, str | None]
    ) -> list[ResultLine]:
        """Lines of rows that had left an orphan to be tried again before its schema was lost."""
        others = [line for line in lines if (batch.id, line.request_id) not in types]
        if not others:
            return []
        known = self._pipeline.earlier_installation.requests_of(
            batch.company_id, [line.request_id for line in others]
        )
        return [line for line in others if line.request_id in known]

    def _write(self, results: Sequence[BatchOutcomes]) -> None:
        if not results:
            return
        written = self._queries.write_results(results, self._pipeline.policy)
        for result in results:
            batch_id = result.lease.batch_id
            done = written.get(batch_id)
            if done is None:
                self._stop_writing(batch_id)
            elif done.error:
                self._give_up(batch_id, done.error)
            else:
                with self._counting:
                    self._count(result, done)
                if done.set_aside:
                    self._set_aside(batch_id, done.set_aside)

    def _set_aside(self, batch_id: str, rows: int) -> None:
        self._limited_log.warning(
            "LiveDash's database refuses %d answers of batch %s, by a CHECK constraint or a width: "
            "the others are written, and the batch is read again until it takes them or "
            "BATCH_TIMEOUT_HOURS have gone by",
            rows,
            batch_id,
        )
        self.unwritten.add(batch_id)

    def _give_up(self, batch_id: str, error: str) -> None:
        self._limited_log.warning("The results of batch %s cannot be written: %s", batch_id, error)
        self._stop_writing(batch_id)
        self._report.failed[self._company_of[batch_id]] = error

    def _count(self, result: BatchOutcomes, done: Written) -> None:
        seen = self.seen[result.lease.batch_id]
        self._report.written_for.add(self._company_of[result.lease.batch_id])
        seen.answered += done.completed + done.retry + done.dead + done.discarded
        seen.returned += done.returned
        self._report.rows += done
        self._report.refused.update(done.refused)
        self._report.failures.update(
            outcome.failure.code for outcome in result.outcomes if outcome.failure is not None
        )


@dataclass(slots=True)
class LineReader:
    """Reads the lines of one batch.

    An answer costs what was kept with the batch when it was claimed, at the exchange rate of now;
    what has no price from then is priced as of now.
    """

    batch: EndedBatch
    price_of: Callable[[str], Price | None]
    policy: Policy
    price: Price | None = None
    """What the last answer was priced at."""

    def outcome(self, line: ResultLine, processing_type: str | None) -> RowOutcome:
        """The outcome of one line of this batch; no type: the session is gone."""
        if not line.answered:
            return RowOutcome(line.request_id)
        cost = self._cost(line.response)
        if line.response is None:
            return RowOutcome(line.request_id, None, cost, failure=line.failure)
        # What was read of the text is in the findings: nobody needs it any more.
        billed = replace(line.response, content=None)
        if processing_type is None:
            failure = line.failure or _NO_SESSION
            return RowOutcome(line.request_id, billed, cost, failure=failure)
        asked = analysis.known_type(processing_type)
        outcome = RowOutcome(line.request_id, billed, cost)
        if self._may_have_used(line.response.usage):
            outcome = replace(outcome, processing_type=asked)
        if line.failure is not None:
            return replace(outcome, failure=line.failure)
        # LiveDash asks in words of its own: of its answers we take what we understand.
        is_asked_so = self.batch.is_ours or self.batch.is_of_earlier_installation
        read = analysis.read_answer if is_asked_so else analysis.read_partial_answer
        answer = read(processing_type, line.response)
        if isinstance(answer, Failure):
            return replace(outcome, failure=answer)
        return replace(outcome, findings=answer)

    def _may_have_used(self, usage: Usage) -> bool:
        """Whether an answer can have used what the server says: of more, nothing is learnt."""
        model = self.policy.model_of(self.batch.model or "")
        return (
            usage.prompt_tokens <= self.policy.longest_request_tokens
            and usage.completion_tokens <= analysis.most_completion_tokens(model)
        )

    def _cost(self, response: Response | None) -> Cost:
        if response is None:
            return Cost()
        price = self.batch.price
        if price is None:
            price = price_of_answer(response, self.batch.model, self.price_of)
        if price is not None and self.batch.is_synchronous:
            # What was asked for is not always what is charged: the answer names its tier.
            price = price.in_tier(response.service_tier)
        self.price = price or self.price
        return batch_cost(response.usage, price, self.policy.usd_to_eur)
