"""From due requests to batches on the server: claim, commit, call, record, some at a time.

The next ones are claimed while the last ones are on their way.

No transaction is open while the API is spoken to, and each creating call is made once. A run that
is killed anywhere leaves intents that `recover` looks up.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from batch_assets.domain.batches import Claim
from batch_assets.domain.errors import BatchAssetsError, SubmissionHeldError
from batch_assets.domain.lookups import HIDDEN, MOST_LISTED, BatchSummary
from batch_assets.domain.packing import Terms
from batch_assets.domain.records import Lease
from batch_assets.openai_batch.spool import Spool, not_kept, sweep
from batch_assets.stages.batch_submitter import BatchSubmitter
from batch_assets.stages.circuit_breakers import submission_held_by
from batch_assets.stages.copies import LookReport, look_for_others, settle_doubt
from batch_assets.stages.input_files import UploadSizes
from batch_assets.stages.pipeline import Budget, Pipeline, rare_collections
from batch_assets.stages.plan import claim_terms
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.registry import WorkSnapshot


@dataclass(slots=True)
class SubmitReport:
    """What one run sent. Tokens and cost are the estimates that were made before sending."""

    batches: int = 0
    requests: int = 0
    estimated_tokens: int = 0
    estimated_cost_eur: float = 0.0
    unpriced_requests: int = 0
    """Those of them whose model has no price: what they cost is not in that."""
    released: int = 0
    """Batches whose requests wait again: the server refused, had no room, or time was up."""
    returned_requests: int = 0
    """Their requests."""
    unresolved: int = 0
    """Batches whose outcome is not known: a later run looks them up."""
    put_off: int = 0
    """Batches that a later run creates: the server still processes their files."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Requests that can never be sent, by code."""
    held: Counter[str] = field(default_factory=Counter)
    """Requests that stay waiting although they are due, by reason."""
    unknown_types: Counter[str] = field(default_factory=Counter)
    """Sent requests whose type is not known, by a name that is safe to show: all was asked."""
    failed: dict[str, str] = field(default_factory=dict)
    """Companies whose requests could not be claimed or written, and the error's class."""
    batches_sent: list[BatchSummary] = field(default_factory=list)
    """The first of them."""
    look: LookReport = field(default_factory=LookReport)
    company_ids: set[str] = field(default_factory=set, metadata=HIDDEN)
    claimed_for: set[str] = field(default_factory=set, metadata=HIDDEN)

    @property
    def failed_for_all(self) -> bool:
        """Whether there was something to send, and nothing of any company could be claimed."""
        others = self.claimed_for - self.failed.keys()
        return bool(self.failed) and not (others or self.rejected or self.held)

    @property
    def cost(self) -> tuple[float, int, int]:
        """The estimate, of how many requests, and of how many of them nothing is known."""
        return self.estimated_cost_eur, self.requests, self.unpriced_requests


