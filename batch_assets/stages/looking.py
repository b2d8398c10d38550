"""A look at the server's newest batches and files, before anything is bought or deleted there.

A copy of this database that is at work elsewhere, and the time after a dump that was put back, show
there alone: as batches and input files with this installation's id that this database does not
know.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from batch_assets.domain.batch_lines import HIDDEN
from batch_assets.domain.failures import ApiError, FailureKind
from batch_assets.domain.logs import open_log
from batch_assets.domain.records import RemoteBatch, RemoteFile
from batch_assets.openai_batch.listings import is_older
from batch_assets.stages.listing import CLOCK_MARGIN, lists_no_files, named_of
from batch_assets.stages.naming import batch_of_file, is_of_another
from batch_assets.stages.pipeline import Pipeline

log = open_log(__name__)


@dataclass(slots=True)
class LookReport:
    """What was seen of others on the account."""

    unknown_seen: int = 0
    """Batches with this installation's id that this database does not know, not seen before."""
    other_installations: int = 0
    """Batches of other installations of this project; they are nobody's concern here."""
    files_seen: set[str] = field(default_factory=set, metadata=HIDDEN)
    """The newest input files, by the server's ids."""
    newest_at: datetime | None = field(default=None, metadata=HIDDEN)
    """When the newest batch that this database knew was claimed."""


def look_for_others(pipeline: Pipeline) -> LookReport:
    """Look back to the newest batch that this database knows to be there, a few pages at most.

    One page as a rule, one of the files, and one statement if anything of ours is on them; what is
    found is kept, and holds submissions. A list that cannot be read says nothing and holds nothing:
    that is logged. Raises ApiError if the account is refused.
    """
    report = LookReport(newest_at=pipeline.snapshot.newest_at)
    installation_id = pipeline.snapshot.installation.id
    try:
        newest = _newest(pipeline, report.newest_at)
    except ApiError as error:
        if error.failure.kind is FailureKind.ACCOUNT:
            raise
        log.warning("Whether a copy of this database is at work elsewhere is not known: %s", error)
        return report
    files = _newest_files(pipeline, report.newest_at)
    report.other_installations = sum(is_of_another(one, installation_id) for one in newest)
    report.files_seen = set(files)
    found = named_of(installation_id, newest, files, pipeline.api.clock_ahead)
    if found:
        # Read after the list: what has made a batch of this database has committed it before.
        report.unknown_seen = pipeline.intents.note_unknown(found)
    if report.unknown_seen:
        pipeline.refresh()
    return report


def meets_another(
    pipeline: Pipeline, installation_id: str, look: LookReport, uploaded: Collection[str]
) -> bool:
    """Whether another database uploads under this installation's id at the same moment.

    Asked between the uploads of these batches and their creation: of two databases that begin at
    once, and of which neither had anything on the server that the other one does not know, at least
    one sees what the other has uploaded. One page, and a statement only if there is something new.
    """
    files = _newest_files(pipeline, look.newest_at)
    mine = {None, *uploaded}
    others = {
        file_id: file
        for file_id, file in files.items()
        if file_id not in look.files_seen and batch_of_file(file, installation_id) not in mine
    }
    look.files_seen.update(files)
    found = named_of(installation_id, (), others, pipeline.api.clock_ahead)
    if not (found and pipeline.intents.note_unknown(found)):
        return False
    pipeline.refresh()
    return True


def _newest(pipeline: Pipeline, newest_at: datetime | None) -> list[RemoteBatch]:
    """The list's batches down to the newest that is known, as far as the bound allows."""
    found: list[RemoteBatch] = []
    after = None
    for _ in range(pipeline.policy.pages_per_look):
        page = pipeline.api.batches_page(after)
        found += page.items
        ahead = pipeline.api.clock_ahead
        if page.has_more is False or not page.items or page.items[-1].id == after:
            break
        if newest_at and any(is_older(one, newest_at - CLOCK_MARGIN, ahead) for one in page.items):
            break
        after = page.items[-1].id
    return found


def _newest_files(pipeline: Pipeline, newest_at: datetime | None) -> dict[str, RemoteFile]:
    """The first page of the files, by id; of none that are older than the newest known batch.

    None where the server does not list them, or not now.
    """
    try:
        page = pipeline.api.files_page()
    except ApiError as error:
        if not lists_no_files(error):
            log.warning("Whether a copy of this database has uploaded is not known: %s", error)
        return {}
    ahead = pipeline.api.clock_ahead
    return {
        file.id: file
        for file in page.items
        if newest_at is None or not is_older(file, newest_at - CLOCK_MARGIN, ahead)
    }
