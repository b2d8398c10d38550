"""What is on the server and nobody needs: orphans, and files that were read to their end.

A second batch of an intent, and one that appears after its intent was given up, are cancelled, and
what they would have cost is kept. Files of such batches are deleted. What carries an id that this
database does not know is named, and never touched. Conversations do not linger: the files of
finished batches are deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from batch_assets.domain.batches import Leftover
from batch_assets.domain.errors import ApiError
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.money import Usage
from batch_assets.domain.records import RemoteBatch, RemoteFile
from batch_assets.domain.states import (
    BEYOND_CANCELLING,
    SERVER_ENDED,
    UNRESOLVED_BATCH_STATES,
)
from batch_assets.openai_batch.error_codes import UNSUPPORTED
from batch_assets.stages.concurrency import run_per_key
from batch_assets.stages.copies import LookReport, look_for_others, settle_doubt
from batch_assets.stages.pipeline import Budget, Pipeline, within_budget
from batch_assets.stages.remote_ids import (
    Batches,
    Files,
    lists_no_files,
    named,
    our_batches,
    our_files,
)
from batch_assets.store.installation import Installation
from batch_assets.store.intents import Duplicate, Intent
from batch_assets.store.registry import WorkSnapshot

log = open_log(__name__)

_LOOK_BACK: Final = timedelta(days=7)
"""How old what is looked for may be: whoever looks daily may miss some days."""


@dataclass(slots=True)
class OrphanReport:
    """What was found beside what is recorded."""

    duplicates: int = 0
    """Second batches of one intent, or batches of an intent that was given up."""
    duplicates_cancelled: int = 0
    orphans_deleted: int = 0
    """Files that no batch needs."""
    unknown: int = 0
    """Batches and files with an id that this database does not know; left alone."""


def find_orphans(pipeline: Pipeline, snapshot: WorkSnapshot) -> OrphanReport:
    """Look through the server's lists of the last seven days, whatever is unresolved here.

    A list without an order is read to its end for that. Nothing is asked or touched while this
    database is not confirmed, or on a copy of another. Takes as long as an op may.

    Raises:
        ApiError: The lists cannot be read; nothing has changed then.
    """
    installation = snapshot.installation
    if not (installation.is_at_home and installation.is_confirmed):
        return OrphanReport()
    settle_doubt(pipeline, snapshot)
    with pipeline.api.within(pipeline.policy.op_seconds):
        return _find(pipeline, installation)


def _find(pipeline: Pipeline, installation: Installation) -> OrphanReport:
    report = OrphanReport()
    since = datetime.now(UTC) - _LOOK_BACK
    # Intents are read last: whatever is made meanwhile is recorded, or unresolved, by then.
    files = _files(pipeline, installation.id, since)
    batches = our_batches(pipeline.api, installation.id, since, files)
    known = pipeline.intents.known({*batches, *files}) if batches or files else {}
    if not note_unknown(pipeline, known, batches, files, report):
        clear_orphans(pipeline, known, batches, files, report)
    return report


def _files(pipeline: Pipeline, installation_id: str, since: datetime) -> Files:
    try:
        return our_files(pipeline.api, installation_id, since)
    except ApiError as error:
        if not lists_no_files(error):
            raise
        log.warning("The server lists no files: what is left behind there cannot be told")
        return {}


def note_unknown(
    pipeline: Pipeline,
    known: Mapping[str, Intent],
    batches: Batches,
    files: Files,
    report: OrphanReport,
) -> bool:
    """Keep and name what carries an id that this database does not know, and leave it alone.

    True if anything is kept that no operator knows of: then nothing may be touched from here, and
    nothing is submitted. That is read after what was found is kept.
    """
    ahead = pipeline.api.clock_ahead
    found = {
        "Batch": [one for one in named(batches, ahead) if one.batch_id not in known],
        "File": [one for one in named(files, ahead) if one.batch_id not in known],
    }
    unknown = [one for some in found.values() for one in some]
    report.unknown += len(unknown)
    with RateLimitedLogger(log) as limited_log:
        for kind, some in found.items():
            for one in some:
                limited_log.warning(
                    "%s %s carries the id of a batch that this database does not know: left alone",
                    kind,
                    one.remote_id,
                )
    if unknown:
        pipeline.intents.note_unknown(unknown)
    return not pipeline.read_snapshot().installation.may_touch


def clear_orphans(
    pipeline: Pipeline,
    known: Mapping[str, Intent],
    batches: Batches,
    files: Files,
    report: OrphanReport,
) -> None:
    """Compare what the server lists under our name with what is recorded; both by our batch ids.

    Called after what could be adopted was: an intent that is still unresolved is left alone.
    """
    if not known:
        return
    with RateLimitedLogger(log) as limited_log:
        clearing = _Clearing(pipeline, known, report, limited_log)
        found = [
            duplicate
            for batch_id, remotes in batches.items()
            for duplicate in clearing.duplicates(batch_id, remotes)
        ]
        if found:
            pipeline.intents.record_duplicates(found, pipeline.policy.usd_to_eur)
            report.duplicates = len(found)
        for batch_id, some in files.items():
            clearing.delete(batch_id, some, batches.get(batch_id, ()))


def _billed(duplicate: RemoteBatch) -> Usage | None:
    """What a second batch has used once it has ended; nothing if none of it was answered."""
    if duplicate.status not in SERVER_ENDED:
        return None
    if duplicate.total and not duplicate.completed:
        return Usage()
    return duplicate.billed


class _Clearing:
    """Cancels and deletes, one after the other; what the server refuses to do stays there."""

    def __init__(
        self,
        pipeline: Pipeline,
        intents: Mapping[str, Intent],
        report: OrphanReport,
        limited_log: RateLimitedLogger,
    ) -> None:
        self._api = pipeline.api
        self._intents = intents
        self._report = report
        self._limited_log = limited_log

    def duplicates(self, batch_id: str, remotes: Sequence[RemoteBatch]) -> list[Duplicate]:
        """Of the batches with this id those that are not the recorded one, cancelled if they run.

        One that the server refused has cost nothing, and does not count.
        """
        intent = self._intents.get(batch_id)
        if intent is None or intent.state in UNRESOLVED_BATCH_STATES:
            return []
        return [
            Duplicate(remote.id, batch_id, self._cancel(remote), _billed(remote))
            for remote in remotes
            if remote.id != intent.openai_batch_id and remote.status != "failed"
        ]

    def delete(
        self, batch_id: str, files: Sequence[RemoteFile], remotes: Sequence[RemoteBatch]
    ) -> None:
        """Delete the input files with this id that the recorded batch does not use."""
        intent = self._intents.get(batch_id)
        if intent is None or intent.state in UNRESOLVED_BATCH_STATES:
            return
        used = {one.input_file_id for one in remotes if one.id == intent.openai_batch_id}
        used.add(intent.input_file_id)
        if intent.openai_batch_id is not None and used == {None}:
            return  # Which of them the batch uses, nobody has said.
        for file in files:
            if file.id not in used:
                self._delete(file.id)

    def _cancel(self, duplicate: RemoteBatch) -> bool:
        """Cancel it unless it has ended; what has run of it is paid for in any case."""
        if duplicate.status in BEYOND_CANCELLING:
            return False
        self._limited_log.warning(
            "Batch %s is on the server without need: cancelling it", duplicate.id
        )
        try:
            self._api.cancel(duplicate.id)
        except ApiError as error:
            self._limited_log.warning("Batch %s runs on: %s", duplicate.id, error)
            return False
        self._report.duplicates_cancelled += 1
        return True

    def _delete(self, file_id: str) -> None:
        try:
            deleted = self._api.delete_file(file_id)
        except ApiError as error:
            self._limited_log.warning("File %s is left behind: %s", file_id, error)
        else:
            self._report.orphans_deleted += deleted


@within_budget
def delete_leftovers(pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget) -> int:
    """Delete the files of batches that are finalized; of how many.

    The last stage of a run: what people wait for is done by then. The snapshot only says whether
    there is anything to do: once anything unknown is kept, by whichever stage or process, the
    statement that finds the files finds none.

    Only files of our own batches, and only from the database that made them: a copy that is at work
    elsewhere may still need them, so that is looked for first, unless submitting has looked in this
    run. A file that cannot be deleted now is left for a later run; the server's own expiry is the
    backstop. On a server that deletes none there is nothing that a later run could do: its files
    count as seen to.

    Raises:
        ApiError: The server refuses the account.
    """
    if not snapshot.has_leftovers or not _may_touch(pipeline, snapshot):
        return 0
    return _delete_files(pipeline, budget)


def _may_touch(pipeline: Pipeline, snapshot: WorkSnapshot) -> bool:
    """See whether this database is alone, before anything is deleted.

    Looked for are batches since the newest one that was known before this run had made its own:
    these would hide what a copy has made meanwhile.
    """
    now = settle_doubt(pipeline, snapshot)
    if not now.installation.may_touch:
        return False
    if pipeline.looks.take(LookReport) is None:
        look = look_for_others(pipeline, replace(now, newest_at=snapshot.newest_at))
        return not look.unknown_seen
    return True


def _delete_files(pipeline: Pipeline, budget: Budget) -> int:
    """Delete what finished batches have left, as far as the budget allows; of how many."""
    deleted: list[str] = []

    def delete(leftover: Leftover) -> None:
        if budget.is_spent:
            return
        try:
            for file_id in leftover.file_ids:
                pipeline.api.delete_file(file_id)
        except ApiError as error:
            limited_log.warning("Files of batch %s are left behind: %s", leftover.batch_id, error)
            if error.failure.code != UNSUPPORTED:
                return
        deleted.append(leftover.batch_id)

    with RateLimitedLogger(log) as limited_log:
        run_per_key(
            pipeline.queries.leftovers(pipeline.policy.batches_per_poll, pipeline.account_name),
            lambda leftover: leftover.batch_id,
            delete,
            at_a_time=pipeline.policy.concurrent_companies or pipeline.api.in_flight.most,
            limit=pipeline.api.in_flight,
        )
    if deleted:
        pipeline.queries.record_deleted(deleted)
    return len(deleted)
