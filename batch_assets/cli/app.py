"""The command line: the general commands, the groups of others, and how an error is shown."""

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from batch_assets.cli import controls_group, dead_letters_group, live_group
from batch_assets.cli.options import AsJson, Yes, work
from batch_assets.cli.terminal import settle_streams
from batch_assets.domain.errors import AccountRefusedError, BatchAssetsError
from batch_assets.domain.failures import ApiError, FailureKind
from batch_assets.domain.hosts import run_out

TRACEBACK = "--traceback"
HELP = ["-h", "--help"]
COMMANDS = "batch_assets.commands"
"""The entry points by which another distribution adds commands: each is a `typer.Typer`."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP},
    epilog="Settings come from the environment and from .env: see docs/configuration.md.",
)

_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
Port = Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="The UI's port.")]


def main() -> None:
    """Run the command line; what goes wrong is one sentence on stderr and an exit code."""
    settle_streams()
    try:
        app(prog_name="batch-assets")
    except BatchAssetsError as error:
        _complain(*error.lines)
        sys.exit(error.exit_code)
    except ApiError as error:
        _complain(error.sentence("try again"))
        is_refused = error.failure.kind is FailureKind.ACCOUNT
        sys.exit(AccountRefusedError.exit_code if is_refused else BatchAssetsError.exit_code)
    except Exception as error:
        if TRACEBACK in sys.argv:
            raise
        own = run_out(error)
        meant = BatchAssetsError(own) if own else work("unforeseen").meant_by(error)
        if meant is not None:
            _complain(*meant.lines)
            sys.exit(meant.exit_code)
        # Its own text is not shown: a database error, say, may quote a row.
        _complain(
            f"An unexpected error ended the command ({type(error).__name__}): type "
            f"`batch-assets {TRACEBACK} …` to see where it came from."
        )
        sys.exit(1)


def _complain(*lines: str) -> None:
    for line in lines:
        work("output").errors().say(line)


@app.callback()
def batch_assets(
    context: typer.Context,
    _traceback: Annotated[  # main() looks for it by itself, since anything may fail
        bool, typer.Option(TRACEBACK, help="Show where an unexpected error came from.")
    ] = False,
) -> None:
    """LiveDash's conversation analysis through the OpenAI Batch API."""
    is_for_help = any(option in sys.argv for option in HELP)
    # The demo takes nothing that is configured.
    if not is_for_help and context.invoked_subcommand != "demo":
        work("env_file").read_env_file()


@app.command()
def dev(port: Port = 3000) -> None:
    """Open Dagster's UI and start the schedule, until Ctrl-C."""
    work("dev").run_dev(port)


@app.command(context_settings=_PASSED_ON)
def webserver(
    passed_on: typer.Context,
    host: Annotated[str, typer.Option(help="The address that it listens on.")] = "127.0.0.1",
    port: Port = 3000,
) -> None:
    """Start Dagster's web server for production; more options are passed on to it."""
    work("production").become_webserver(host, port, passed_on.args)


@app.command(context_settings=_PASSED_ON)
def daemon(passed_on: typer.Context) -> None:
    """Start Dagster's daemon for production: exactly one; options are passed on."""
    work("production").become_daemon(passed_on.args)


@app.command()
def migrate(
    downgrade: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="Go back to this revision; base: take all back."),
    ] = None,
    drop_livedash: Annotated[
        bool,
        typer.Option(
            "--drop-livedash",
            help="Drop LiveDash's tables even if they hold data.",
            rich_help_panel="With --downgrade",
        ),
    ] = False,
    grant_to: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="Give this role the fewest rights that the jobs need."),
    ] = None,
) -> None:
    """Make the tables that this version needs, safely beside LiveDash."""
    work("migration").migrate(downgrade, drop_livedash=drop_livedash, grant_to=grant_to)


@app.command()
def plan(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say so: planning never submits anything.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what would be sent now: requests, tokens and money."""
    work("planning").show_plan(dry_run=dry_run, as_json=as_json)


@app.command()
def confirm(
    copy: Annotated[
        bool, typer.Option("--copy", help="This database is a copy and both live on.")
    ] = False,
    moved: Annotated[
        bool,
        typer.Option("--moved", help="This one goes on alone: moved, put back, promoted."),
    ] = False,
    yes: Yes = False,
) -> None:
    """Allow the job to submit from this database."""
    work("confirmation").confirm(copy=copy, moved=moved, yes=yes)


@app.command()
def run() -> None:
    """Run the job once, here and now; the run is in Dagster's history."""
    work("job").run_once()


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show where each company's requests are and what they cost."""
    work("status").show_status(as_json=as_json)


@app.command()
def companies(
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the database now; the next runs go by it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which companies runs take for active."""
    work("companies").show_companies(refresh=refresh, as_json=as_json)


@app.command()
def audit(as_json: AsJson = False) -> None:
    """Prove that each request is in exactly one place; exit 1 if not."""
    work("audit").run_audit(as_json=as_json)


@app.command("export")
def export_metrics(
    *,
    since: Annotated[
        str, typer.Option("--from", metavar="WHEN", help="Since: 36h, 7d, or a date (UTC).")
    ] = "1d",
    until: Annotated[
        str | None, typer.Option("--to", metavar="WHEN", help="Up to: the same; else now.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="json or csv.")] = "json",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here, not to stdout.")
    ] = None,
    companies: Annotated[
        bool, typer.Option("--companies", help="Sums by company, too; in CSV instead.")
    ] = False,
) -> None:
    """Write the figures of each run, for other programs."""
    work("export").export(since, until, form, output, companies=companies)


app.add_typer(controls_group.group)
app.add_typer(live_group.group)
app.add_typer(dead_letters_group.group, name="dead-letters")
for found in entry_points(group=COMMANDS):
    app.add_typer(found.load())
