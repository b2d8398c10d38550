"""`batch-assets dead-letters …` with its options."""

from typing import Annotated

import typer

from batch_assets.cli.options import AsJson, DryRun, OfCode, OfCompany, OfKind, work

OlderThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Dead for longer: 36h, 7d, or a date (UTC).")
]
NewerThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Dead since: 36h, 7d, or a date (UTC).")
]

group = typer.Typer(
    no_args_is_help=True, help="List, read and requeue requests that failed for good."
)


@group.command("list")
def list_dead_letters(
    *,
    company: OfCompany = None,
    code: OfCode = None,
    kind: OfKind = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show this many.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on after this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    given = {"company": company, "code": code, "kind": kind}
    ages = {"older_than": older_than, "newer_than": newer_than}
    work("dead_letters").list_letters({**given, **ages}, limit, after, as_json=as_json)


@group.command("show")
def show_dead_letter(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's id.")],
    as_json: AsJson = False,
) -> None:
    """Show why a request is dead and what was tried."""
    work("dead_letters").show_letter(request_id, as_json=as_json)


@group.command("requeue")
def requeue_dead_letters(
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="These requests alone.")
    ] = None,
    *,
    company: OfCompany = None,
    code: OfCode = None,
    kind: OfKind = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    every: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    foreign: Annotated[
        bool,
        typer.Option("--foreign", help="Also what failed through LiveDash (with IDs, --company)."),
    ] = False,
    retries: Annotated[
        bool,
        typer.Option("--retries", help="Also what has a retry date: the next run takes it."),
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let dead letters wait for a batch again, with all their tries."""
    given = {"company": company, "code": code, "kind": kind, "every": every}
    ages = {"older_than": older_than, "newer_than": newer_than}
    which = {"request_ids": request_ids or (), "foreign": foreign, "retries": retries}
    work("dead_letters").requeue_letters(
        {**given, **ages, **which}, dry_run=dry_run, as_json=as_json
    )
