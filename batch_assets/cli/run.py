"""`batch-assets run`: the job in this process, as real as any run in Dagster's history."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from batch_assets.cli.dagster_instance import active_run, open_instance
from batch_assets.cli.opening import open_database, require_account
from batch_assets.cli.screen import Column, console, errors
from batch_assets.domain.errors import (
    BatchAssetsError,
    ConfigurationError,
    SubmissionHeldError,
)
from batch_assets.domain.former_names import FORMER_NAMES
from batch_assets.domain.hosts import run_out

if TYPE_CHECKING:
    import dagster as dg

    from batch_assets.cli.opening import OpenDatabase

commands = typer.Typer()

INTERRUPTED: Final = "DagsterExecutionInterruptedError"
"""What Dagster raises in an op when Ctrl-C comes."""
# Dagster shows a run under its job when it knows from which code location it came.
_LOCATION = {".dagster/repository": "__repository__@batch_assets"}
QUIET: Final[Mapping[str, object]] = {"console": {"config": {"log_level": "CRITICAL"}}}
"""The configuration of Dagster's own logger, which says nothing then."""
ALOUD: Final[Mapping[str, object]] = {"aloud": {}}
"""That of the one of `spoken_definition`."""


@dataclass(frozen=True)
class Run:
    """A run that has ended: what each op did, and what went wrong, by op."""

    id: str
    numbers: dict[str, dict[str, float]]
    """Non-zero numbers of each op's output metadata."""
    failures: dict[str, str]


@commands.command("run")
def run_once(
    *,
    flex: Annotated[
        bool, typer.Option("--flex", help="Only send by flex what cannot wait for a batch.")
    ] = False,
    account: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="With this account, where there are several."),
    ] = None,
) -> None:
    """Run the job once, here and now; the run is in Dagster's history."""
    with open_database() as database, open_instance() as instance:
        names = database.settings.account_names
        if account is None and len(names) > 1:
            raise ConfigurationError(f"With which account? Give --account: {', '.join(names)}.")
        its = database.of_account(account or names[0])
        active = None if flex else active_run(instance, its.settings.account_name)
        if active is not None:
            raise BatchAssetsError(f"Run {active} is active: wait until it has ended.")
        require_account(its.endpoints)
        shown = console()
        shown.say(f"Running the job on the {database.place} …")
        definition = flex_definition if flex else spoken_definition
        run = run_job(instance, definition, loggers=ALOUD, tags=_tags_of(its))
        held = its.held_because
    shown.say()
    shown.show(_OPS, [entry for entry in run.numbers.items() if entry[1]])
    if held is not None:
        shown.say(f"Nothing was submitted. {held}")
    show_failures(run)
    shown.say(f"Run {run.id} {'failed' if run.failures else 'succeeded'}.")
    if run.failures:
        raise typer.Exit(1)
    if held is not None:
        raise typer.Exit(SubmissionHeldError.exit_code)


def _tags_of(database: OpenDatabase) -> Mapping[str, str]:
    """What a run of this account has besides, where there are several."""
    from batch_assets.resources.run_executor import exclusive_of, partition_tags

    name = database.settings.account_name
    is_only = len(database.settings.account_names) == 1
    return {} if is_only else {**partition_tags(name), **exclusive_of(name)}


def job_definition() -> dg.JobDefinition:
    """Build the job with its resources, as the definitions have it; anew for each run."""
    import dagster as dg

    from batch_assets.jobs import batch_processing_job
    from batch_assets.settings import load_settings

    job = batch_processing_job(load_settings())
    return _resolved(job.name, dg.Definitions(jobs=[job]))


def spoken_definition() -> dg.JobDefinition:
    """Build the same job, whose ops' sentences are shown on stdout as they come."""
    from batch_assets.jobs import batch_processing_job
    from batch_assets.settings import load_settings

    return _spoken(batch_processing_job(load_settings()))


def flex_definition() -> dg.JobDefinition:
    """Build the job that sends by flex, likewise."""
    from batch_assets.jobs import flex_job
    from batch_assets.settings import load_settings

    return _spoken(flex_job(load_settings()))


def _spoken(job: dg.JobDefinition) -> dg.JobDefinition:
    import dagster as dg

    aloud = dg.LoggerDefinition(logger_fn=lambda _: _speaking())
    return _resolved(job.name, dg.Definitions(jobs=[job], loggers={"aloud": aloud}))


class _Aloud(logging.Handler):
    """Says what an op says of itself; why ops have failed is shown once all have ended.

    On the terminal as it is when a run begins: within an op Dagster has its hands on stdout.
    """

    def __init__(self) -> None:
        super().__init__()
        self._screen = console()

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record, if it is an op's own."""
        meta: dict[str, Any] = getattr(record, "dagster_meta", {})
        op, said = meta.get("step_key"), meta.get("orig_message")
        if op and said and record.levelno < logging.ERROR:
            self._screen.say(f"{op}: {said}")


