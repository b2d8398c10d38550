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

from batch_assets.domain.batches import ORPHANED, SubmittedBatch, UnresolvedBatch
from batch_assets.domain.failures import ApiError
from batch_assets.domain.logs import open_log
from batch_assets.domain.records import Lease, RemoteBatch
from batch_assets.domain.wording import plural
from batch_assets.openai_batch import error_codes
from batch_assets.stages import anchors
from batch_assets.stages.doubts import may_touch
from batch_assets.stages.listing import best_first
from batch_assets.stages.orphans import adopt_orphans
from batch_assets.stages.pipeline import Budget, Pipeline, within_budget
from batch_assets.stages.searching import Lists
from batch_assets.stages.strays import StrayReport, clear_strays, note_unknown
from batch_assets.store.orphans import Adopted

log = open_log(__name__)

_NEEDED_ABSENCES = 2
"""Readings of the lists, a grace period apart, that have to miss a batch before it is absent."""
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
    foreign: int = 0
    """Batches that LiveDash itself has in flight, newly watched."""
    orphans: Adopted = field(default_factory=Adopted)
    """What an earlier installation, whose schema was lost, had left half-made."""
    strays: StrayReport = field(default_factory=StrayReport)


@within_budget
def recover(pipeline: Pipeline, budget: Budget) -> RecoverReport:
    """Settle what is unresolved as far as the server's lists allow.

    On a copy of the database nothing is touched. Raises ApiError when the lists cannot be read:
    nothing has changed then, and the batches are looked up by a later run.
    """
    snapshot = pipeline.snapshot
    report = pipeline.figures.note(RecoverReport())
    if snapshot.has_unwatched:
        report.foreign = pipeline.queries.adopt_foreign()
    has_work = snapshot.has_unresolved or snapshot.has_anchor or snapshot.has_orphans
    if not (has_work and may_touch(pipeline)):
        return report
    report.orphans = adopt_orphans(pipeline)
    snapshot = pipeline.snapshot
    installation = snapshot.installation
    if not snapshot.has_unresolved:
        if snapshot.has_anchor:
            anchors.clear(pipeline, installation.id)
        return report
    unresolved = pipeline.queries.take_unresolved(
        pipeline.holder(installation.id), pipeline.policy.batches_per_claim
    )
    if not unresolved:
        return report
    report.taken_over = len(unresolved)
    pipeline.refresh()
    budget.spend(len(unresolved))
    recovery = _Recovery(pipeline, installation.id, unresolved, report)
    try:
        recovery.look(budget)
    finally:
        recovery.leave()
    if snapshot.has_anchor and not (report.absent or report.awaited or report.unproved):
        anchors.clear(pipeline, installation.id)
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
        self._installation_id = installation_id
        self._report = report
        self._open = {batch.id: batch for batch in unresolved}
        """Those that this run has not done anything about."""
        self._absent: set[str] = set()
        """Those that the lists do not show; their files are gone."""
        self._failed: ApiError | None = None
        """Why files of one of them could not be deleted."""

    def look(self, budget: Budget) -> None:
        """Read the lists on, and do what follows."""
        pipeline = self._pipeline
        search = self._search = pipeline.searches.open(pipeline.api.account)
        lists = self._lists = Lists(
            pipeline, self._installation_id, search, list(self._open.values()), budget
        )
        lists.read()
        known = pipeline.intents.known({*lists.batches, *lists.files})
        lists.note_shown(known)
        is_over = lists.is_whole or lists.is_blind
        self._adopt()
        if note_unknown(pipeline, known, lists.batches, lists.files, self._report.strays):
            self._report.awaited += len(self._open)
        else:
            self._settle()
        if search.is_kept or not is_over:
            pipeline.searches.keep(search, is_over=is_over)
        if self._failed is not None:
            raise self._failed

    def leave(self) -> None:
        """Give up the leases of what stays as it is."""
        self._pipeline.queries.expire([batch.lease for batch in self._open.values()])

    def _settle(self) -> None:
        """Judge what is not there, if the lists were read to their end, and clear what else is."""
        lists = self._lists
        if lists.is_whole:
            self._conclude()
        elif lists.is_blind:
            doubtful = self._release_never_created(list(self._open.values()))
            self._say_unproved(len(doubtful), "The server's list of batches does not end")
        else:
            self._report.awaited += len(self._open)
        batches = {one: found for one, found in lists.batches.items() if one not in lists.orphans}
        files = {one: found for one, found in lists.files.items() if one not in lists.orphans}
        files = {one: found for one, found in files.items() if one not in self._absent}
        known = self._pipeline.intents.known({*batches, *files})
        clear_strays(self._pipeline, known, batches, files, self._report.strays)

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

    def _conclude(self) -> None:
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
        self._let_go(absent)

    def _let_go(self, absent: Sequence[UnresolvedBatch]) -> None:
        """Delete the files of what the lists do not show; release what they missed long enough."""
        shown = [batch for batch in absent if self._search.shows(batch.account)]
        unproved = self._release_never_created(
            [batch for batch in absent if not self._search.shows(batch.account)]
        )
        gone = [batch for batch in shown if self._has_lost_files(batch)]
        doubtful = [batch for batch in gone if not self._is_proved(batch)]
        self._report.awaited += len(shown) - len(gone)
        self._release([batch.lease for batch in gone if self._is_proved(batch)])
        leases = [batch.lease for batch in doubtful]
        self._pipeline.queries.record_absences(leases, self._search.account)
        for batch in doubtful:
            self._open.pop(batch.id)
        self._report.absent += len(doubtful)
        self._say_unproved_batches(unproved)
        if self._needs_anchor([*doubtful, *unproved]):
            anchors.make(self._pipeline, self._installation_id, self._search)

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
            is_doubtful = batch.input_file_id is not None or batch.account == ORPHANED
            (doubtful if is_doubtful else never).append(batch)
        self._release([batch.lease for batch in never])
        return doubtful

    def _release(self, leases: Sequence[Lease]) -> None:
        self._report.released_requests += self._pipeline.queries.release(leases)
        self._report.released += len(leases)
        for lease in leases:
            self._open.pop(lease.batch_id)

    def _has_lost_files(self, batch: UnresolvedBatch) -> bool:
        """Delete the files of an absent batch; what fails there concerns no other one."""
        try:
            self._delete_files(batch)
        except ApiError as error:
            self._failed = error
            return False
        return True

    def _delete_files(self, batch: UnresolvedBatch) -> None:
        """Delete every input file of an absent batch: a create that comes late finds none."""
        self._absent.add(batch.id)
        seen = {file_id for file_id, owner in self._search.files.items() if owner == batch.id}
        for file_id in sorted({*seen, batch.input_file_id} - {None}, key=str):
            try:
                self._report.files_deleted += self._pipeline.api.delete_file(str(file_id))
            except ApiError as error:
                if error.failure.code != error_codes.UNSUPPORTED:
                    raise
                log.warning(
                    "The server deletes no files: nothing keeps a create of batch %s that comes "
                    "late from running. It would be cancelled as a second one when it is seen",
                    batch.id,
                )

    def _is_proved(self, batch: UnresolvedBatch) -> bool:
        """These lists missed it too, and were begun long enough after the first that did."""
        grace = timedelta(seconds=self._pipeline.policy.absence_grace_seconds)
        return (
            batch.absences + 1 >= _NEEDED_ABSENCES
            and batch.absent_since is not None
            and self._search.began_at >= batch.absent_since + grace
        )

    def _needs_anchor(self, waiting: Sequence[UnresolvedBatch]) -> bool:
        """Whether the next lists would show nothing unless we put it there."""
        search = self._search
        return search.lists_files and any(
            (batch.account == search.account or batch.id in self._absent)
            and not search.has_batches_of(batch.account)
            for batch in waiting
        )

    def _say_unproved_batches(self, batches: Sequence[UnresolvedBatch]) -> None:
        if any(batch.account == ORPHANED for batch in batches):
            why = "The server's lists show nothing that the earlier installation has made"
            self._say_unproved(len(batches), why)
        elif any(batch.account not in {None, self._search.account} for batch in batches):
            why = "OPENAI_API_KEY or OPENAI_BASE_URL was another one when they were made"
            self._say_unproved(len(batches), why)
        elif not self._search.lists_files:
            why = "The server lists no files, and its list of batches shows none that must be there"
            self._say_unproved(len(batches), why)
        else:
            why = "The server's lists show nothing of this installation that must be there"
            self._say_unproved(len(batches), why)

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
