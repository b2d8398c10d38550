"""What is on the server under our name and belongs to no batch that we go on with.

A second batch of an intent, and one that appears after its intent was given up, are cancelled, and
what they would have cost is kept. Files of such batches are deleted. What carries an id that this
database does not know is named, and never touched.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from batch_assets.domain.failures import ApiError
from batch_assets.domain.records import RemoteBatch
from batch_assets.domain.states import BEYOND_CANCELLING, UNRESOLVED_BATCH_STATES
from batch_assets.stages.listing import our_batches, our_files
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.saying import Few
from batch_assets.store.intents import Duplicate, Intent

log = logging.getLogger(__name__)

_LOOK_BACK: Final = timedelta(days=7)
"""How old what is looked for may be: whoever looks daily may miss some days."""


@dataclass(slots=True)
class StrayReport:
    """What was found beside what is recorded."""

    duplicates: int = 0
    """Second batches of one intent, or batches of an intent that was given up."""
    duplicates_cancelled: int = 0
    strays_deleted: int = 0
    """Files that no batch needs."""
    unknown: int = 0
    """Batches and files with an id that this database does not know; left alone."""


def find_strays(pipeline: Pipeline) -> StrayReport:
    """Look through the server's lists of the last seven days, whatever is unresolved here.

    Nothing is asked or touched while this database is not confirmed, or on a copy of another.
    Raises ApiError when the lists cannot be read; nothing has changed then.
    """
    installation = pipeline.glance.installation
    if not (installation.is_at_home and installation.is_confirmed):
        return StrayReport()
    since = datetime.now(UTC) - _LOOK_BACK
    # Batches first: whatever is made meanwhile is recorded, or unresolved, when it is compared.
    batches = our_batches(pipeline.api, installation.id, since)
    files = our_files(pipeline.api, installation.id, since)
    return clear_strays(pipeline, batches, files)


def clear_strays(
    pipeline: Pipeline,
    batches: Mapping[str, Sequence[RemoteBatch]],
    files: Mapping[str, Sequence[str]],
) -> StrayReport:
    """Compare what the server lists under our name with what is recorded; both by our batch ids.

    Called after what could be adopted was: an intent that is still unresolved is left alone.
    """
    report = StrayReport()
    if not (batches or files):
        return report
    with Few(log) as few:
        clearing = _Clearing(pipeline, pipeline.intents.known({*batches, *files}), report, few)
        found = [
            duplicate
            for batch_id, remotes in batches.items()
            for duplicate in clearing.duplicates(batch_id, remotes)
        ]
        if found:
            pipeline.intents.record_duplicates(found)
            report.duplicates = len(found)
        for batch_id, file_ids in files.items():
            clearing.delete(batch_id, file_ids, batches.get(batch_id, ()))
    return report


class _Clearing:
    """Cancels and deletes, one after the other; what the server refuses to do stays there."""

    def __init__(
        self, pipeline: Pipeline, intents: Mapping[str, Intent], report: StrayReport, few: Few
    ) -> None:
        self._api = pipeline.api
        self._intents = intents
        self._report = report
        self._few = few

    def duplicates(self, batch_id: str, remotes: Sequence[RemoteBatch]) -> list[Duplicate]:
        """Of the batches with this id those that are not the recorded one, cancelled if they run.

        One that the server refused has cost nothing, and does not count.
        """
        intent = self._intents.get(batch_id)
        if intent is None:
            self._name_unknown("Batch", [remote.id for remote in remotes])
            return []
        if intent.state in UNRESOLVED_BATCH_STATES:
            return []
        return [
            Duplicate(remote.id, batch_id, self._cancel(remote))
            for remote in remotes
            if remote.id != intent.openai_batch_id and remote.status != "failed"
        ]

    def delete(
        self, batch_id: str, file_ids: Sequence[str], remotes: Sequence[RemoteBatch]
    ) -> None:
        """Delete the input files with this id that the recorded batch does not use."""
        intent = self._intents.get(batch_id)
        if intent is None:
            self._name_unknown("File", file_ids)
            return
        if intent.state in UNRESOLVED_BATCH_STATES:
            return
        used = {one.input_file_id for one in remotes if one.id == intent.openai_batch_id}
        for file_id in file_ids:
            if file_id not in used | {intent.input_file_id}:
                self._delete(file_id)

    def _cancel(self, duplicate: RemoteBatch) -> bool:
        """Cancel it unless it has ended; what has run of it is paid for in any case."""
        if duplicate.status in BEYOND_CANCELLING:
            return False
        self._few.warning("Batch %s is on the server without need: cancelling it", duplicate.id)
        try:
            self._api.cancel(duplicate.id)
        except ApiError as error:
            self._few.warning("Batch %s runs on: %s", duplicate.id, error)
            return False
        self._report.duplicates_cancelled += 1
        return True

    def _delete(self, file_id: str) -> None:
        try:
            deleted = self._api.delete_file(file_id)
        except ApiError as error:
            self._few.warning("File %s is left behind: %s", file_id, error)
        else:
            self._report.strays_deleted += deleted

    def _name_unknown(self, kind: str, ids: Sequence[str]) -> None:
        self._report.unknown += len(ids)
        for remote_id in ids:
            self._few.warning(
                "%s %s carries the id of a batch that this database does not know: left alone",
                kind,
                remote_id,
            )
