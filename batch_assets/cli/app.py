"""The command line: which commands there are, and how an error is shown.

A command's options and work are in the module that `COMMANDS` names. It is loaded when the command
is typed, and not for the list of them all. Dagster, the SDK and SQLAlchemy take longer to import
than help may take to come: so each function there imports what it needs of them.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points, version
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from batch_assets.cli.conventions import print_json
from batch_assets.cli.env_file import CommandWithoutSettings, read_env_file
from batch_assets.cli.screen import console, errors, settle_streams
from batch_assets.domain.display import escaped
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
AS_JSON: Final = "--json"

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "dev": ("dev", "Open Dagster's UI and start the schedule, until Ctrl-C."),
    "serve": ("serve", "Run all that production needs: UI, daemon and code server, kept alive."),
    "webserver": (
        "dagster_instance",
        "Start Dagster's web server for production; more options are passed on to it.",
    ),
    "daemon": (
        "dagster_instance",
        "Start Dagster's daemon for production: exactly one; options are passed on.",
    ),
    "code-server": (
        "dagster_instance",
        "Start a code server for a web server and a daemon elsewhere; options are passed on.",
    ),
    "exporter": ("exporter", "Serve the metrics of runs to Prometheus at /metrics, until Ctrl-C."),
    "settings": (
        "settings",
        "Show what each setting is here, what it may be, and what it means.",
    ),
    "doctor": (
        "doctor",
        "Look for what is wrong before money is spent; exit 10 or 11 if anything is.",
    ),
    "migrate": ("migrate", "Make the tables that this version needs, safely beside LiveDash."),
    "plan": ("plan", "Show what the next run would send: requests, tokens and money."),
    "confirm": ("switches", "Allow the job to submit from this database."),
    "run": ("run", "Run the job once, here and now; the run is in Dagster's history."),
    "status": (
        "status",
        "Show whether all is well and why not, where requests are, and what they cost.",
    ),
    "companies": (
        "companies",
        "Show which companies runs take for active, or those that are asked for.",
    ),
    "batches": ("lists", "List batches, newest first."),
    "runs": ("runs", "List runs of all jobs, newest first, and why they failed."),
    "logs": ("runs", "Show what a run has said, from its ops' sentences to why it failed."),
    "alerts": ("lists", "List alerts, those that are raised first, with what to do about them."),
    "audit": (
        "audit",
        "Prove that each request is in exactly one place, and that costs add up; exit 1 if not.",
    ),
    "export": ("export", "Write the metrics of each run, or what was spent, for other programs."),
    "budgets": ("budgets", "Show what may be spent, what is, and when it begins anew."),
    "budget": ("budgets", "Set what may be spent in a day or month, or take it back."),
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
    "account": ("accounts", "Show with whose key each company is served, or change it."),
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
        "Ask for failed requests to be sent synchronously, by flex or at twice the price.",
    ),
    "dead-letters": ("dead_letters", "List, read and requeue requests that failed for good."),
}
"""By the name of a command or a group of them: the module that has it, and its line of help."""
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Set up and run": (
        *("doctor", "settings", "migrate", "confirm", "run"),
        *("serve", "webserver", "daemon", "code-server", "exporter", "dev", "demo", "local"),
    ),
    "See": (
        *("status", "plan", "companies", "batches", "batch", "runs", "logs", "alerts"),
        *("audit", "compare", "export", "budgets", "reconcile"),
    ),
    "Steer": (
        *("force", "cancel", "abandon", "reset", "reset-stages", "drain", "mode"),
        *("account", "budget", "dead-letters", "synchronous", "prune"),
    ),
}
"""Under which heading help lists each command, as the README does."""
RENAMED: Final[Mapping[str, str]] = {"live": "synchronous"}
"""Names of an earlier version, which go on working with a warning."""
READS_ENV_ITSELF: Final = frozenset({"doctor"})
"""Commands that say themselves what is wrong with `.env`."""
COMPLETION: Final = frozenset({"install_completion", "show_completion"})
SHELLS: Final = ("bash", "zsh", "fish")
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
            kind = CommandWithoutSettings if name in READS_ENV_ITSELF else TyperCommand
            self.add_command(kind(name, help=line))
        for found in entry_points(group=EXTENSIONS):
            self.commands.update(get_group(found.load()).commands)
        for heading, names in GROUPS.items():
            for name in names:
                if name in self.commands:
                    self.commands[name].rich_help_panel = heading  # type: ignore[attr-defined]
        ordered = [name for names in GROUPS.values() for name in names if name in self.commands]
        self.commands = {name: self.commands[name] for name in [*ordered, *self.commands]}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the shell that is named after an option that completes commands.

        By itself such an option takes none, and would go by the shell in which it is typed.

        Raises:
            ConfigurationError: It is none that can be helped.
        """
        for one in self.get_params(ctx):
            for option in set(one.opts) & set(args[:1]) if one.name in COMPLETION else ():
                if len(args) > 1 and not args[1].startswith("-"):
                    if args[1] not in SHELLS:
                        raise ConfigurationError(
                            f"{option} is for {', '.join(SHELLS)}, and '{escaped(args[1])}' is "
                            "none of them."
                        )
                    one.callback(ctx, one, args[1])
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def get_params(self, ctx: Any) -> list[Any]:
        """Keep the options that complete commands out of the list: the help's last line has one."""
        params: list[Any] = super().get_params(ctx)
        for one in params:
            one.hidden = one.hidden or one.name in COMPLETION
        return params

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
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP},
    epilog="Settings come from the environment and from .env: `batch-assets settings` shows them. "
    "`batch-assets --install-completion` lets bash, zsh or fish complete commands.",
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        console().say(f"batch-assets {version('batch-assets')}")
        raise typer.Exit


