"""What other runs left open is looked up, never repeated.

A batch whose run ended before the server's word was kept is taken over once its lease has run out.
The server's lists then decide: a batch that is ours is adopted; one that is proved absent has its
input file deleted, so that a late create comes to nothing, and its requests wait again. Lists that
show nothing of what must be there prove nothing, and leave it as it is, unless no creation was ever
called for. What else they show under our name is cleared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from batch_assets.domain.batches import EARLIER_INSTALLATION, SubmittedBatch, UnresolvedBatch
from batch_assets.domain.display import plural
from batch_assets.domain.errors import ApiError
from batch_assets.domain.logs import open_log
from batch_assets.domain.records import Lease, RemoteBatch
from batch_assets.openai_batch import error_codes
from batch_assets.stages.absence import (
    AbsenceProof,
    clear_anchors,
    make_anchor,
    why_unproved,
)
from batch_assets.stages.copies import settle_doubt
from batch_assets.stages.orphans import OrphanReport, clear_orphans, note_unknown
from batch_assets.stages.pipeline import Budget, Pipeline, within_budget
from batch_assets.stages.remote_ids import best_first
from batch_assets.stages.server_lists import ServerLists
from batch_assets.store.installation import Adopted
from batch_assets.store.registry import WorkSnapshot

log = open_log(__name__)

_VALIDATED_WITHIN = timedelta(hours=1)
"""After so long a batch that came too late goes on like any other one, whatever becomes of it."""


@dataclass(slots=True)
class RecoverReport:
    """What one run found of others' work."""

    taken_over: int = 0
    adopted: int = 0
    """Batches that the server had: they go on as if nothing had happened."""
    absent: int = 0
    """Batches that were not listed; looked for again later."""
    awaited: int = 0
    """Batches of which the lists are not read to their end yet, or that the server has to judge."""
    unproved: int = 0
    """Batches that were not listed, by lists that prove nothing: they stay as they are."""
    released: int = 0
    """Batches proved absent, or failed for want of their file: their requests wait again."""
    released_requests: int = 0
    files_deleted: int = 0
    """Input files of absent batches."""
    external: int = 0
    """Batches that LiveDash itself has in flight, newly watched."""
    earlier: Adopted = field(default_factory=Adopted)
    """What an earlier installation, whose schema was lost, had left half-made."""
    orphans: OrphanReport = field(default_factory=OrphanReport)


@within_budget
def recover(
    pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget
) -> tuple[RecoverReport, WorkSnapshot]:
    """Resolve what was left open, as far as the server's lists allow; what there is to do then.

    On a copy of the database nothing is touched.

    Raises:
        ApiError: The lists cannot be read: nothing has changed then, and the batches are looked up
            by a later run. Or files of an absent batch could not be deleted; all else is done then.
    """
    report = pipeline.reports.note(RecoverReport())
    if snapshot.has_unwatched:
        report.external = pipeline.queries.adopt_external()
    if not (snapshot.has_unresolved or snapshot.has_anchor or snapshot.has_earlier_installation):
        return report, snapshot
    snapshot = settle_doubt(pipeline, snapshot)
    if snapshot.installation.may_touch:
        snapshot = _resolve(pipeline, snapshot, budget, report)
    return report, snapshot


def _resolve(
    pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget, report: RecoverReport
) -> WorkSnapshot:
    """Take over what is unresolved and see what the lists say; what there is to do then."""
    if snapshot.has_earlier_installation and snapshot.installation.is_confirmed:
        report.earlier = adopt_earlier_installation(pipeline)
        snapshot = pipeline.read_snapshot()
    installation_id = snapshot.installation.id
    if not snapshot.has_unresolved:
        if snapshot.has_anchor:
            clear_anchors(pipeline, installation_id)
        return snapshot
    unresolved = pipeline.queries.take_unresolved(
        pipeline.holder(installation_id), pipeline.policy.batches_per_claim
    )
    if not unresolved:
        return snapshot
    report.taken_over = len(unresolved)
    budget.spend(len(unresolved))
    recovery = _Recovery(pipeline, installation_id, unresolved, report)
    try:
        recovery.look(budget)
    finally:
        recovery.leave()
    if snapshot.has_anchor and not (report.absent or report.awaited or report.unproved):
        clear_anchors(pipeline, installation_id)
    return pipeline.read_snapshot()