@rare_collections
def submit_due(
    pipeline: Pipeline,
    snapshot: WorkSnapshot,
    company_ids: Sequence[str],
    budget: Budget,
    *,
    only_model: str | None = None,
) -> SubmitReport:
    """Submit what these companies have waiting (of one model), until the budget is spent.

    What was claimed and not sent waits again, or is looked up by the next run. The snapshot only
    says whether there is anything to do: what is spent is decided by one that is read for that.

    Raises:
        SubmissionHeldError: Submission is not allowed, or a breaker would refuse its calls: nothing
            was claimed. Or another database was seen to upload under the same id.
        ConfigurationError: No file could be written, or no call be made; nothing was claimed.
        ApiError: The server refuses the account or cannot be reached.
        BatchAssetsError: There was no room on the disk for some files; everything else was sent.
    """
    report = pipeline.reports.note(SubmitReport())
    if not (company_ids or snapshot.has_pending_files):
        return report
    with pipeline.api.within(budget.seconds_left):
        snapshot = settle_doubt(pipeline, pipeline.read_snapshot())
    why_not = submission_held_by(pipeline.api.profile, snapshot)
    if why_not is not None:
        raise SubmissionHeldError(why_not)
    # Whatever would keep every file or call from being made is found before anything is claimed.
    with Spool(pipeline.spool_dir):
        pipeline.api.prepare()
    with pipeline.api.within(budget.seconds_left):
        # Noted, since there is one look a run: before files are deleted nobody looks again.
        report.look = pipeline.looks.note(look_for_others(pipeline, snapshot))
    if report.look.unknown_seen:
        snapshot = pipeline.read_snapshot()
    reason = snapshot.installation.hold_reason
    if reason is not None:
        raise SubmissionHeldError(reason)
    sweep(pipeline.spool_dir, older_than_seconds=pipeline.policy.lease_seconds)
    terms = claim_terms(pipeline, snapshot, only_model)
    sending = _Sending(pipeline, pipeline.holder(snapshot.installation.id), budget, report)
    with pipeline.api.within(budget.seconds_left):
        if snapshot.has_pending_files:
            sending.go_on()
        sending.claim_and_send(company_ids, terms)
    return report


@dataclass(frozen=True, slots=True)
class _Sending:
    """Sends what is claimed, and what earlier runs have put off."""

    pipeline: Pipeline
    holder: Holder
    budget: Budget
    report: SubmitReport

    def claim_and_send(self, company_ids: Sequence[str], terms: Terms) -> None:
        """Claim what waits for these companies, and send it, until the budget is spent.

        The next batches are claimed while the last ones are sent.
        """
        pipeline = self.pipeline
        with closing(_ClaimsAhead(self, company_ids, terms)) as claims:
            while (claimed := claims.next()) is not None:
                submitter = BatchSubmitter(
                    pipeline,
                    self.holder.installation_id,
                    self.budget,
                    self.report.look,
                    taken=self.report.batches,
                )
                send = partial(submitter.send, claimed.claim.batches, claimed.at)
                self._carry_out(send, submitter)
                if submitter.meets_another:
                    reason = pipeline.read_snapshot().installation.hold_reason
                    raise SubmissionHeldError(reason or "")
                if submitter.inputs.unwritten is not None:
                    raise BatchAssetsError(not_kept(pipeline.spool_dir, submitter.inputs.unwritten))
                if submitter.to_release:
                    # Whatever was refused may say something of what was claimed meanwhile.
                    claims.give_back()
                if submitter.sizes.refused:
                    claims.claim_smaller(submitter.sizes)

    def go_on(self) -> None:
        """Create the batches that earlier runs have put off, as far as the files are processed."""
        most = self.pipeline.policy.batches_per_claim
        taken_at = time.monotonic()
        pending = self.pipeline.pending_files.take(self.holder, most)
        if pending:
            submitter = BatchSubmitter(self.pipeline, self.holder.installation_id, self.budget)
            self._carry_out(partial(submitter.go_on, pending, taken_at), submitter)

    def _carry_out(self, work: Callable[[], None], submitter: BatchSubmitter) -> None:
        """Do what a submitter is for, and count it; raise what stopped it."""
        try:
            work()
        finally:
            _count(self.report, submitter, self.pipeline.run_id)
        if submitter.stopped_by is not None:
            raise submitter.stopped_by


@dataclass(frozen=True, slots=True)
class _Claimed:
    """One claim: when it was begun, and of whom and after what was spent it was."""

    claim: Claim
    at: float
    company_ids: tuple[str, ...]
    spent: Spent

    @property
    def leases(self) -> list[Lease]:
        return [batch.lease for batch in self.claim.batches]


