"""The way back: nothing is submitted any more, and what is under way is read or handed over.

A drain lasts until it is lifted. The runs go on reading meanwhile, and so does whoever waits here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from batch_assets.domain.display import plural
from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.stages.ingest import ingest_results
from batch_assets.stages.orphans import delete_leftovers
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.poll import check_statuses
from batch_assets.stages.recover import recover
from batch_assets.stages.retry import send_back
from batch_assets.store.drains import Drains, HandedOver, Standing
from batch_assets.store.registry import WorkSnapshot


@dataclass(frozen=True)
class DrainReport:
    """What one step of a drain has done, and what is left."""

    dry_run: bool
    hand_over: bool
    left: Standing
    returned_requests: int = 0
    """Requests that were put off or followed another one: they wait for anybody's batch."""
    handed_over: HandedOver = field(default_factory=HandedOver)
    trouble: str = ""
    """Why something could not be asked or read at this moment."""

    @property
    def sentences(self) -> list[str]:
        """Sentences on what was done or would be, what is left, and what LiveDash does with it."""
        if self.dry_run:
            return [*self._foreseen(), *self._of_livedash(), "Nothing was changed."]
        said = []
        if self.returned_requests:
            said.append(
                f"{plural(self.returned_requests, 'request')} that waited for another try or "
                "followed another one wait for a batch again."
            )
        if self.trouble:
            said.append(f"The server was not reached for all: {self.trouble}.")
        if not self.left.is_empty:
            return [*said, self.still]
        said.append("Drained: nothing of this project is under way any more.")
        return [*said, *self._of_livedash()]

    @property
    def still(self) -> str:
        """A sentence on what is waited for."""
        needs_word = " `batch-assets confirm` has it watched." if self.left.unwatched else ""
        return f"Under way: {self.left.sentence}.{needs_word}"

    def _foreseen(self) -> list[str]:
        if self.left.is_empty:
            return ["Submissions would be stopped.", "Nothing is under way."]
        is_running = self.left.running_for_default and self.hand_over
        what = "handed over to LiveDash, the rest read to its end" if is_running else "read"
        left = f"What is under way would be {what}: {self.left.sentence}."
        return ["Submissions would be stopped.", left]

    def _of_livedash(self) -> list[str]:
        """What its timers will do, once it is started with its key."""
        said = []
        batches = self.left.running_for_default if self.dry_run else self.handed_over.batches
        if self.hand_over and batches:
            are = "would be" if self.dry_run else "is" if batches == 1 else "are"
            said.append(
                f"{plural(batches, 'batch', 'batches')} {are} LiveDash's, as IN_PROGRESS. Its "
                "check timer asks for them with its own OPENAI_API_KEY, which has to be of the "
                "same project, and marks them FAILED when the API does not answer. It reads the "
                "output file of a completed batch alone: requests that expire, or whose batch "
                "fails or is cancelled, stay in progress for good. What followed one of them is "
                "bought by itself."
            )
        if self.left.dead:
            said.append(
                f"{plural(self.left.dead, 'dead letter')} will be taken by LiveDash's retry timer: "
                "it buys ten of each company synchronously, at the full price, every ten minutes, "
                "and those that fail again and again. `batch-assets dead-letters list` names them."
            )
        return said


def begin_drain(drains: Drains, who: str) -> None:
    """Stop submissions; what a claim has under way at this moment is committed before."""
    drains.begin(who)


def lift_drain(drains: Drains) -> str:
    """Let submissions go on; a sentence on what was done."""
    if drains.lift():
        return "Submissions go on with the next run. What was handed over stays LiveDash's."
    return "Nothing to do: submissions were not stopped by a drain."


def foresee_drain(drains: Drains, *, hand_over: bool) -> DrainReport:
    """Report what is under way; changes nothing."""
    return DrainReport(dry_run=True, hand_over=hand_over, left=drains.standing())


def drain_on(pipeline: Pipeline, budget: Budget, *, hand_over: bool) -> DrainReport:
    """Ask for what is under way, read what has ended, and send back what waits; what is left.

    With `hand_over` what still runs on the server is LiveDash's then; of further accounts it is
    waited for, since LiveDash has one key.

    Raises:
        ApiError: The server refuses the account; what needs no server is done by then.
    """
    errors = [
        error
        for error in (
            _tried(recover, pipeline, budget),
            _tried(check_statuses, pipeline, budget),
            _tried(ingest_results, pipeline, budget),
        )
        if error is not None
    ]
    given = pipeline.drains.hand_over() if hand_over else HandedOver()
    returned = send_back(pipeline, pipeline.read_snapshot())
    _tried(delete_leftovers, pipeline, budget)
    report = DrainReport(
        dry_run=False,
        hand_over=hand_over,
        left=pipeline.drains.standing(),
        returned_requests=returned,
        handed_over=given,
        trouble=str(errors[0]) if errors else "",
    )
    refused = [one for one in errors if one.failure.kind is FailureKind.ACCOUNT]
    if refused and not report.left.is_empty:
        raise refused[0]
    return report


def added(before: DrainReport | None, now: DrainReport) -> DrainReport:
    """Add up both steps as one."""
    if before is None:
        return now
    handed = before.handed_over
    return replace(
        now,
        returned_requests=before.returned_requests + now.returned_requests,
        handed_over=HandedOver(
            handed.batches + now.handed_over.batches, handed.requests + now.handed_over.requests
        ),
    )


def _tried(
    stage: Callable[[Pipeline, WorkSnapshot, Budget], object], pipeline: Pipeline, budget: Budget
) -> ApiError | None:
    """Run a stage on what there is to do at this moment; why it has failed, if it has."""
    try:
        stage(pipeline, pipeline.read_snapshot(), budget)
    except ApiError as error:
        return error
    return None
