"""The metrics of a run, put together from what its stages have come to."""

from collections import Counter
from datetime import UTC, datetime

from batch_assets.domain.batches import Written
from batch_assets.domain.budgets import held_by_budgets
from batch_assets.domain.errors import FailureKind
from batch_assets.domain.metrics import (
    LookupUse,
    Money,
    Reliability,
    RunMetrics,
    Throughput,
)
from batch_assets.domain.report_data import RunEnd, Waiting
from batch_assets.stages.abandoned import AbandonedReport
from batch_assets.stages.plan import DueReport
from batch_assets.stages.recover import RecoverReport
from batch_assets.stages.result_writer import IngestReport
from batch_assets.stages.retry import RetryReport
from batch_assets.stages.run_state import RunState
from batch_assets.stages.submit import SubmitReport
from batch_assets.stages.synchronous_requests import SynchronousRows
from batch_assets.store.metrics import Metrics


def record_metrics(
    metrics: Metrics,
    run: RunState,
    *,
    run_id: str,
    mode: str,
    account: str,
    account_name: str,
    is_alone: bool = True,
) -> RunEnd:
    """Complete what is known of a run by what the database knows, and keep it; one statement.

    One that is not alone, since runs of the main job go on beside it, counts nothing that it has
    not done itself: these count what was found meanwhile.
    """
    known = known_metrics(run, run_id=run_id, mode=mode)
    look_back = run.summary().look_back_seconds
    return metrics.record(
        known,
        known_waiting(run),
        look_back,
        account,
        account_name=account_name,
        is_alone=is_alone,
    )


def known_metrics(run: RunState, *, run_id: str, mode: str) -> RunMetrics:
    """The metrics of a run as far as its stages know them; the others are still empty."""
    return RunMetrics(
        run_id=run_id,
        recorded_at=datetime.now(UTC),
        mode=mode,
        throughput=_throughput(run),
        queries=run.queries,
        company_lookup=run.of(LookupUse),
        money=_money(run),
        reliability=_reliability(run),
    )


def known_waiting(run: RunState) -> Waiting | None:
    """What the run has counted of what waits; `None` if it did not come to it.

    Companies that were due are counted again if the run has sent or refused anything.
    """
    seen = run.found(DueReport)
    if seen is None:
        return None
    submitted = run.of(SubmitReport)
    has_moved = submitted.batches + submitted.released + submitted.unresolved
    if not (has_moved or submitted.rejected or submitted.failed):
        return Waiting(others=seen.backlogs)
    due = {backlog.company_id for backlog in seen.due}
    return Waiting(
        others=[backlog for backlog in seen.backlogs if backlog.company_id not in due],
        sent_company_ids=sorted(due),
    )


def _answered(run: RunState) -> Written:
    """What became of the rows that were answered, in batches and synchronously."""
    return run.of(IngestReport).rows + run.of(SynchronousRows).rows


def _throughput(run: RunState) -> Throughput:
    read, submitted = run.of(IngestReport), run.of(SubmitReport)
    rows, synchronous = _answered(run), run.of(SynchronousRows).rows
    failed = rows.retry + rows.dead
    seconds = run.stage_seconds
    answered = rows.completed + failed
    moving = sum(
        (
            seconds["ingest"] * bool(read.rows.completed + read.rows.retry + read.rows.dead),
            seconds["retry"] * bool(synchronous.completed + synchronous.retry + synchronous.dead),
            seconds["submit"] * bool(submitted.requests),
        )
    )
    return Throughput(
        submitted_batches=submitted.batches,
        submitted_requests=submitted.requests,
        finalized_batches=read.finalized,
        failed_batches=read.finalized_as["failed"],
        completed_requests=rows.completed,
        shared_requests=rows.shared,
        failed_requests=failed,
        **{f"{stage}_seconds": taken for stage, taken in seconds.items()},
        run_seconds=run.summary().seconds,
        requests_per_second=(answered + submitted.requests) / moving if moving else 0.0,
    )


def _money(run: RunState) -> Money:
    rows = _answered(run)
    return Money(
        prompt_tokens=rows.prompt_tokens,
        cached_tokens=rows.cached_tokens,
        completion_tokens=rows.completion_tokens,
        reasoning_tokens=rows.reasoning_tokens,
        cost_eur=rows.cost_eur,
        synchronous_cost_eur=rows.synchronous_cost_eur,
        saved_eur=rows.saved_eur,
        unpriced_answers=rows.unpriced,
        saved_by_sharing_eur=rows.shared_saved_eur,
        wasted_retries_eur=rows.failed_cost_eur,
        wasted_discarded_eur=rows.discarded_cost_eur,
        wasted_abandoned_eur=run.of(AbandonedReport).wasted_abandoned_eur,
        held_by_budget_requests=held_by_budgets(
            run.of(SubmitReport).held + run.of(RetryReport).synchronous.synchronous_held
        ),
    )


def _reliability(run: RunState) -> Reliability:
    read, submitted = run.of(IngestReport), run.of(SubmitReport)
    recovered = run.of(RecoverReport)
    kinds = Counter(_answered(run).failure_kinds)
    kinds[FailureKind.PERMANENT] += submitted.rejected.total()
    return Reliability(
        transient_failures=kinds[FailureKind.TRANSIENT],
        capacity_failures=kinds[FailureKind.CAPACITY],
        server_failures=kinds[FailureKind.SERVER],
        permanent_failures=kinds[FailureKind.PERMANENT],
        account_failures=kinds[FailureKind.ACCOUNT],
        requeued_requests=run.of(RetryReport).requeued,
        returned_requests=(
            read.rows.returned + submitted.returned_requests + recovered.released_requests
        ),
        incomplete_batches=read.incomplete,
        expired_batches=read.finalized_as["expired"],
        cancelled_batches=read.finalized_as["cancelled"],
        recovered_submissions=recovered.adopted + recovered.released,
        unproved_submissions=recovered.unproved,
        refused_rows=read.refused.total(),
        failed_companies=len({*read.failed, *submitted.failed}),
    )