class _ClaimsAhead:
    """Claims one after the other, each begun as soon as the one before it is taken to be sent.

    What was claimed and is not to be sent is given back, at the latest by `close`.
    """

    def __init__(self, sending: _Sending, company_ids: Sequence[str], terms: Terms) -> None:
        self._sending = sending
        self._company_ids = tuple(company_ids)
        self._terms = terms
        self._spent = Spent()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="claim")
        self._ahead: Future[_Claimed] | None = None

    def next(self) -> _Claimed | None:
        """Wait for the next claim that has batches, and begin the one after it; `None`: no more.

        Raises:
            Exception: Whatever the claim has raised; nothing was claimed.
        """
        while True:
            self._begin()
            if self._ahead is None:
                return None
            ahead, self._ahead = self._ahead, None
            claimed = ahead.result()
            self._take(claimed)
            if claimed.claim.batches:
                self._begin()
                return claimed

    def give_back(self) -> None:
        """Let the requests of the claim that was begun wait again, and its companies come again."""
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead.exception() is not None:
            # Where it has failed there is nothing to give back, and the next one will say why.
            return
        claimed = ahead.result()
        self._sending.report.rejected.update(claimed.claim.rejected)
        self._sending.pipeline.queries.release(claimed.leases)
        self._company_ids, self._spent = claimed.company_ids, claimed.spent

    def claim_smaller(self, sizes: UploadSizes) -> None:
        """Claim smaller batches from now on, and those first that were refused for their size."""
        self._terms = sizes.applied_to(self._terms)
        if self._terms.upload_bytes is not None:
            self._sending.pipeline.registry.note_upload_bytes(self._terms.upload_bytes)
        self._spent -= sizes.spent
        again = [batch.company_id for batch in sizes.refused]
        self._company_ids = tuple(dict.fromkeys([*again, *self._company_ids]))

    def close(self) -> None:
        """Give back what was claimed and is sent by nobody."""
        try:
            self.give_back()
        finally:
            self._thread.shutdown()

    def _begin(self) -> None:
        if self._ahead is None and self._company_ids and not self._sending.budget.is_spent:
            self._ahead = self._thread.submit(self._claim)

    def _claim(self) -> _Claimed:
        at = time.monotonic()
        sending, company_ids, spent = self._sending, self._company_ids, self._spent
        claim = sending.pipeline.queries.claim(company_ids, self._terms, sending.holder, spent)
        return _Claimed(claim, at, company_ids, spent)

    def _take(self, claimed: _Claimed) -> None:
        claim, report = claimed.claim, self._sending.report
        self._company_ids = claim.remaining
        report.rejected.update(claim.rejected)
        report.held.update(claim.held)
        report.failed.update(claim.failed)
        report.claimed_for.update(batch.company_id for batch in claim.batches)
        requests = sum(batch.requests for batch in claim.batches)
        self._spent += Spent(requests, sum(batch.cost_eur for batch in claim.batches))
        self._sending.budget.spend(requests)


def _count(report: SubmitReport, submitter: BatchSubmitter, run_id: str) -> None:
    report.batches += len(submitter.submitted)
    report.requests += sum(batch.requests for batch in submitter.submitted)
    report.estimated_tokens += sum(batch.tokens for batch in submitter.submitted)
    report.estimated_cost_eur += sum(batch.cost_eur for batch in submitter.submitted)
    report.unpriced_requests += sum(
        one.requests for one in submitter.submitted if not one.is_priced
    )
    report.released += len(submitter.to_release)
    report.returned_requests += submitter.returned_requests
    report.unresolved += len(submitter.unresolved)
    report.put_off += len(submitter.put_off)
    report.unknown_types.update(submitter.unknown_types)
    report.failed.update(submitter.inputs.broken)
    report.company_ids.update(batch.company_id for batch in submitter.submitted)
    for batch in submitter.submitted[: MOST_LISTED - len(report.batches_sent)]:
        report.batches_sent.append(
            BatchSummary(
                batch_id=batch.id,
                openai_batch_id=submitter.openai_ids[batch.id],
                company=batch.company_id,
                requests=batch.requests,
                state="submitted",
                sent_by_run=run_id,
            )
        )
