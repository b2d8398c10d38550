"""`batch-assets live` with its options."""

from typing import Annotated

import typer

from batch_assets.cli.options import AsJson, DryRun, OfCode, OfCompany, OfKind, Yes, work

FailedBefore = Annotated[
    str | None, typer.Option(metavar="AGE", help="Failed before: 36h, 7d, or a date (UTC).")
]
FailedSince = Annotated[
    str | None, typer.Option(metavar="AGE", help="Failed since: 36h, 7d, or a date (UTC).")
]

group = typer.Typer()


@group.command()
def live(
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="These, failed or waiting.")
    ] = None,
    *,
    company: OfCompany = None,
    code: OfCode = None,
    kind: OfKind = None,
    older_than: FailedBefore = None,
    newer_than: FailedSince = None,
    every: Annotated[bool, typer.Option("--all", help="All that have failed.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Ask for failed requests to be sent live, at twice the price."""
    given = {"request_ids": request_ids or (), "company": company, "code": code, "kind": kind}
    ages = {"older_than": older_than, "newer_than": newer_than, "every": every}
    work("live").ask({**given, **ages}, dry_run=dry_run, yes=yes, as_json=as_json)
