"""The command line: which commands there are, and how an error is shown.

A command's options and work are in the module that `COMMANDS` names. It is loaded when the command
is typed, and not for the list of them all. Dagster, the SDK and SQLAlchemy take longer to import
than help may take to come: so each function there imports what it needs of them.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from batch_assets.cli.env_file import CommandWithoutSettings, read_env_file
from batch_assets.cli.screen import errors, settle_streams
from batch_assets.domain.errors import (
    AccountRefusedError,
    ApiError,
    BatchAssetsError,
    ConfigurationError,
    FailureKind,
)
from batch_assets.domain.hosts import run_out

TRACEBACK: Final = "--traceback"
HELP: Final = ["-h", "--help"]

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "dev": ("dev", "Open Dagster's UI and start the schedule, until Ctrl-C."),
    "webserver": (
        "dagster_instance",
        "Start Dagster's web server for production; more options are passed on to it.",
    ),
    "daemon": (
        "dagster_instance",
        "Start Dagster's daemon for production: exactly one; options are passed on.",
    ),
    "exporter": ("exporter", "Serve the metrics of runs to Prometheus at /metrics, until Ctrl-C."),
    "settings": (
        "settings",
        "Show what each setting is here, what it may be, and what it means.",
    ),
    "migrate": ("migrate", "Make the tables that this version needs, safely beside LiveDash."),
    "plan": ("plan", "Show what would be sent now: requests, tokens and money."),
    "confirm": ("switches", "Allow the job to submit from this database."),
    "run": ("run", "Run the job once, here and now; the run is in Dagster's history."),
    "status": ("status", "Show where each company's requests are and what they cost."),
    "companies": ("companies", "Show which companies runs take for active."),
    "audit": (
        "audit",
        "Prove that each request is in exactly one place, and that costs add up; exit 1 if not.",
    ),
    "export": ("export", "Write the metrics of each run, or what was spent, for other programs."),
    "reconcile": (
        "reconcile",
        "Compare a month's cost with the provider's invoice; exit 1 if they differ by more.",
    ),
    "force": ("force", "Send what waits for a company now, although it is not due."),
    "cancel": ("batches", "Cancel a batch, and keep what has run of it."),
    "abandon": (
        "batches",
        "Give up a batch that the server does not know any more, or never ends.",
    ),
    "batch": ("batches", "Show a batch, what came of its requests, and its runs."),
    "mode": ("switches", "Show or choose how all runs work on the database."),
    "compare": ("switches", "Compare original and optimized on the present data, read-only."),
    "reset": (
        "switches",
        "Let calls and scheduled runs go on now that were stopped after failures.",
    ),
    "reset-stages": (
        "switches",
        "Set right which stage each session is in, after LiveDash or somebody left one behind.",
    ),
    "drain": ("drain", "Stop submissions and read what is under way, before the way back."),
    "prune": ("prune", "Delete old metrics, runs and events; see docs/metrics.md."),
    "synchronous": (
        "synchronous",
        "Ask for failed requests to be sent synchronously, at twice the price.",
    ),
    "dead-letters": ("dead_letters", "List, read and requeue requests that failed for good."),
}
"""By the name of a command or a group of them: the module that has it, and its line of help."""
RENAMED: Final[Mapping[str, str]] = {"live": "synchronous"}
"""Names of an earlier version, which go on working with a warning."""
LOCAL: Final = frozenset({"demo", "local"})
"""Commands that come with a local stack."""
EXTENSIONS: Final = "batch_assets.commands"
"""The entry points by which another distribution adds commands: each is a `typer.Typer`."""


class Commands(TyperGroup):
    """All commands: listed from `COMMANDS`, and loaded once one of them is typed.

    Those of other distributions come after them, as these declare them.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))
        for found in entry_points(group=EXTENSIONS):
            self.commands.update(get_group(found.load()).commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that was typed, under its present or an earlier name.

        Raises:
            ConfigurationError: It comes with a local stack, and none is installed.
        """
        if args[0] in LOCAL - self.commands.keys():
            raise ConfigurationError(
                f"No local stack is installed here, with which `batch-assets {args[0]}` comes: "
                "work in a clone of the project, where `make setup` installs one."
            )
        now = RENAMED.get(args[0])
        if now is not None:
            errors().say(f"`batch-assets {args[0]}` is called `batch-assets {now}`: type that.")
            args = [now, *args[1:]]
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load(name) if name is not None and name in COMMANDS else listed, rest


def load(name: str) -> Any:
    """Load the module that has this command, or group of commands, with options and work."""
    module, _ = COMMANDS[name]
    group = get_group(import_module(f"batch_assets.cli.{module}").commands)
    return group.commands.get(name, group)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP},
    epilog="Settings come from the environment and from .env: `batch-assets settings` shows them.",
)


@app.callback()
def batch_assets(
    context: typer.Context,
    _traceback: Annotated[  # main() looks for it by itself, since anything may fail
        bool, typer.Option(TRACEBACK, help="Show where an unexpected error came from.")
    ] = False,
) -> None:
    """LiveDash's conversation analysis through the OpenAI Batch API."""
    is_for_help = any(option in sys.argv for option in HELP)
    if not (is_for_help or _is_without_settings(context)):
        read_env_file()


def _is_without_settings(context: typer.Context) -> bool:
    commands = context.command
    return isinstance(commands, TyperGroup) and isinstance(
        commands.commands.get(context.invoked_subcommand or ""), CommandWithoutSettings
    )


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
        meant = BatchAssetsError(own) if own else _meant_by(error)
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
        errors().say(line)


def _meant_by(error: Exception) -> BatchAssetsError | None:
    # SQLAlchemy takes long to import, and only who ends with such an error needs it.
    from batch_assets.store.database_errors import meant_by

    return meant_by(error)
