"""`batch-assets demo`: sample conversations through the job, on the local stack alone."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Thread

import dagster as dg
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from batch_assets.cli.companies import company_cache
from batch_assets.cli.conventions import count, plural
from batch_assets.cli.dagster_instance import active_run, open_instance
from batch_assets.cli.opening import OpenDatabase, open_database
from batch_assets.cli.run import Run, report_definition, run_job, show_failures
from batch_assets.cli.screen import Screen
from batch_assets.cli.status import in_all, savings, show_results
from batch_assets.domain.errors import BatchAssetsError, SubmissionHeldError
from batch_assets.domain.lookups import CompanyStatistics
from batch_assets.settings import setting_names
from batch_assets.wiring import DEFAULT_STACK, local_environment
from batch_assets_local.demo_data import (
    Example,
    bring_in,
    examples,
    failures,
    open_conversations,
    release,
)

EXAMPLES = 4
PAUSE_SECONDS = 1.0
"""Between two runs: the local server takes about three seconds for a batch."""
PATIENCE_SECONDS = 60.0
"""Without anything moving."""
HASTE = {"BATCH_ABSENCE_GRACE_SECONDS": "1", "BATCH_RETRY_BASE_SECONDS": "2"}
"""The local server answers at once or never, so that a demo need not wait as the job has to."""


def run_demo(stack: str = DEFAULT_STACK) -> None:
    """Bring new conversations in, run the job until all are analysed, and show what came of it.

    All of it on the local stack of that name, which this process uses from then on.
    """
    _forget_configuration(stack)
    shown = _screen()
    shown.say("Starting the local stack: a PostgreSQL and a server that speaks the Batch API …")
    # It takes a second or two, and the demo waits for its batches anyway.
    Thread(target=import_module, args=["batch_assets.assets.report_charts"], daemon=True).start()
    try:
        with open_database() as database, open_instance() as instance:
            _bring_in_conversations(database, shown)
            _work_through(database, instance, shown)
            _draw(instance, shown)
            _show_results(database, shown)
    except KeyboardInterrupt:
        shown.say("\nStopped: `make demo` typed again goes on from there.")
        raise


def _forget_configuration(stack: str) -> None:
    """Nothing that is configured holds from here on: the demo never meets a real database."""
    environment = local_environment()
    for name in list(environment):
        if name in setting_names() or name.startswith(("BATCH_", "DAGSTER_", "OPENAI_", "PG")):
            del environment[name]
    os.environ.clear()
    os.environ.update(environment, BATCH_LOCAL_STACK=stack, **HASTE)


def _screen() -> Screen:
    """On a descriptor of its own: while an op runs, Dagster keeps what is written to stdout."""
    encoding, errors = sys.stdout.encoding, sys.stdout.errors
    return Screen(os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=encoding, errors=errors))


def _bring_in_conversations(database: OpenDatabase, shown: Screen) -> None:
    """New ones, so that each demo has something to do, unless an earlier one was cut off."""
    added = bring_in(database.engine, database.endpoints.database_url)
    # Runs before this may have found none of these companies.
    company_cache(database).refresh()
    unfinished = open_conversations(database.engine)
    if not added:
        shown.say(
            "An earlier demo was cut off: this one goes on with its "
            f"{plural(unfinished, 'conversation')}."
        )
        return
    shown.say(f"{plural(added, 'conversation')} of HR chatbots came in.")
    if added > unfinished:
        shown.say(
            f"{count(added - unfinished)} of them wait, since their company is suspended; "
            f"{count(unfinished)} are to be analysed."
        )


def _work_through(database: OpenDatabase, instance: dg.DagsterInstance, shown: Screen) -> None:
    """Run the job again and again until no conversation is open any more."""
    if active_run(instance) is None:
        release(database.engine)
    shown.say("The job runs in Dagster until each of them has been analysed:")
    quiet_since, before = time.monotonic(), None
    with progress(shown, open_conversations(database.engine)) as show:
        while left := open_conversations(database.engine):
            now = _active(database)
            show(left, f"{count(now.waiting)} waiting, {count(now.in_batch)} in a batch")
            if now != before:
                quiet_since, before = time.monotonic(), now
            elif time.monotonic() - quiet_since > PATIENCE_SECONDS:
                raise BatchAssetsError(
                    f"{plural(left, 'conversation')} did not move for {PATIENCE_SECONDS:.0f} s: "
                    "type `make demo` again, or empty the stack with `batch-assets local reset`."
                )
            if active_run(instance) is None:
                _run(database, instance, shown)
            time.sleep(PAUSE_SECONDS)
        show(0, "")


def _run(database: OpenDatabase, instance: dg.DagsterInstance, shown: Screen) -> None:
    """Run the job once, and end the demo if that has failed or no run is to submit anything."""
    began = time.monotonic()
    run = run_job(instance)
    seconds = time.monotonic() - began
    # Asked after a run, which may find out that nothing holds any more.
    held = database.held_because
    shown.say(f"run {run.id[:8]}, {seconds:.1f} s: {what_it_did(run, held)}", indent=2)
    if run.failures:
        show_failures(run)
        raise BatchAssetsError(
            f"Run {run.id} of the job failed: `make demo` typed again goes on from there."
        )
    if held is not None and open_conversations(database.engine):
        raise SubmissionHeldError(
            f"Nothing is submitted now. {held} Or empty the local stack with "
            "`batch-assets local reset`."
        )


def _draw(instance: dg.DagsterInstance, shown: Screen) -> None:
    """Let the charts be there when somebody opens the UI."""
    run = run_job(instance, report_definition)
    show_failures(run)
    if not run.failures:
        shown.say("Pictures of the history were drawn: see group reports in the UI's Catalog.")


def what_it_did(run: Run, held_because: str | None) -> str:
    """What a run of the job sent and read; if nothing, why."""
    sent = run.numbers.get("submit_batches", {})
    read = run.numbers.get("ingest_results", {})
    parts = [
        f"{plural(int(sent['requests']), 'request')} sent in "
        f"{plural(int(sent.get('batches', 0)), 'batch', 'batches')}"
        if sent.get("requests")
        else "",
        f"{plural(int(read['completed']), 'answer')} read" if read.get("completed") else "",
    ]
    if held_because and not sent.get("requests"):
        parts.append(f"nothing was sent: {held_because}")
    return ", ".join(part for part in parts if part) or "no batch has ended since"


def _active(database: OpenDatabase) -> CompanyStatistics:
    """The sums over the companies whose requests are sent."""
    return in_all([row for row in database.queries.statistics() if row.status == "ACTIVE"])


def _show_results(database: OpenDatabase, shown: Screen) -> None:
    companies = database.queries.statistics()
    shown.say("\nAll conversations of this stack, those of earlier demos too:\n")
    show_results(shown, companies)
    shown.say(savings(companies))
    for failure in failures(database.engine):
        shown.say(
            f"Failed at {failure.company}: {plural(failure.requests, 'request')}. {failure.reason}"
        )
    shown.say("\nSome of the analyses:")
    for example in examples(database.engine, EXAMPLES):
        _show_example(example, shown)
    shown.say(
        "\nTo see the runs, and the job at work every two minutes: `make dev`, then open "
        "http://127.0.0.1:3000."
    )


def _show_example(example: Example, shown: Screen) -> None:
    marks = [example.language, example.category, example.sentiment]
    marks += ["escalated"] * example.escalated + ["forwarded to HR"] * example.forwarded_hr
    marks.append(plural(example.questions, "question"))
    shown.say()
    shown.say(f"{example.company}: {', '.join(marks)}", indent=2, style="bold")
    shown.say(example.summary, indent=4)


WIDE = 78
"""Columns that the whole line takes."""
NARROW = 48
"""Columns that it takes without saying where the others are."""


@contextmanager
def progress(shown: Screen, conversations: int) -> Iterator[Callable[[int, str], None]]:
    """A bar over so many conversations, told how many are left and where those are.

    It begins at 0 % and is gone at the end. Without a terminal there is none, and nothing but what
    is printed is seen.
    """
    columns = _columns(shown.columns or WIDE)
    bar = Progress(*columns, console=shown.console, transient=True, disable=shown.columns is None)
    with bar:
        task = bar.add_task("", total=conversations)

        def show(left: int, where: str) -> None:
            done = max(0, conversations - left)
            bar.update(task, completed=done, description=where)

        yield show


def _columns(room: int) -> list[ProgressColumn]:
    """What there is room for: nothing is cut."""
    columns: list[ProgressColumn] = [
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} done"),
    ]
    if room >= NARROW:
        bar = BarColumn(bar_width=16)
        columns = [SpinnerColumn("line"), bar, *columns, TimeElapsedColumn()]
    if room >= WIDE:
        columns.insert(-1, TextColumn("{task.description}"))
    return columns
