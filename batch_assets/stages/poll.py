"""The server's word on the batches in flight. A call that fails changes nothing about a batch.

They are asked for by a page of the server's list, and singly where that is not enough. A page is
cheap and proves little: it may lag, lack the ids of files, be in another order or fail, and some
servers bring a batch further only when it is asked for. So what a page says is made sure of now and
then, and what it does not say is asked for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from batch_assets.domain.batches import InFlightBatch
from batch_assets.domain.breakers import ANSWER_TOO_LARGE, MALFORMED
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.records import RemoteBatch
from batch_assets.domain.states import SERVER_ENDED
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.error_codes import MODEL_NOT_FOUND, TOKEN_LIMIT, Refusal, refusal
from batch_assets.stages.cooldowns import cool_down
from batch_assets.stages.overdue import OverdueReport, cancel_overdue
from batch_assets.stages.pipeline import Budget, Pipeline, within_budget
from batch_assets.stages.remote_ids import CLOCK_MARGIN
from batch_assets.store.registry import WorkSnapshot

log = open_log(__name__)

SINGLE_CALLS: Final = 3
"""Up to this many batches are asked for one by one; for more, a page of the list is cheaper."""
_UNLISTED_A_RUN: Final = 500
"""So many that a page did not show are asked for in one run at most, by turns."""
_LOOKS_A_RUN: Final = 20
"""So many that a page did show are asked for once more; further ones only while it was wrong."""
_FIRST_LOOK_SECONDS: Final = 10 * 60.0
"""A batch of which the server says nothing new is asked for alone after so long."""
_LONGEST_PAUSE_SECONDS: Final = 2 * 60 * 60.0
"""The pause after that doubles, up to here."""
_OF_ONE_BATCH: Final = frozenset({error_codes.UNREADABLE, ANSWER_TOO_LARGE, MALFORMED})
"""Failures that tell nothing of the other batches."""
_FAILURES_IN_A_ROW: Final = 3
"""After so many failed calls the server is left alone until the next run."""


@dataclass(slots=True)
class PollReport:
    """What one run saw of the batches in flight."""

    in_flight: int = 0
    oldest_batch_seconds: float = 0.0
    """Since the oldest of them was submitted."""
    ended: int = 0
    changed: int = 0
    unseen: int = 0
    """Batches of which this run learned nothing; they stay as they are."""
    unknown: int = 0
    """Those of them of which the server says that it does not know them."""
    late: OverdueReport = field(default_factory=OverdueReport)


@within_budget
def check_statuses(
    pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget
) -> tuple[PollReport, WorkSnapshot]:
    """Ask the server for all batches in flight and keep what it says; what there is to do now.

    Raises:
        ApiError: The server refuses the account, or could not be asked about any batch.
    """
    if not snapshot.has_in_flight:
        return PollReport(), snapshot
    batches = pipeline.queries.batches_in_flight(
        pipeline.policy.batches_per_poll, pipeline.account_name
    )
    asked = Asked(pipeline.api, budget)
    asked.ask(batches)
    pairs = [
        (batch, asked.seen[batch.openai_batch_id])
        for batch in batches
        if batch.openai_batch_id in asked.seen
    ]
    # What of its results is not there yet is waited for by whoever reads them.
    ended = frozenset(batch.id for batch, remote in pairs if remote.status in SERVER_ENDED)
    changed = pipeline.queries.record_statuses(pairs, ended)
    if len(batches) > SINGLE_CALLS and asked.looked_at:
        pipeline.registry.note_retrieved(asked.looked_at)
    if _cool_down(pipeline, pairs):
        snapshot = pipeline.read_snapshot()
    elif ended:
        snapshot = replace(snapshot, has_ended=True)
    unseen = [batch for batch in batches if batch.openai_batch_id not in asked.seen]
    late = cancel_overdue(pipeline, snapshot, pairs, unseen, budget)
    if asked.error is not None and (not pairs or asked.error.failure.kind is FailureKind.ACCOUNT):
        raise asked.error
    report = PollReport(
        in_flight=len(batches) - len(ended),
        oldest_batch_seconds=max(
            (batch.age_seconds for batch in batches if batch.id not in ended), default=0.0
        ),
        ended=len(ended),
        changed=changed,
        unseen=len(unseen),
        unknown=asked.unknown,
        late=late,
    )
    return report, snapshot


def _cool_down(pipeline: Pipeline, pairs: Iterable[tuple[InFlightBatch, RemoteBatch]]) -> bool:
    """Begin cooldowns of what the server refused batches for; whether the account has one.

    What it takes of a model's tokens is kept, so that no more is sent afterwards.
    """
    models: dict[str, str] = {}
    account = None
    beyond_tokens = []
    for batch, remote in pairs:
        for error in remote.errors if batch.is_ours else ():
            meaning = refusal(error)
            if meaning is Refusal.ACCOUNT:
                account = error.code
            elif batch.model is not None and (
                meaning is Refusal.NO_ROOM or error.code == MODEL_NOT_FOUND
            ):
                models[batch.model] = error.code
                if error.code == TOKEN_LIMIT:
                    beyond_tokens.append(batch.id)
    if beyond_tokens:
        pipeline.registry.note_tokens_refused(beyond_tokens)
    cool_down(pipeline, models, account)
    return account is not None


class Asked:
    """What the server said of some batches, by its own ids, and the last call that failed."""

    def __init__(self, api: BatchApi, budget: Budget) -> None:
        self.seen: dict[str, RemoteBatch] = {}
        self.error: ApiError | None = None
        self.unknown = 0
        """How many it does not know."""
        self.looked_at: list[str] = []
        """Our ids of those that were asked for alone: others are next."""
        self._api = api
        self._budget = budget
        self._limited_log = RateLimitedLogger(log)
        self._unanswered: list[str] = []
        """Of those that a call failed for: it is theirs alone if the server answers for others."""

    def ask(self, batches: Sequence[InFlightBatch]) -> None:
        """Ask for each of these, as far as the budget allows."""
        with self._limited_log:
            if len(batches) <= SINGLE_CALLS:
                self._one_by_one(batches)
                return
            self._list(batches)
            listed = [batch for batch in batches if batch.openai_batch_id in self.seen]
            unlisted = [batch for batch in batches if batch.openai_batch_id not in self.seen]
            unlisted.sort(key=lambda batch: -batch.unasked_seconds)
            if not self._is_refused:
                self._make_sure(listed)
                self._one_by_one(unlisted[:_UNLISTED_A_RUN])
                self._look_again(listed)
            if self.seen:
                # It answers others: some gateways fail at what they do not know.
                self.looked_at += self._unanswered

    @property
    def _is_refused(self) -> bool:
        return self.error is not None and self.error.failure.kind is FailureKind.ACCOUNT

    def _list(self, batches: Sequence[InFlightBatch]) -> None:
        """Look for them in the server's list, from the newest down to the oldest of them.

        Half of the time is for the list: one without end leaves the rest to single calls.
        """
        wanted = {batch.openai_batch_id for batch in batches}
        oldest = min(batch.submitted_at for batch in batches) - CLOCK_MARGIN
        try:
            with self._api.within(self._budget.seconds_left / 2):
                for remote in self._api.list_batches(created_after=oldest):
                    if remote.id in wanted:
                        self.seen[remote.id] = remote
                    if len(self.seen) == len(wanted) or self._budget.is_spent:
                        break
        except ApiError as error:
            log.warning("Listing the batches: %s", error)
            self.error = error

    def _make_sure(self, batches: Iterable[InFlightBatch]) -> None:
        """Ask for those that ended as far as the list says, and lack there what they should have.

        One that cannot be asked for now is not believed to have ended, unless the server knows it
        by its list alone.
        """
        doubtful = [batch for batch in batches if _lacks(self.seen[batch.openai_batch_id])]
        listed = {batch.openai_batch_id: self.seen.pop(batch.openai_batch_id) for batch in doubtful}
        for openai_id in self._one_by_one(doubtful, counts_unknown=False):
            self.seen[openai_id] = listed[openai_id]

    def _look_again(self, batches: Iterable[InFlightBatch]) -> None:
        """Ask for some that do not move, as far as the list says; for more while it was wrong."""
        due = [
            batch
            for batch in batches
            if batch.openai_batch_id in self.seen
            and self.seen[batch.openai_batch_id].status not in SERVER_ENDED
            and _is_due_alone(batch)
        ]
        due.sort(key=lambda batch: -batch.unasked_seconds)
        while due:
            some, due = due[:_LOOKS_A_RUN], due[_LOOKS_A_RUN:]
            listed = [self.seen[batch.openai_batch_id] for batch in some]
            self._one_by_one(some, counts_unknown=False)
            if listed == [self.seen[batch.openai_batch_id] for batch in some]:
                return

    def _one_by_one(
        self, batches: Sequence[InFlightBatch], *, counts_unknown: bool = True
    ) -> list[str]:
        """Ask for each of these alone; the server's ids of those that it does not know."""
        unknown = []
        failures = 0
        for batch in batches:
            if self._budget.is_spent or self._is_refused or failures == _FAILURES_IN_A_ROW:
                break
            try:
                self.seen[batch.openai_batch_id] = self._api.retrieve(batch.openai_batch_id)
            except ApiError as error:
                self._limited_log.warning("Asking for batch %s: %s", batch.id, error)
                self._let_others_go_first(batch, error.failure)
                # One that the server does not know, made with another key perhaps, or of which it
                # says what nobody can read, stays as it is and keeps no other from being read.
                if error.failure.code == error_codes.NOT_FOUND:
                    unknown.append(batch.openai_batch_id)
                elif error.failure.code not in _OF_ONE_BATCH:
                    failures += 1
                    self.error = error
            else:
                failures = 0
                self.looked_at.append(batch.id)
        self.unknown += len(unknown) if counts_unknown else 0
        return unknown

    def _let_others_go_first(self, batch: InFlightBatch, failure: Failure) -> None:
        if failure.code in _OF_ONE_BATCH | {error_codes.TIMEOUT}:
            self.looked_at.append(batch.id)
        elif failure.kind is not FailureKind.ACCOUNT:
            self._unanswered.append(batch.id)


def _lacks(remote: RemoteBatch) -> bool:
    """Whether an ended batch lacks a file that its counts speak of, or the reason of its failure.

    Without counts nobody knows how many files there are.
    """
    if remote.status not in SERVER_ENDED:
        return False
    if remote.status == "failed" and not remote.has_files:
        return not remote.errors
    is_uncounted = not (remote.completed or remote.failed)
    return (remote.output_file_id is None and bool(remote.completed or is_uncounted)) or (
        remote.error_file_id is None and bool(remote.failed or is_uncounted)
    )


def _is_due_alone(batch: InFlightBatch) -> bool:
    """Whether it was unasked for as long as it did not move before that, within limits."""
    moved_before = batch.unchanged_seconds - batch.unasked_seconds
    pause = min(max(moved_before, _FIRST_LOOK_SECONDS), _LONGEST_PAUSE_SECONDS)
    return batch.unasked_seconds >= pause
