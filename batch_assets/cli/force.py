"""`batch-assets force`."""

from collections.abc import Sequence
from dataclasses import asdict

import typer

from batch_assets.cli.opening import open_database, open_pipeline
from batch_assets.cli.output import Column, asked, console, errors, option, print_json
from batch_assets.domain.batch_summary import BatchSummary
from batch_assets.domain.errors import BatchAssetsError, SubmissionHeldError
from batch_assets.stages.controls.force import Demand, ForceReport, force_batch
from batch_assets.stages.pipeline import Budget

_COLUMNS: Sequence[Column[BatchSummary]] = (
    Column("Batch", lambda one: one.batch_id),
    Column("OpenAI", lambda one: one.openai_batch_id),
)


def force(
    company: str,
    model: str | None,
    max_requests: int | None,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Send what waits for a company, after showing what that is; asks unless `yes`."""
    demand = Demand(company, model, max_requests)
    with open_database() as database, open_pipeline(database, "force") as pipeline:
        budget = Budget.of_op(pipeline.policy)
        report = force_batch(pipeline, demand, option, budget, dry_run=True)
        if not dry_run:
            if report.held_because is not None:
                raise SubmissionHeldError(report.held_because)
            if report.requests and not yes:
                errors().say(report.sentence)
            if report.requests and not asked("Send it?", command=f"force '{company}'", yes=yes):
                raise typer.Exit(1)
            _require_turn()
            report = force_batch(pipeline, demand, option, budget, dry_run=False)
    if as_json:
        print_json(_document(report))
        return
    shown = console()
    shown.say(report.sentence)
    if report.sent.batches_sent:
        shown.show(_COLUMNS, report.sent.batches_sent)


def _require_turn() -> None:
    """Refuse to submit beside a run that may."""
    # Dagster takes long to import, and only who submits needs it.
    from batch_assets.cli.job import active_run, open_instance  # noqa: PLC0415

    with open_instance() as instance:
        active = active_run(instance)
    if active is not None:
        raise BatchAssetsError(f"Run {active} is active: wait until it has ended.")


def _document(report: ForceReport) -> dict[str, object]:
    sent, planned = report.sent, report.planned
    return {
        "company_id": report.company.id,
        "company": report.company.name,
        "dry_run": report.dry_run,
        "would_send": [asdict(batch) for batch in planned],
        "requests": report.requests,
        "batches": sent.batches + len(planned),
        "batches_sent": [asdict(batch) for batch in sent.batches_sent],
        "released": sent.released,
        "unresolved": sent.unresolved,
        "estimated_tokens": sent.estimated_tokens + sum(one.tokens for one in planned),
        "estimated_cost_eur": sent.estimated_cost_eur + sum(one.cost_eur for one in planned),
        "refused": dict(report.rejected),
        "held_back": dict(report.held),
        "submission_held_because": report.held_because,
    }
