"""Conversations do not linger: files of settled batches are deleted on the server."""

from batch_assets.domain.batches import Leftover
from batch_assets.domain.failures import ApiError
from batch_assets.domain.logs import open_log
from batch_assets.openai_batch.error_codes import UNSUPPORTED
from batch_assets.stages.companies import side_by_side
from batch_assets.stages.doubts import may_touch
from batch_assets.stages.looking import look_for_others
from batch_assets.stages.pipeline import Budget, Pipeline, within_budget
from batch_assets.stages.saying import Few

log = open_log(__name__)


@within_budget
def delete_leftovers(pipeline: Pipeline, budget: Budget) -> int:
    """Delete the files of batches that are settled; of how many batches.

    Only files of our own batches, and only from the database that made them: a copy that is at work
    elsewhere may still need them, so that is looked for first. A file that cannot be deleted now is
    left for a later run; the server's own expiry is the backstop. On a server that deletes none
    there is nothing that a later run could do: its files count as seen to.
    """
    if not (pipeline.snapshot.has_leftovers and _may_delete(pipeline)):
        return 0
    deleted: list[str] = []

    def delete(leftover: Leftover) -> None:
        if budget.is_spent:
            return
        try:
            for file_id in leftover.file_ids:
                pipeline.api.delete_file(file_id)
        except ApiError as error:
            few.warning("Files of batch %s are left behind: %s", leftover.batch_id, error)
            if error.failure.code != UNSUPPORTED:
                return
        deleted.append(leftover.batch_id)

    with Few(log) as few:
        side_by_side(
            pipeline.queries.leftovers(pipeline.policy.batches_per_poll),
            lambda leftover: leftover.batch_id,
            delete,
            at_a_time=pipeline.policy.concurrent_companies,
        )
    if deleted:
        pipeline.queries.record_deleted(deleted)
    return len(deleted)


def _may_delete(pipeline: Pipeline) -> bool:
    if not may_touch(pipeline):
        return False
    pipeline.figures.note(look_for_others(pipeline))
    return pipeline.snapshot.installation.may_touch
