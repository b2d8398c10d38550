"""What an earlier installation has left half-made, once its schema was lost.

Its batches carry an id that nobody knows any more; but LiveDash's rows of them are here, and name
them. They are looked for and read like any other, and never cancelled: whether the database that
made them lives on elsewhere cannot be told from here. So it waits for an operator's word, too.
"""

from batch_assets.domain.logs import open_log
from batch_assets.domain.wording import plural
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.orphans import Adopted

log = open_log(__name__)


def adopt_orphans(pipeline: Pipeline) -> Adopted:
    """Watch over what was left, once this database is confirmed; two statements if there is any."""
    snapshot = pipeline.snapshot
    if not (snapshot.has_orphans and snapshot.installation.is_confirmed):
        return Adopted()
    adopted = pipeline.orphans.adopt()
    if adopted.orphaned_batches or adopted.orphaned_requests:
        log.warning(
            "An earlier installation, whose schema was lost, has left %s, which are looked for and "
            "read now, and %s in none, which wait again or follow one that is under way",
            plural(adopted.orphaned_batches, "half-made batch", "half-made batches"),
            plural(adopted.orphaned_requests, "request"),
        )
    pipeline.refresh()
    return adopted
