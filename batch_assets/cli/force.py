"""`batch-assets force`: what waits for a company is sent although it is not due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from batch_assets.cli.conventions import AsJson, DryRun, Yes, asked, option, print_json
from batch_assets.cli.opening import open_database, open_pipeline
from batch_assets.cli.screen import Column, console, errors
from batch_assets.domain.errors import BatchAssetsError, SubmissionHeldError
from batch_assets.domain.lookups import BatchSummary

if TYPE_CHECKING:
    from batch_assets.stages.controls.force import ForceReport

commands = typer.Typer()

_COLUMNS: Sequence[Column[BatchSummary]] = (
    Column("Batch", lambda one: one.batch_id),
    Column("OpenAI", lambda one: one.openai_batch_id),
)


@commands.command()
def force(
    company: Annotated[str, typer.Argument(metavar="COMPANY", help="Its id or name.")],
    *,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Only requests for this model.")
    ] = None,
    max_requests: Annotated[
        int | None, typer.Option(metavar="N", help="At most so many, the oldest first.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send what waits for a company now, although it is not due."""
    from batch_assets.stages.controls.force import Demand, force_batch
    from batch_assets.stages.pipeline import Budget

    demand = Demand(company, model, max_requests)
    with (
        open_database() as database,
        open_pipeline(database.of_company(company), "force") as pipeline,
    ):
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
    from batch_assets.cli.dagster_instance import active_run, open_instance

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
        "estimated_cost_eur": sent.estimated_cost_eur + sum(one.cost_eur or 0.0 for one in planned),
        "refused": dict(report.rejected),
        "held_back": dict(report.held),
        "submission_held_because": report.held_because,
    }
