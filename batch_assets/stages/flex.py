"""What cannot wait for the next batch, sent by flex: a stage of runs of its own.

A call may take twenty minutes, so no other run waits for it. Two of these runs call nothing twice:
each claims for itself, under the lock that lets one claim run at a time, and marks what it calls.
"""

from batch_assets.domain.policy import NO_WAIT, Tier
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.synchronous_caller import calls_a_round
from batch_assets.stages.synchronous_requests import (
    SynchronousReport,
    send_synchronously,
    what_waits_for_flex,
)
from batch_assets.store.registry import WorkSnapshot
from batch_assets.store.synchronous_requests import SynchronousLot


def send_by_flex(pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget) -> SynchronousReport:
    """Send what is asked for or late, of models that have flex; calls are begun within the budget.

    Raises:
        ApiError: The server refuses the account; what was claimed by then is finalized.
    """
    report = SynchronousReport()
    flex = what_waits_for_flex(pipeline, snapshot)
    # Where nothing else may be used, the claim also drops what was asked for in vain.
    if flex.models or (flex is not NO_WAIT and Tier.FULL not in pipeline.policy.synchronous.tiers):
        # As many as are called at once: what is claimed and not called would wait for a batch.
        lot = SynchronousLot(Tier.FLEX, flex, most=calls_a_round(pipeline))
        send_synchronously(pipeline, snapshot, budget, report, lot)
    return report
