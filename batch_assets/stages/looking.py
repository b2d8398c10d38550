"""A look at the server's newest batches, before anything is bought or deleted there.

A copy of this database that is at work elsewhere, and the time after a dump that was put back, show
there alone: as batches with this installation's id that this database does not know.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass

from batch_assets.domain.failures import ApiError, FailureKind
from batch_assets.domain.records import RemoteBatch
from batch_assets.openai_batch.listings import is_older
from batch_assets.stages.listing import CLOCK_MARGIN, named
from batch_assets.stages.naming import batch_of, is_of_another
from batch_assets.stages.pipeline import Pipeline

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LookReport:
    """What was seen of others on the account."""

    unknown_seen: int = 0
    """Batches with this installation's id that this database does not know, not seen before."""
    other_installations: int = 0
    """Batches of other installations of this project; they are nobody's concern here."""


def look_for_others(pipeline: Pipeline) -> LookReport:
    """Look back to the newest batch that this database knows to be there, a few pages at most.

    One page as a rule, and one statement if anything of ours is on it; what is found is kept, and
    holds submissions. A list that cannot be read says nothing and holds nothing: that is logged.
    Raises ApiError if the account is refused.
    """
    report = LookReport()
    installation_id = pipeline.glance.installation.id
    ours: defaultdict[str, list[RemoteBatch]] = defaultdict(list)
    try:
        newest = _newest(pipeline)
    except ApiError as error:
        if error.failure.kind is FailureKind.ACCOUNT:
            raise
        log.warning("Whether a copy of this database is at work elsewhere is not known: %s", error)
        return report
    for batch in newest:
        batch_id = batch_of(batch, installation_id)
        if batch_id is not None:
            ours[batch_id].append(batch)
        report.other_installations += is_of_another(batch, installation_id)
    if ours:
        # Read after the list: what has made a batch of this database has committed it before.
        found = named(ours, pipeline.api.clock_ahead)
        report.unknown_seen = pipeline.intents.note_unknown(found)
    if report.unknown_seen:
        pipeline.look_again()
    return report


def _newest(pipeline: Pipeline) -> list[RemoteBatch]:
    """The list's batches down to the newest that is known, as far as the bound allows."""
    newest_at = pipeline.glance.newest_at
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
