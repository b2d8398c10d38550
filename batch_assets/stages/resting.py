"""What rests since the server has no room, or nothing at all, for it: a model, or the account."""

import random
from collections.abc import Mapping

from batch_assets.domain.failures import ApiError
from batch_assets.openai_batch.error_codes import OF_THE_QUOTA
from batch_assets.stages.pipeline import Pipeline


def rest_all(pipeline: Pipeline, models: Mapping[str, str], account: str | None) -> None:
    """Let models rest, given with the server's codes, and the account if there is one for it.

    Each time longer, as long as one rest follows upon another.
    """
    jitter = random.SystemRandom()
    for model, code in sorted(models.items()):
        pipeline.registry.pause_model(model, pipeline.policy.rest(code, jitter))
    if account is not None:
        pipeline.registry.pause_account(pipeline.policy.rest(account, jitter))
        pipeline.refresh()


def rest_unpaid(pipeline: Pipeline, stopped_by: ApiError) -> None:
    """Let the account rest if it was its quota for which a call was refused."""
    if stopped_by.failure.code in OF_THE_QUOTA:
        rest_all(pipeline, {}, stopped_by.failure.code)
