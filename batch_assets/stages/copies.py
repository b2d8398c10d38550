"""Whether this database is the only one of its id: on a doubt the server's lists decide.

A base backup, a copy of the files, a dump that was put back under its name and a replica that was
promoted with less than the primary had look like the original. So does what went well: a clean
fail-over, a server that was started anew. All of them are another incarnation than the one from
which the lists were last looked at, and that is a suspicion only. If the lists show nothing of ours
that this database does not know, everything goes on unasked. Until then nothing is submitted, read
or deleted. A run asks them once.

A copy that is at work elsewhere, and the time after a dump that was put back, show there alone: as
batches and input files with this installation's id that this database does not know. So the newest
ones are looked at before anything is bought or deleted there.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.domain.logs import open_log
from batch_assets.domain.lookups import HIDDEN
from batch_assets.domain.records import RemoteBatch, RemoteFile
from batch_assets.openai_batch.listings import is_older
from batch_assets.openai_batch.profiles import COMPATIBLE
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.remote_ids import (
    CLOCK_MARGIN,
    batch_of,
    batch_of_file,
    is_of_another,
    lists_no_files,
    named_of,
)
from batch_assets.store.installation import Doubt
from batch_assets.store.intents import Named
from batch_assets.store.registry import WorkSnapshot

log = open_log(__name__)

_LOOK_BACK: Final = timedelta(days=7)
"""How far the lists are read where nothing says since when a copy may be at work."""
_LISTED_FOR: Final = timedelta(days=1)
"""For how long a batch of ours is on the list for certain, although it may have ended."""


@dataclass(frozen=True, slots=True)
class Asked:
    """That this run has asked the lists about an incarnation."""

    incarnation: str


def settle_doubt(pipeline: Pipeline, snapshot: WorkSnapshot) -> WorkSnapshot:
    """Ask the lists about an incarnation that is doubted; what is known of it after that.

    Its installation says whether results on the server are this database's to read, and whether
    what is there under our name may be cancelled or deleted. It is the same snapshot where nothing
    was doubted, or only an operator can decide.
    """
    installation = snapshot.installation
    if not installation.is_for_a_run_to_settle:
        return snapshot
    asked = pipeline.looks.found(Asked)
    if asked is None or asked.incarnation != installation.incarnation:
        pipeline.looks.note(Asked(installation.incarnation))
        _ask(pipeline, snapshot)
    return pipeline.read_snapshot()


def _ask(pipeline: Pipeline, snapshot: WorkSnapshot) -> None:
    """Read the lists, and keep what they say of this incarnation."""
    log.info(
        "This database was copied, put back, promoted or started anew since a run last looked: the "
        "server's lists are read before anything else."
    )
    try:
        with pipeline.api.within(pipeline.policy.op_seconds):
            lists = _Lists(pipeline, snapshot)
    except ApiError as error:
        log.warning("Whether another database like this one is at work is not known: %s", error)
        pipeline.registry.note_doubt(Doubt.UNREAD)
        return
    # Asked after the lists: what was made from this database has committed its intent before.
    if pipeline.intents.note_unknown(lists.ours):
        return
    doubt = lists.doubt(pipeline.intents.recorded([one.id for one in lists.batches]))
    if doubt is None:
        pipeline.registry.know_incarnation(snapshot.installation.incarnation)
    else:
        pipeline.registry.note_doubt(doubt)


class _Lists:
    """What the server lists of the time since which a copy may be at work.

    That is since the newest batch that this database knows: it knows all that was made before.
    """

    def __init__(self, pipeline: Pipeline, snapshot: WorkSnapshot) -> None:
        """Read them; ApiError if that cannot be done to their end."""
        self._pipeline = pipeline
        self._snapshot = snapshot
        self._installation = snapshot.installation
        self._now = datetime.now(UTC)
        known_at = snapshot.newest_at or snapshot.installation.known_since
        since = known_at - CLOCK_MARGIN if known_at else self._now - _LOOK_BACK
        try:
            files = list(pipeline.api.list_files(created_after=since))
        except ApiError as error:
            if not lists_no_files(error):
                raise
            files = []
        self._files = {file.id: file for file in files}
        self.batches = list(pipeline.api.list_batches(created_after=since))

    @property
    def ours(self) -> list[Named]:
        """What carries this installation's id, itself or by its input file."""
        ahead = self._pipeline.api.clock_ahead
        return named_of(self._installation.id, self.batches, self._files, ahead)

    def doubt(self, recorded: Collection[str]) -> Doubt | None:
        """Why they do not tell, or `None`; `recorded` are those that this database knows by id."""
        snapshot = self._snapshot
        if (
            not recorded
            and snapshot.newest_at is not None
            and (snapshot.has_in_flight or snapshot.newest_at > self._now - _LISTED_FOR)
        ):
            return Doubt.UNLISTED
        nameless = (one for one in self.batches if one.id not in recorded)
        return Doubt.NAMELESS if any(map(self._is_nameless, nameless)) else None

    def _is_nameless(self, batch: RemoteBatch) -> bool:
        """Whether nothing says who made it: not its metadata, its input file or its date."""
        installation = self._installation
        known_since = installation.known_since
        return not (
            self._shows_metadata
            or batch_of(batch, installation.id)
            or is_of_another(batch, installation.id)
            or batch.input_file_id in self._files
            or (
                known_since is not None
                and is_older(batch, known_since - CLOCK_MARGIN, self._pipeline.api.clock_ahead)
            )
        )

    @property
    def _shows_metadata(self) -> bool:
        """Whether a batch without metadata was made without."""
        profile = self._pipeline.api.profile
        is_known = profile is not COMPATIBLE and profile.has_metadata
        return is_known or any(one.metadata for one in self.batches)


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


def look_for_others(pipeline: Pipeline, snapshot: WorkSnapshot) -> LookReport:
    """Look back to the newest batch that this database knows to be there, a few pages at most.

    One page as a rule, one of the files, and one statement if anything of ours is on them; what is
    found is kept, and holds submissions: a snapshot that is read after that says so. A list that
    cannot be read says nothing and holds nothing: that is logged.

    Raises:
        ApiError: The account is refused.
    """
    report = LookReport(newest_at=snapshot.newest_at)
    installation_id = snapshot.installation.id
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
    return bool(found and pipeline.intents.note_unknown(found))


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