def _speaking() -> logging.Logger:
    logger = logging.Logger("aloud", logging.INFO)
    logger.addHandler(_Aloud())
    return logger


def report_definition() -> dg.JobDefinition:
    """Build the job that draws charts of the history, likewise."""
    import dagster as dg

    from batch_assets.assets import draw_reports
    from batch_assets.jobs import report_job

    return _resolved(report_job.name, dg.Definitions(assets=[draw_reports], jobs=[report_job]))


def run_job(
    instance: dg.DagsterInstance,
    definition: Callable[[], dg.JobDefinition] = job_definition,
    *,
    loggers: Mapping[str, object] = QUIET,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> Run:
    """Run a job to its end; `loggers` are those that the definition has, with their configuration.

    Raises:
        KeyboardInterrupt: Ctrl-C has ended it before.
    """
    import dagster as dg

    from batch_assets.resources.heartbeat import this_process
    from batch_assets.resources.run_executor import tags_of

    with no_interrupt_dropped():
        # Not as a context manager: that would open the resources a second time.
        result = dg.execute_job(
            dg.reconstructable(definition),
            instance=instance,
            tags={**_LOCATION, **tags_of(this_process()), **tags},
            run_config={"loggers": dict(loggers)},
            raise_on_error=False,
        )
    outputs = result.filter_events(lambda event: event.is_successful_output and _has_done(event))
    failed = result.filter_events(lambda event: event.is_step_failure)
    if any(_was_interrupted(event) for event in failed):
        raise KeyboardInterrupt
    return Run(
        id=result.run_id,
        numbers={str(event.step_key): _numbers(event) for event in outputs},
        failures={op: sentence for event in failed for op, sentence in sentences_of(event)},
    )


@contextmanager
def no_interrupt_dropped() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at the end if Ctrl-C came meanwhile, whatever became of it.

    Between ops Dagster keeps an interrupt to itself, and forgets it where no op follows; in a
    finalizer Python prints what is raised, and goes on. So it is the signal that counts here:
    Python writes its number down as it comes, whoever handles it. In the main thread only.

    Raises:
        KeyboardInterrupt: Ctrl-C came meanwhile.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    usual = sys.unraisablehook

    def print_others(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type.__name__ != INTERRUPTED:
            usual(unraisable)

    sys.unraisablehook = print_others
    try:
        yield
    finally:
        sys.unraisablehook = usual
        signal.set_wakeup_fd(before)
        os.close(writing)
        with os.fdopen(reading, "rb") as signals:
            came = signals.read()
    if signal.SIGINT in came:
        raise KeyboardInterrupt


def show_failures(run: Run) -> None:
    """Say on stderr why ops have failed."""
    for op, sentence in run.failures.items():
        errors().say(f"{op}: {sentence}")


def _did(entry: tuple[str, dict[str, float]]) -> str:
    return ", ".join(f"{name} {value:,g}" for name, value in entry[1].items())


_OPS: Sequence[Column[tuple[str, dict[str, float]]]] = (
    Column("Op", lambda entry: entry[0]),
    Column("What it did", _did, is_prose=True),
)


def _resolved(name: str, definitions: dg.Definitions) -> dg.JobDefinition:
    """A job of some definitions, with its resources."""
    import dagster as dg

    from batch_assets.resources.pipeline import default_resources

    whole = dg.Definitions.merge(definitions, dg.Definitions(resources=default_resources()))
    return whole.resolve_job_def(name)


def _numbers(event: dg.DagsterEvent) -> dict[str, float]:
    entries = event.step_output_data.metadata
    former = {was for now, was in FORMER_NAMES.items() if now in entries}
    values = {
        name: entry.value for name, entry in entries.items() if entry.value and name not in former
    }
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def _has_done(event: dg.DagsterEvent) -> bool:
    """Whether an op did its work: one that could not hands that on as its output."""
    from batch_assets.ops.failures import STOPPED

    return not STOPPED & event.step_output_data.metadata.keys()


def _was_interrupted(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == INTERRUPTED


def sentences_of(event: dg.DagsterEvent) -> list[tuple[str, str]]:
    """Why ops have failed, by op: the one that closes the main job says it of all others.

    Of an error that is no `Failure` its type alone, as it may hold data.
    """
    data, op = event.step_failure_data, str(event.step_key)
    told = data.user_failure_data
    if told is not None:
        each = [(name, str(entry.value)) for name, entry in told.metadata.items()]
        return each or [(op, str(told.description))]
    names = list(_names(data.error))
    meant = run_out(MemoryError()) if MemoryError.__name__ in names else None
    name = names[0] if names else "an error"
    return [(op, meant or f"ended with {name}: see this run in Dagster's UI.")]


def _names(error: Any) -> Iterator[str]:
    """The class of an error and of what it came from: Dagster wraps what it runs out of itself."""
    while error is not None:
        yield error.cls_name or "an error"
        error = error.cause or error.context
