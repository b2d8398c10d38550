"""`batch-assets batch`, `cancel` and `abandon`: one batch, shown, ended or given up."""

from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from batch_assets.cli.conventions import (
    AsJson,
    DryRun,
    Yes,
    asked,
    count,
    moment,
    option,
    plural,
    print_json,
)
from batch_assets.cli.opening import open_database, open_pipeline
from batch_assets.cli.screen import console
from batch_assets.domain.display import euros
from batch_assets.domain.lookups import BatchRecord
from batch_assets.domain.states import ABANDONED, LOST, LOST_AFTER

commands = typer.Typer()

Batch = Annotated[str, typer.Argument(metavar="BATCH", help="Our id, or OpenAI's batch_….")]

_PROSE = frozenset({"State", "Requests", "Tokens", "Cost", "Price", "Waste"})
_MOMENTS = ("claimed", "submitted", "cancelled", "abandoned", "ended", "finalized", "released")


@commands.command("batch")
def show(
    batch: Annotated[
        str, typer.Argument(metavar="BATCH", help="Our id or OpenAI's, or how one begins.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show a batch, what came of its requests, and its runs."""
    from batch_assets.stages.controls.cancel import batch_called
    from batch_assets.store.lookups import Lookups

    with open_database() as database:
        found = batch_called(Lookups(database.engine), batch.strip())
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)


@commands.command()
def cancel(
    batch: Batch, *, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Cancel a batch, and keep what has run of it."""
    from batch_assets.stages.controls.cancel import cancel_batch

    with open_database() as database, open_pipeline(database.of_batch(batch), "cancel") as pipeline:
        registry, api = pipeline.registry, pipeline.api
        report = cancel_batch(registry, api, batch, dry_run=True)
        if not dry_run:
            if not as_json:
                _show(report.batch)
            if not asked("Cancel this batch?", command=f"cancel {batch}", yes=yes):
                raise typer.Exit(1)
            report = cancel_batch(registry, api, batch, dry_run=False)
    if as_json:
        print_json(
            {
                "dry_run": report.dry_run,
                "batch": asdict(report.batch),
                "server_status": report.server_status,
            }
        )
    else:
        console().say(report.sentence)


@commands.command()
def abandon(
    batch: Batch,
    *,
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Only if it was submitted before that.")
    ] = LOST_AFTER,
    by_force: Annotated[
        bool,
        typer.Option("--force", help="Also one that the server knows, if it never ends."),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give up a batch that the server does not know any more, or never ends."""
    from batch_assets.stages.controls.abandon import abandon_batch

    with (
        open_database() as database,
        open_pipeline(database.of_batch(batch), "abandon") as pipeline,
    ):
        give_up = partial(abandon_batch, pipeline, batch, older_than, option, force=by_force)
        report = give_up(dry_run=True)
        if not dry_run:
            if not (as_json or yes):
                console().say(report.sentence)
            command = f"abandon {batch}{' --force' if by_force else ''}"
            if older_than != LOST_AFTER:
                command += f" --older-than '{older_than}'"
            if not asked("Give this batch up?", command=command, yes=yes):
                raise typer.Exit(1)
            report = give_up(dry_run=False)
    if as_json:
        print_json(
            {
                "dry_run": report.dry_run,
                "force": by_force,
                "batch": asdict(report.batch),
                "duplicate_cost_eur": report.duplicate_cost_eur,
                "listed": report.listed,
                "listed_ours": report.listed_ours,
            }
        )
    else:
        console().say(report.sentence)


def _show(batch: BatchRecord) -> None:
    lines = {
        "Batch": batch.id,
        "OpenAI": batch.openai_batch_id or "not there",
        "Company": batch.company or batch.company_id,
        "Model": batch.model or "unknown",
        "State": _state(batch),
        "Requests": _requests(batch),
        "Tokens": _tokens(batch),
        "Cost": _cost(batch),
        "Price": _price(batch),
        "Waste": _waste(batch),
    }
    for name in _MOMENTS:
        lines[name.capitalize()] = moment(getattr(batch, f"{name}_at"))
    lines |= {"Sent by": _run(batch.run_id), "Read by": _run(batch.read_run_id)}
    shown = console()
    for name, said in lines.items():
        shown.field(name, said, is_prose=name in _PROSE)


def _state(batch: BatchRecord) -> str:
    said = batch.state if batch.is_ours else f"{batch.state}; not ours, and never cancelled"
    given_up = batch.server_status if batch.abandoned_at is not None else None
    if given_up == LOST:
        said += " (given up: the server did not know it)"
    elif given_up == ABANDONED:
        said += " (given up: it did not end, or could not be read)"
    elif batch.server_status:
        said += f" (the server says {batch.server_status})"
    return said + "".join(f", {code}" for code in batch.server_errors)


def _requests(batch: BatchRecord) -> str:
    outcomes = [f"{number:,} {name}" for name, number in sorted(batch.outcomes.items())]
    outcomes += [f"{batch.shared:,} more share an answer"] if batch.shared else []
    found = f" ({', '.join(outcomes)})" if outcomes else ""
    return count(batch.requests) + found


def _tokens(batch: BatchRecord) -> str:
    used = batch.prompt_tokens + batch.completion_tokens
    return count(used) if used else f"about {count(batch.estimated_tokens)} in the prompts"


def _cost(batch: BatchRecord) -> str:
    without = f"{plural(batch.unpriced, 'answer')} without a price" if batch.unpriced else ""
    if batch.cost_eur:
        full = euros(batch.synchronous_cost_eur)
        known = f"{euros(batch.cost_eur)} EUR; at the full price {full} EUR"
        return f"{known}; not known of {without}" if without else known
    if batch.price is not None and batch.price.is_free and not without:
        return "nothing: its model is free"
    if without or not batch.estimated_cost_eur:
        return "not known: no price list has the model"
    return f"about {euros(batch.estimated_cost_eur)} EUR"


def _price(batch: BatchRecord) -> str:
    """What its answers are priced at, and where that is from."""
    price = batch.price
    if price is None:
        return ""
    rates = price.batch
    million = [f"{rate * 1e6:g}" for rate in (rates.prompt, rates.cached_prompt, rates.completion)]
    return (
        f"{'/'.join(million)} USD a million tokens (fresh and cached input, output), from "
        f"{' '.join(filter(None, [price.source, price.edition]))}"
    )


def _waste(batch: BatchRecord) -> str:
    """What was billed and not read, and what came after the batch was given up."""
    said = []
    if batch.unattributed_eur:
        about = "about " if batch.unattributed_is_estimated else ""
        said.append(f"{about}{euros(batch.unattributed_eur)} EUR billed and not read")
    if batch.late_answers:
        answers = plural(batch.late_answers, "answer")
        said.append(f"{answers} after it was given up, {euros(batch.wasted_cost_eur)} EUR")
    return "; ".join(said)


def _run(run_id: str) -> str:
    return f"run {run_id}" if run_id else ""
