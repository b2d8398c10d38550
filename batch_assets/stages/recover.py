"""What other runs left open is looked up, never repeated.

A batch whose run ended before the server's word was kept is taken over once its lease has run out.
The server's lists then decide: a batch that carries our id is adopted; one that is proved absent
has its input file deleted, so that a late create is refused, and its requests wait again. What else
the lists show under our name is cleared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from batch_assets.domain.batches import SubmittedBatch, UnresolvedBatch
from batch_assets.domain.failures import ApiError
from batch_assets.stages.listing import CLOCK_MARGIN, our_batches, our_files
from batch_assets.stages.pipeline import Budget, Pipeline, within_budget
from batch_assets.stages.strays import StrayReport, clear_strays

_NEEDED_ABSENCES = 2
"""Listings, a grace period apart, that have to miss a batch before it counts as absent."""


@dataclass(slots=True)
class RecoverReport:
    """What one run found of others' work."""

    taken_over: int = 0
    adopted: int = 0
    """Batches that the server had: they go on as if nothing had happened."""
    absent: int = 0
    """Batches that were not listed; looked for again later."""
    released: int = 0
    """Batches proved absent: their requests wait again."""
    released_requests: int = 0
    files_deleted: int = 0
    """Input files of absent batches."""
    foreign: int = 0
    """Batches that LiveDash itself has in flight, newly watched."""
    strays: StrayReport = field(default_factory=StrayReport)


@within_budget
def recover(pipeline: Pipeline, budget: Budget) -> RecoverReport:
    """Settle what is unresolved as far as the server's lists allow.

    On a copy of the database nothing is touched. Raises ApiError when the lists cannot be read:
    nothing has changed then, and the batches are looked up by a later run.
    """
    glance = pipeline.glance
    report = pipeline.figures.note(RecoverReport())
    if glance.has_unwatched:
        report.foreign = pipeline.queries.adopt_foreign()
    installation = glance.installation
    if not (glance.has_unresolved and installation.is_at_home):
        return report
    unresolved = pipeline.queries.take_unresolved(
        pipeline.holder(installation.id), pipeline.policy.batches_per_claim
    )
    if not unresolved:
        return report
    report.taken_over = len(unresolved)
    pipeline.look_again()
    budget.spend(len(unresolved))
    try:
        recovery = _Recovery(pipeline, installation.id, unresolved, report)
        recovery.adopt()
        recovery.let_go()
        recovery.clear()
    except ApiError:
        pipeline.queries.expire([batch.lease for batch in unresolved])
        raise
    return report


class _Recovery:
    """One look at the server's lists, and what follows from it."""

    def __init__(
        self,
        pipeline: Pipeline,
        installation_id: str,
        unresolved: Sequence[UnresolvedBatch],
        report: RecoverReport,
    ) -> None:
        self._pipeline = pipeline
        self._unresolved = unresolved
        self._report = report
        since = min(batch.claimed_at for batch in unresolved) - CLOCK_MARGIN
        self._remote = our_batches(pipeline.api, installation_id, since)
        self._files = our_files(pipeline.api, installation_id, since)

    def adopt(self) -> None:
        """Go on with the batches that the server has."""
        found = [
            SubmittedBatch(batch.lease, self._remote[batch.id][0])
            for batch in self._unresolved
            if batch.id in self._remote
        ]
        self._report.adopted = len(self._pipeline.queries.record_submissions(found))

    def let_go(self) -> None:
        """Delete the files of absent batches; release those that were missed for long enough."""
        absent = [batch for batch in self._unresolved if batch.id not in self._remote]
        for batch in absent:
            for file_id in {*self._files.get(batch.id, ()), batch.input_file_id} - {None}:
                if file_id is not None and self._pipeline.api.delete_file(file_id):
                    self._report.files_deleted += 1
        proved = [batch.lease for batch in absent if self._is_proved(batch)]
        doubtful = [batch.lease for batch in absent if not self._is_proved(batch)]
        self._report.released_requests = self._pipeline.queries.release(proved)
        self._pipeline.queries.record_absences(doubtful)
        self._report.released = len(proved)
        self._report.absent = len(doubtful)

    def clear(self) -> None:
        """Put away what is on the server beside that; the files of absent batches are gone."""
        absent = {batch.id for batch in self._unresolved} - set(self._remote)
        files = {one: found for one, found in self._files.items() if one not in absent}
        self._report.strays = clear_strays(self._pipeline, self._remote, files)

    def _is_proved(self, batch: UnresolvedBatch) -> bool:
        """This listing missed it too, and the first that did is long enough ago."""
        return (
            batch.absences + 1 >= _NEEDED_ABSENCES
            and batch.absent_seconds >= self._pipeline.policy.absence_grace_seconds
        )
