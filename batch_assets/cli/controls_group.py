"""The commands that steer, with their options: each does what the job of its kind does."""

from typing import Annotated

import typer

from batch_assets.cli.options import AsJson, DryRun, Yes, work
from batch_assets.domain.states import LOST_AFTER

group = typer.Typer()


@group.command()
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
    how = {"dry_run": dry_run, "yes": yes, "as_json": as_json}
    work("force").force(company, model, max_requests, **how)


@group.command()
def cancel(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="Our id, or OpenAI's batch_….")],
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a batch, and keep what has run of it."""
    work("batches").cancel(batch, dry_run=dry_run, yes=yes, as_json=as_json)


@group.command()
def abandon(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="Our id, or OpenAI's batch_….")],
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
    how = {"force": by_force, "dry_run": dry_run, "yes": yes, "as_json": as_json}
    work("batches").abandon(batch, older_than, **how)


@group.command("batch")
def show_batch(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="Our id, or OpenAI's batch_….")],
    as_json: AsJson = False,
) -> None:
    """Show a batch, what came of its requests, and its runs."""
    work("batches").show(batch, as_json=as_json)


@group.command()
def mode(
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="MODE", help="true, false, optimized or environment."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or choose how all runs work on the database."""
    work("mode").mode(wanted, as_json=as_json)


@group.command()
def compare(
    *,
    seconds: Annotated[float, typer.Option(metavar="S", help="Per call, at most.")] = 10.0,
    companies: Annotated[int, typer.Option(metavar="N", help="Active companies.")] = 1_000,
    batches: Annotated[int, typer.Option(metavar="N", help="Newest batches.")] = 20,
    rows: Annotated[int, typer.Option(metavar="N", help="Rows of these.")] = 2_000,
    as_json: AsJson = False,
) -> None:
    """Compare original and optimized on the live data, read-only."""
    work("comparison").compare(seconds, companies, batches, rows, as_json=as_json)


@group.command("reset")
def reset_breakers(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="These alone: API operations, or account."),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All breakers, cooldown and pause; so does no NAME.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let calls and scheduled runs go on now that were stopped after failures."""
    work("reset").reset(names or [], every=every, dry_run=dry_run, as_json=as_json)


@group.command("reset-stages")
def reset_stages(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Set right which stage each session is in, after LiveDash or somebody left one behind."""
    work("stages").reset(dry_run=dry_run, as_json=as_json)


@group.command()
def drain(
    *,
    hand_over: Annotated[
        bool, typer.Option("--hand-over", help="Give what runs on the server to LiveDash.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let submissions go on.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do what can be done now; exit 1 if any is left.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Stop submissions and read what is under way, before the way back."""
    how = {"dry_run": dry_run, "yes": yes, "as_json": as_json}
    work("drain").drain(hand_over=hand_over, resume=resume, wait=not no_wait, **how)


@group.command()
def prune(
    dry_run: DryRun = False,
    as_json: AsJson = False,
    yes: Yes = False,
) -> None:
    """Delete old figures, runs and events; see docs/metrics.md."""
    work("prune").prune_history(dry_run=dry_run, as_json=as_json, yes=yes)