@app.callback()
def batch_assets(
    context: typer.Context,
    _traceback: Annotated[  # main() looks for it by itself, since anything may fail
        bool, typer.Option(TRACEBACK, help="Show where an unexpected error came from.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
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
    """Run the command line; what goes wrong is one sentence on stderr and an exit code.

    With --json it is one document on stdout, too.
    """
    settle_streams()
    as_json = AS_JSON in sys.argv
    try:
        # Otherwise a wrong option would be shown, and this process ended, before it gets here.
        code = app(prog_name="batch-assets", standalone_mode=not as_json)
    except BatchAssetsError as error:
        _fail(error.exit_code, *error.lines)
    except ApiError as error:
        is_refused = error.failure.kind is FailureKind.ACCOUNT
        kind = AccountRefusedError if is_refused else BatchAssetsError
        _fail(kind.exit_code, error.sentence("try again"))
    except typer.TyperException as error:
        _fail(error.exit_code, error.format_message())
    except typer.Abort:
        _fail(1, "Aborted.")
    except Exception as error:
        if TRACEBACK in sys.argv:
            raise
        own = run_out(error)
        meant = BatchAssetsError(own) if own else _meant_by(error)
        if meant is not None:
            _fail(meant.exit_code, *meant.lines)
        # Its own text is not shown: a database error, say, may quote a row.
        _fail(
            1,
            f"An unexpected error ended the command ({type(error).__name__}): type "
            f"`batch-assets {TRACEBACK} …` to see where it came from.",
        )
    sys.exit(code)


def _fail(code: int, *lines: str) -> NoReturn:
    for line in lines:
        errors().say(line)
    if AS_JSON in sys.argv:
        print_json({"error": {"exit_code": code, "sentences": lines}})
    sys.exit(code)


def _meant_by(error: Exception) -> BatchAssetsError | None:
    # SQLAlchemy takes long to import, and only who ends with such an error needs it.
    from batch_assets.store.database_errors import meant_by

    return meant_by(error)
