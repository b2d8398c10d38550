"""What each run does while it is drained, beside reading: what waits here waits for anybody.

Nothing is claimed any more, so what is put off, follows another request or waits for its input file
to be processed would wait for good.
"""

from batch_assets.domain.failures import ApiError
from batch_assets.domain.logs import open_log
from batch_assets.stages.doubts import may_touch
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.saying import Few

log = open_log(__name__)


def send_back(pipeline: Pipeline) -> int:
    """Let requests wait for a batch that are in none, or in one that was never asked for; how many.

    One statement, if no batch waits for its file.
    """
    returned = _release_pending(pipeline) if pipeline.snapshot.has_pending_files else 0
    return returned + pipeline.drains.send_back()


def _release_pending(pipeline: Pipeline) -> int:
    """No batch was made of these files, and none will be."""
    if not may_touch(pipeline):
        return 0
    holder = pipeline.holder(pipeline.snapshot.installation.id)
    pending = pipeline.pending_files.take(holder, pipeline.policy.batches_per_claim)
    with Few(log) as few:
        for one in pending:
            try:
                pipeline.api.delete_file(one.input_file_id)
            except ApiError as error:
                few.warning("The input file of batch %s is deleted later: %s", one.batch.id, error)
    pipeline.refresh()
    return pipeline.queries.release([one.batch.lease for one in pending])
