"""`batch-assets demo`: sample conversations through the job, on the local stack alone."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from threading import Thread

import dagster as dg
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from batch_assets.analysis.display import escaped
from batch_assets.cli.companies import company_cache
from batch_assets.cli.job import (
    Run,
    active_run,
    open_instance,
    report_definition,
    run_job,
    show_failures,
)
from batch_assets.cli.opening import OpenDatabase, open_database
from batch_assets.cli.output import plural
from batch_assets.cli.status import in_all, results_table, savings
from batch_assets.domain.batches import CompanyStatistics
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.local.samples import DEFAULT_SEED, seed_database
from batch_assets.local.showcase import Example, examples, failures
from batch_assets.settings import allowed_values
from batch_assets.wiring import DEFAULT_STACK, local_environment

EXAMPLES = 4
PAUSE_SECONDS = 1.0
"""Between two runs: the local server takes about three seconds for a batch."""
PATIENCE_SECONDS = 60.0
"""Without anything moving, while something still could."""


def run_demo(stack: str = DEFAULT_STACK) -> None:
    """Bring new conversations in, run the job until all are analysed, and show what came of it.

    All of it on the local stack of that name, which this process uses from then on.
    """
    _forget_configuration(stack)
    shown = _console()
    shown.print("Starting the local stack: a PostgreSQL and a server that speaks the Batch API …")
    # It takes a second or two, and the demo waits for its batches anyway.
    Thread(target=import_module, args=["batch_assets.pictures.cost"], daemon=True).start()
    with open_database() as database, open_instance() as instance:
        _bring_in_conversations(database, shown)
        _work_through(database, instance, shown)
        _draw(instance, shown)
        _show_results(database, shown)


def _forget_configuration(stack: str) -> None:
    """Nothing that is configured holds from here on: the demo never meets a real database."""
    environment = local_environment()
    for name in list(environment):
        if name in allowed_values() or name.startswith(("BATCH_", "DAGSTER_", "OPENAI_", "PG")):
            del environment[name]
    os.environ.clear()
    os.environ.update(environment, BATCH_LOCAL_STACK=stack)


def _console() -> Console:
    """On a descriptor of its own: while an op runs, Dagster keeps what is written to stdout."""
    stdout = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    return Console(file=stdout, markup=False, highlight=False, emoji=False)


def _bring_in_conversations(database: OpenDatabase, shown: Console) -> None:
    """The first set of samples that is not there yet: each demo has something to do."""
    seed = DEFAULT_SEED
    while True:
        added = seed_database(database.endpoints.database_url, seed=seed, now=datetime.now(UTC))
        if added.sessions:
            break
        seed += 1
    # Runs before this may have found none of these companies.
    company_cache(database).refresh()
    shown.print(f"{plural(added.sessions, 'conversation')} of HR chatbots came in.")


def _work_through(database: OpenDatabase, instance: dg.DagsterInstance, shown: Console) -> None:
    """Run the job again and again until nothing waits and nothing is in a batch."""
    shown.print("The job runs in Dagster until each of them has been analysed:")
    quiet_since, before = time.monotonic(), None
    with _progress(shown) as show:
        while True:
            now = _active(database)
            show(now)
            if not now.waiting + now.in_batch or (now == before and _is_held(database, now)):
                break
            if now != before:
                quiet_since, before = time.monotonic(), now
            elif time.monotonic() - quiet_since > PATIENCE_SECONDS:
                raise BatchAssetsError(
                    f"{plural(now.waiting + now.in_batch, 'request')} did not move for "
                    f"{PATIENCE_SECONDS:.0f} s: `batch-assets local reset` empties the stack."
                )
            if active_run(instance) is None:
                _run(instance, shown)
            time.sleep(PAUSE_SECONDS)
    if now.in_batch:
        shown.print(
            f"  {plural(now.in_batch, 'request')} of an earlier run that was interrupted rest: "
            "after a quarter of an hour the job looks up what became of them."
        )


def _is_held(database: OpenDatabase, now: CompanyStatistics) -> bool:
    """Whether what is left belongs to a run that was killed, until its lease ends."""
    return not now.waiting and not database.queries.batches_in_flight(1)


def _run(instance: dg.DagsterInstance, shown: Console) -> None:
    began = time.monotonic()
    run = run_job(instance)
    seconds = time.monotonic() - began
    shown.print(f"  run {run.id[:8]}, {seconds:.1f} s: {_what_it_did(run)}")
    if run.failures:
        show_failures(run)
        raise BatchAssetsError(f"Run {run.id} of the job failed.")


def _draw(instance: dg.DagsterInstance, shown: Console) -> None:
    """Let the pictures be there when somebody opens the UI."""
    run = run_job(instance, report_definition)
    show_failures(run)
    if not run.failures:
        shown.print("Pictures of the history were drawn: see group reports in the UI's Catalog.")


def _what_it_did(run: Run) -> str:
    sent = run.numbers.get("submit_batches", {})
    read = run.numbers.get("ingest_results", {})
    parts = [
        f"{plural(int(sent['requests']), 'request')} sent in "
        f"{plural(int(sent.get('batches', 0)), 'batch', 'batches')}"
        if sent.get("requests")
        else "",
        f"{plural(int(read['completed']), 'answer')} read" if read.get("completed") else "",
    ]
    return ", ".join(part for part in parts if part) or "no batch has ended since"


def _active(database: OpenDatabase) -> CompanyStatistics:
    """The sums over the companies whose requests are sent."""
    return in_all([row for row in database.queries.statistics() if row.status == "ACTIVE"])


@contextmanager
def _progress(shown: Console) -> Iterator[Callable[[CompanyStatistics], None]]:
    """A bar that is told how things stand; without a terminal only what is printed is seen."""
    columns = [
        SpinnerColumn(),
        BarColumn(bar_width=28),
        TextColumn("{task.completed:,}/{task.total:,} done"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    ]
    progress = Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal)
    with progress:
        task = progress.add_task("", total=None)

        def show(now: CompanyStatistics) -> None:
            done = now.complete + now.dead + now.failed_elsewhere + now.retry
            open_ones = now.waiting + now.in_batch
            progress.update(
                task,
                completed=done,
                total=done + open_ones,
                description=f"{now.waiting:,} waiting, {now.in_batch:,} in a batch",
            )

        yield show


def _show_results(database: OpenDatabase, shown: Console) -> None:
    companies = database.queries.statistics()
    shown.print()
    shown.print(results_table(companies))
    shown.print(f"\n{savings(companies)}")
    for failure in failures(database.engine):
        shown.print(
            f"Failed at {escaped(failure.company)}: {plural(failure.requests, 'request')}. "
            f"{escaped(failure.reason)}"
        )
    shown.print("\nSome of the analyses:")
    for example in examples(database.engine, EXAMPLES):
        _show_example(example, shown)
    shown.print(
        "\nTo see the runs, and the job at work every two minutes: `make dev`, then open "
        "http://127.0.0.1:3000."
    )


def _show_example(example: Example, shown: Console) -> None:
    marks = [example.language, example.category, example.sentiment]
    marks += ["escalated"] * example.escalated + ["forwarded to HR"] * example.forwarded_hr
    marks.append(plural(example.questions, "question"))
    shown.print(f"\n  {escaped(example.company)}: {', '.join(marks)}", style="bold")
    shown.print(Padding(Text(escaped(example.summary)), (0, 0, 0, 4)))