def adopt_earlier_installation(pipeline: Pipeline) -> Adopted:
    """Watch over what an earlier installation has left half-made, once its schema was lost.

    Its batches carry an id that nobody knows any more; but LiveDash's rows of them are here, and
    name them. They are looked for and read like any other, and never cancelled: whether the
    database that made them lives on elsewhere cannot be told from here. So that waits for an
    operator's word, too. One statement.
    """
    adopted = pipeline.earlier_installation.adopt()
    if adopted.orphaned_batches or adopted.orphaned_requests:
        log.warning(
            "An earlier installation, whose schema was lost, has left %s, which are looked for and "
            "read now, and %s in none, which wait again or follow one that is under way",
            plural(adopted.orphaned_batches, "half-made batch", "half-made batches"),
            plural(adopted.orphaned_requests, "request"),
        )
    return adopted


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
        self._installation_id = installation_id
        self._report = report
        self._open = {batch.id: batch for batch in unresolved}
        """Those that this run has not done anything about."""

    def look(self, budget: Budget) -> None:
        """Read the lists on, and do what follows."""
        pipeline = self._pipeline
        search = self._search = pipeline.searches.open(pipeline.api.account)
        lists = self._lists = ServerLists(
            pipeline, self._installation_id, search, list(self._open.values()), budget
        )
        self._proof = AbsenceProof(pipeline, search)
        lists.read()
        known = pipeline.intents.known({*lists.batches, *lists.files})
        lists.note_shown(known)
        is_over = lists.is_whole or lists.is_blind
        self._adopt()
        if note_unknown(pipeline, known, lists.batches, lists.files, self._report.orphans):
            self._report.awaited += len(self._open)
        else:
            self._conclude()
        if search.is_kept or not is_over:
            pipeline.searches.keep(search, is_over=is_over)
        if self._proof.error is not None:
            raise self._proof.error

    def leave(self) -> None:
        """Give up the leases of what stays as it is."""
        self._pipeline.queries.expire([batch.lease for batch in self._open.values()])

    def _conclude(self) -> None:
        """Judge what is not there, if the lists were read to their end, and clear what else is."""
        lists = self._lists
        if lists.is_whole:
            self._judge_all()
        elif lists.is_blind:
            doubtful = self._release_never_created(list(self._open.values()))
            self._say_unproved(len(doubtful), "The server's list of batches does not end")
        else:
            self._report.awaited += len(self._open)
        batches = {one: found for one, found in lists.batches.items() if one not in lists.inherited}
        files = {one: found for one, found in lists.files.items() if one not in lists.inherited}
        files = {one: found for one, found in files.items() if one not in self._proof.without_files}
        known = self._pipeline.intents.known({*batches, *files})
        clear_orphans(self._pipeline, known, batches, files, self._report.orphans)

    def _adopt(self) -> None:
        """Go on with the batches that the server has.

        Not yet with one that has failed: another one of the same intent may be listed behind it.
        Nor with one whose input file was deleted, before the server has seen that it lacks it.
        """
        found = [
            SubmittedBatch(batch.lease, remotes[0])
            for batch in self._open.values()
            for remotes in [best_first(self._lists.batches.get(batch.id, ()))]
            if remotes and self._is_well(batch, remotes[0])
        ]
        self._submit(found)

    def _submit(self, found: Sequence[SubmittedBatch]) -> None:
        adopted = self._pipeline.queries.record_submissions(found)
        self._report.adopted += len(adopted)
        for one in found:
            self._open.pop(one.lease.batch_id)

    def _judge_all(self) -> None:
        """Judge what was looked for, now that the lists have been read to their end."""
        absent = []
        for batch in list(self._open.values()):
            remotes = self._candidates(batch)
            if remotes:
                self._judge(batch, best_first(remotes)[0])
            elif remotes is None or batch.sought_at > self._search.began_at:
                self._report.awaited += 1
            else:
                absent.append(batch)
        self._release_absent(absent)

    def _release_absent(self, absent: Sequence[UnresolvedBatch]) -> None:
        """Release what the lists missed long enough; the others are looked for again."""
        search, report = self._search, self._report
        unproved = self._release_never_created(
            [batch for batch in absent if not search.shows(batch.account)]
        )
        found = self._proof.judge([batch for batch in absent if search.shows(batch.account)])
        report.awaited += len(found.kept)
        report.files_deleted += found.files_deleted
        self._release([batch.lease for batch in found.proved])
        self._pipeline.queries.record_absences([one.lease for one in found.missed], search.account)
        for batch in found.missed:
            self._open.pop(batch.id)
        report.absent += len(found.missed)
        self._say_unproved(len(unproved), why_unproved(unproved, search))
        if self._proof.needs_anchor([*found.missed, *unproved]):
            make_anchor(self._pipeline, self._installation_id, search)

    def _candidates(self, batch: UnresolvedBatch) -> list[RemoteBatch] | None:
        """What the server has of an intent, as it is now; `None` if it has forgotten one of them.

        What earlier runs saw is asked for alone, and so is one that is said to be validated and
        whose input file was deleted: its end may show late in a list.
        """
        found = {remote.id: remote for remote in self._lists.batches.get(batch.id, ())}
        seen = {one for one, batch_id in self._search.batches.items() if batch_id == batch.id}
        stale = {
            one.id for one in found.values() if batch.absences and not self._is_well(batch, one)
        }
        for remote_id in sorted(seen - found.keys() | stale):
            try:
                found[remote_id] = self._pipeline.api.retrieve(remote_id)
            except ApiError as error:
                if error.failure.code != error_codes.NOT_FOUND:
                    raise
                return None
        return list(found.values())

    def _judge(self, batch: UnresolvedBatch, remote: RemoteBatch) -> None:
        """Adopt a batch that has failed by its rows, release one that has failed for its file."""
        if remote.status == "failed" and batch.absences and not _names_lines(remote):
            log.warning("Batch %s came too late: its input file was gone, nothing ran", batch.id)
            self._release([batch.lease])
        elif self._is_well(batch, remote) or remote.status == "failed":
            self._submit([SubmittedBatch(batch.lease, remote)])
        else:
            self._report.awaited += 1

    def _is_well(self, batch: UnresolvedBatch, remote: RemoteBatch) -> bool:
        """Whether a batch goes on like any other one; of one that lost its file that is not known
        until the server has looked for it, or has taken too long for that."""
        if remote.status != "validating" or batch.absent_since is None:
            return remote.status != "failed"
        return self._search.began_at >= batch.absent_since + _VALIDATED_WITHIN

    def _release_never_created(
        self, batches: Sequence[UnresolvedBatch]
    ) -> Sequence[UnresolvedBatch]:
        """Release those of which our own word is enough, and return the others.

        A creation is called for only once the input file is recorded, and whoever still writes or
        uploads one has lost the lease that recording it takes. What a lost schema had recorded is
        not known.
        """
        doubtful: list[UnresolvedBatch] = []
        never: list[UnresolvedBatch] = []
        for batch in batches:
            is_doubtful = batch.input_file_id is not None or batch.account == EARLIER_INSTALLATION
            (doubtful if is_doubtful else never).append(batch)
        self._release([batch.lease for batch in never])
        return doubtful

    def _release(self, leases: Sequence[Lease]) -> None:
        self._report.released_requests += self._pipeline.queries.release(leases)
        self._report.released += len(leases)
        for lease in leases:
            self._open.pop(lease.batch_id)

    def _say_unproved(self, number: int, why: str) -> None:
        if not number:
            return
        self._report.unproved += number
        log.warning(
            "Whether the server has %s is not known, and nothing of that is sent again. %s: is the "
            "key one of the project that they were made in? They are looked for by each run",
            plural(number, "batch that was cut short", "batches that were cut short"),
            why,
        )


def _names_lines(remote: RemoteBatch) -> bool:
    return any(error.line is not None for error in remote.errors)
