"""Whether this database is the only one of its id: on a doubt the server's lists decide.

A base backup, a copy of the files, a dump that was put back under its name and a replica that was
promoted with less than the primary had look like the original. So does what went well: a clean
fail-over, a server that was started anew. All of them are another incarnation than the one from
which the lists were last looked at, and that is a suspicion only. If the lists show nothing of ours
that this database does not know, everything goes on unasked. Until then nothing is submitted, read
or deleted. A run asks them once.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from batch_assets.domain.failures import ApiError
from batch_assets.domain.logs import open_log
from batch_assets.domain.records import RemoteBatch
from batch_assets.openai_batch.listings import is_older
from batch_assets.openai_batch.profiles import COMPATIBLE
from batch_assets.stages.listing import CLOCK_MARGIN, lists_no_files, named_of
from batch_assets.stages.naming import batch_of, is_of_another
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.installation import Doubt, Installation
from batch_assets.store.intents import Named

log = open_log(__name__)

_LOOK_BACK: Final = timedelta(days=7)
"""How far the lists are read where nothing says since when a copy may be at work."""
_LISTED_FOR: Final = timedelta(days=1)
"""For how long a batch of ours is on the list for certain, although it may have ended."""


@dataclass(frozen=True, slots=True)
class Asked:
    """That this run has asked the lists about an incarnation."""

    incarnation: str


def may_read(pipeline: Pipeline) -> bool:
    """Whether results on the server are this database's to read; asks the lists if it has to."""
    installation = pipeline.snapshot.installation
    if installation.may_read or not installation.is_at_home or installation.unknown_batches:
        return installation.may_read
    asked = pipeline.figures.found(Asked)
    if asked is None or asked.incarnation != installation.incarnation:
        pipeline.figures.note(Asked(installation.incarnation))
        _ask(pipeline, installation)
        pipeline.refresh()
    return pipeline.snapshot.installation.may_read


def may_touch(pipeline: Pipeline) -> bool:
    """Whether what is on the server under our name may be cancelled or deleted from here."""
    return may_read(pipeline) and pipeline.snapshot.installation.may_touch


def _ask(pipeline: Pipeline, installation: Installation) -> None:
    """Read the lists, and keep what they say of this incarnation."""
    log.info(
        "This database was copied, put back, promoted or started anew since a run last looked: the "
        "server's lists are read before anything else."
    )
    try:
        with pipeline.api.within(pipeline.policy.op_seconds):
            lists = _Lists(pipeline, installation)
    except ApiError as error:
        log.warning("Whether another database like this one is at work is not known: %s", error)
        pipeline.registry.note_doubt(Doubt.UNREAD)
        return
    # Asked after the lists: what was made from this database has committed its intent before.
    if pipeline.intents.note_unknown(lists.ours):
        return
    doubt = lists.doubt(pipeline.intents.recorded([one.id for one in lists.batches]))
    if doubt is None:
        pipeline.registry.know_incarnation(installation.incarnation)
    else:
        pipeline.registry.note_doubt(doubt)


class _Lists:
    """What the server lists of the time since which a copy may be at work.

    That is since the newest batch that this database knows: it knows all that was made before.
    """

    def __init__(self, pipeline: Pipeline, installation: Installation) -> None:
        """Read them; ApiError if that cannot be done to their end."""
        self._pipeline = pipeline
        self._installation = installation
        self._now = datetime.now(UTC)
        known_at = pipeline.snapshot.newest_at or installation.known_since
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
        snapshot = self._pipeline.snapshot
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
