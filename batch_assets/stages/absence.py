"""What it takes to say that the server does not have a batch whose creation was cut short.

One reading of its lists proves nothing: a call that was given up may act later, and lists lag. So
the batch's input file is deleted first, and two readings, a grace period apart, have to miss it.
They have to be of the account that the batch was made with, as what must be there shows. Where
nothing else of ours is, as after the very first upload, a file of no content is uploaded only to be
seen, the *anchor*. It is deleted once nothing is looked for any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from batch_assets.domain.batches import EARLIER_INSTALLATION, UnresolvedBatch
from batch_assets.domain.errors import ApiError
from batch_assets.domain.logs import open_log
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.spool import Spool
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.remote_ids import account_of_anchor, anchor_name
from batch_assets.store.intents import Search

log = open_log(__name__)

_NEEDED_ABSENCES: Final = 2
"""Readings of the lists, a grace period apart, that have to miss a batch before it is absent."""
_ANCHOR_AGAIN_AFTER: Final = timedelta(days=1)
"""A server that does not list an anchor will not list the next one either."""


@dataclass(slots=True)
class Absences:
    """Batches that the lists of their account do not show, each in exactly one of the lists."""

    proved: list[UnresolvedBatch] = field(default_factory=list)
    """Missed often and long enough: there is none, and none will come."""
    missed: list[UnresolvedBatch] = field(default_factory=list)
    """Missed by this reading, which is kept: they are looked for again."""
    kept: list[UnresolvedBatch] = field(default_factory=list)
    """Their files could not be deleted: they stay as they are."""
    files_deleted: int = 0


class AbsenceProof:
    """Judges what one search of the server's lists did not show."""

    def __init__(self, pipeline: Pipeline, search: Search) -> None:
        self.error: ApiError | None = None
        """Why files of one of the batches could not be deleted."""
        self.without_files: set[str] = set()
        """Our ids of the batches whose files were to be deleted."""
        self._pipeline = pipeline
        self._search = search

    def judge(self, absent: Sequence[UnresolvedBatch]) -> Absences:
        """Delete the files of what the lists do not show, and say of which that proves anything.

        What fails for one batch concerns no other one; see `error`.
        """
        found = Absences()
        for batch in absent:
            try:
                found.files_deleted += self._delete_files(batch)
            except ApiError as error:
                self.error = error
                found.kept.append(batch)
            else:
                (found.proved if self._is_proved(batch) else found.missed).append(batch)
        return found

    def needs_anchor(self, waiting: Sequence[UnresolvedBatch]) -> bool:
        """Whether the next lists would show nothing unless we put it there."""
        search = self._search
        return search.lists_files and any(
            (batch.account == search.account or batch.id in self.without_files)
            and not search.has_batches_of(batch.account)
            for batch in waiting
        )

    def _delete_files(self, batch: UnresolvedBatch) -> int:
        """Delete every input file of an absent batch: a create that comes late finds none."""
        self.without_files.add(batch.id)
        seen = {file_id for file_id, owner in self._search.files.items() if owner == batch.id}
        deleted = 0
        for file_id in sorted({*seen, batch.input_file_id} - {None}, key=str):
            try:
                deleted += self._pipeline.api.delete_file(str(file_id))
            except ApiError as error:
                if error.failure.code != error_codes.UNSUPPORTED:
                    raise
                log.warning(
                    "The server deletes no files: nothing keeps a create of batch %s that comes "
                    "late from running. It would be cancelled as a second one when it is seen",
                    batch.id,
                )
        return deleted

    def _is_proved(self, batch: UnresolvedBatch) -> bool:
        """These lists missed it too, and were begun long enough after the first that did."""
        grace = timedelta(seconds=self._pipeline.policy.absence_grace_seconds)
        return (
            batch.absences + 1 >= _NEEDED_ABSENCES
            and batch.absent_since is not None
            and self._search.began_at >= batch.absent_since + grace
        )


def why_unproved(batches: Sequence[UnresolvedBatch], search: Search) -> str:
    """Say why the lists prove nothing of these batches: a clause for people."""
    if any(batch.account == EARLIER_INSTALLATION for batch in batches):
        return "The server's lists show nothing that the earlier installation has made"
    if any(batch.account not in {None, search.account} for batch in batches):
        return "OPENAI_API_KEY or OPENAI_BASE_URL was another one when they were made"
    if not search.lists_files:
        return "The server lists no files, and its list of batches shows none that must be there"
    return "The server's lists show nothing of this installation that must be there"


def make_anchor(pipeline: Pipeline, installation_id: str, search: Search) -> None:
    """Upload an anchor for the account that is used now, unless that was done a short while ago.

    What fails is tried again by the next run; before that is known, one may be on the server.
    """
    if search.anchored_at is not None and (
        search.opened_at - search.anchored_at < _ANCHOR_AGAIN_AFTER
    ):
        return
    search.anchored_at = search.opened_at - _ANCHOR_AGAIN_AFTER
    pipeline.searches.keep(search, is_over=True)
    try:
        with Spool(pipeline.spool_dir) as spool:
            with spool.input_file() as file:
                file.add("anchor", b'{"model":"none","messages":[]}')
            pipeline.api.upload(file.path, anchor_name(installation_id, search.account))
    except ApiError as error:
        log.warning("No file can be uploaded to be seen in the server's list: %s", error)
    else:
        search.anchored_at = search.opened_at
        pipeline.searches.keep(search, is_over=True)


def clear_anchors(pipeline: Pipeline, installation_id: str) -> None:
    """Delete all anchors; what cannot be deleted now is left to a later run."""
    try:
        for file in pipeline.api.list_files():
            if account_of_anchor(file, installation_id) is not None:
                pipeline.api.delete_file(file.id)
    except ApiError as error:
        log.warning("A file that was uploaded only to be seen is left behind: %s", error)
        return
    search = pipeline.searches.open(pipeline.api.account)
    search.anchored_at = None
    pipeline.searches.keep(search, is_over=True)
