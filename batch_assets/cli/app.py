"""All commands with their options, and how an error is shown."""

import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from batch_assets.cli.output import errors
from batch_assets.domain.errors import BatchAssetsError

TRACEBACK = "--traceback"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings come from the environment: see docs/configuration.md.",
)
local = typer.Typer(no_args_is_help=True, help="Stop or empty the local stack.")
app.add_typer(local, name="local")
dead_letters = typer.Typer(
    no_args_is_help=True, help="List, read and requeue requests that failed for good."
)
app.add_typer(dead_letters, name="dead-letters")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OfCompany = Annotated[str | None, typer.Option("--company", help="Of this company: id or name.")]
OfCode = Annotated[str | None, typer.Option("--code", help="With this code, as listed.")]
OfKind = Annotated[str | None, typer.Option("--kind", help="Of this kind, such as transient.")]
OlderThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Dead for longer: 36h, 7d, or a date (UTC).")
]
NewerThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Dead since: 36h, 7d, or a date (UTC).")
]
FailedBefore = Annotated[
    str | None, typer.Option(metavar="AGE", help="Failed before: 36h, 7d, or a date (UTC).")
]
FailedSince = Annotated[
    str | None, typer.Option(metavar="AGE", help="Failed since: 36h, 7d, or a date (UTC).")
]
Port = Annotated[int, typer.Option(min=1, max=65535, help="The UI's port on 127.0.0.1.")]


def main() -> None:
    """Run the command line; what goes wrong is one sentence on stderr and an exit code."""
    try:
        app()
    except BatchAssetsError as error:
        errors().print(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        if TRACEBACK in sys.argv:
            raise
        # Its own text is not shown: a database error, say, may quote a row.
        errors().print(
            f"An unexpected error ended the command ({type(error).__name__}): type "
            f"`batch-assets {TRACEBACK} …` to see where it came from."
        )
        sys.exit(1)


@app.callback()
def batch_assets(
    _traceback: Annotated[  # main() looks for it by itself, since anything may fail
        bool, typer.Option(TRACEBACK, help="Show where an unexpected error came from.")
    ] = False,
) -> None:
    """LiveDash's conversation analysis through the OpenAI Batch API."""


@app.command()
def demo() -> None:
    """See it work: sample conversations through the job, on the local stack."""
    _work("demo").run_demo()


@app.command()
def dev(port: Port = 3000) -> None:
    """Open Dagster's UI and start the schedule, until Ctrl-C."""
    _work("dev").run_dev(port)


@app.command()
def migrate(
    downgrade: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="Go back to this revision; base: take all back."),
    ] = None,
    drop_livedash: Annotated[
        bool, typer.Option(help="With --downgrade: drop LiveDash's tables even if they hold data.")
    ] = False,
) -> None:
    """Make the tables that this version needs, safely beside LiveDash."""
    _work("migration").migrate(downgrade, drop_livedash=drop_livedash)


@app.command()
def plan(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say so: planning never submits anything.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what would be sent now: requests, tokens and money."""
    _work("planning").show_plan(dry_run=dry_run, as_json=as_json)


@app.command()
def confirm(
    copy: Annotated[
        bool, typer.Option("--copy", help="This database is a copy and both live on.")
    ] = False,
    moved: Annotated[
        bool, typer.Option("--moved", help="This database has moved; the original is retired.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Allow the job to submit from this database."""
    _work("confirmation").confirm(copy=copy, moved=moved, yes=yes)


@app.command()
def run() -> None:
    """Run the job once, here and now; the run is in Dagster's history."""
    _work("job").run_once()


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show where each company's requests are and what they cost."""
    _work("status").show_status(as_json=as_json)


@app.command("reset")
def reset_breakers(
    operations: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OPERATION]...", help="Close the breakers of these alone."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All breakers and the pause; so does no OPERATION.")
    ] = False,
) -> None:
    """Let calls and scheduled runs go on now that were stopped after failures."""
    _work("reset").reset(operations or [], every=every)


@app.command()
def companies(
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the database now; the next runs go by it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which companies runs take for active."""
    _work("companies").show_companies(refresh=refresh, as_json=as_json)


@app.command()
def audit(as_json: AsJson = False) -> None:
    """Prove that each request is in exactly one place; exit 1 if not."""
    _work("audit").run_audit(as_json=as_json)


@dead_letters.command("list")
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
    _work("dead_letters").list_letters({**given, **ages}, limit, after, as_json=as_json)


@dead_letters.command("show")
def show_dead_letter(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's id.")],
    as_json: AsJson = False,
) -> None:
    """Show why a request is dead and what was tried."""
    _work("dead_letters").show_letter(request_id, as_json=as_json)


@dead_letters.command("requeue")
def requeue_dead_letters(
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="These requests alone.")
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many, by company and code.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let dead letters wait for a batch again, with all their tries."""
    given = {"request_ids": request_ids, "company": company, "code": code, "kind": kind}
    ages = {"older_than": older_than, "newer_than": newer_than}
    how = {"every": every, "foreign": foreign, "dry_run": dry_run, "as_json": as_json}
    _work("dead_letters").requeue({**given, **ages}, **how)


@app.command()
def live(
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="These, failed or waiting.")
    ] = None,
    *,
    company: OfCompany = None,
    code: OfCode = None,
    kind: OfKind = None,
    older_than: FailedBefore = None,
    newer_than: FailedSince = None,
    every: Annotated[bool, typer.Option("--all", help="All that have failed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it costs.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Ask for failed requests to be sent live, at twice the price."""
    given = {"request_ids": request_ids, "company": company, "code": code, "kind": kind}
    ages = {"older_than": older_than, "newer_than": newer_than}
    how = {"every": every, "dry_run": dry_run, "yes": yes, "as_json": as_json}
    _work("live").ask({**given, **ages}, **how)


@local.command()
def stop() -> None:
    """Stop the local stack now, whoever uses it. Its data stay."""
    _work("local_stack").stop()


@local.command()
def reset(yes: Yes = False) -> None:
    """Stop the local stack and delete all that is in it."""
    _work("local_stack").reset(yes=yes)


def _work(name: str) -> Any:
    """The module of this package that does a command's work; see the package on why only now."""
    return import_module(f"batch_assets.cli.{name}")
