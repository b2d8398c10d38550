"""`make bench-drain`: whole runs in turn until nothing waits, and what each of them cost.

It shows whether a run costs as much whatever still waits behind it: of a million requests no more a
request, and no more memory, than of twenty thousand.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from benchmarks.comparison.api_server import api_server
from benchmarks.comparison.command import benchmark_stack
from benchmarks.comparison.databases import Clone, Counted, Databases
from benchmarks.comparison.job import run_job
from benchmarks.comparison.opening import Environment, environment
from benchmarks.comparison.own_process import in_own_process
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.usage import Usage

_AS_IN_A_RUN = ("BATCH_ROWS_PER_RUN", "BATCH_OP_SECONDS")
"""Settings of a benchmark that lets one run move everything: here each moves what a run does, but
any company is due, however little is left of it."""

_COLUMNS = (
    "run   wall s   client CPU s   PostgreSQL CPU s   API CPU s   statements   GB touched"
    "   peak MB   analysed     in all"
)


@dataclass(frozen=True, slots=True)
class DrainRun:
    """One run of the job, by its number, and what was analysed in it and up to its end."""

    number: int
    counted: Counted
    usage: Usage
    analysed: int
    in_all: int

    def __str__(self) -> str:
        counted, usage = self.counted, self.usage
        return (
            f"{self.number:>3}   {usage.wall_s:>6.1f}   {usage.cpu_s:>12.1f}   "
            f"{counted.postgres_cpu_s:>16.1f}   {usage.server_cpu_s:>9.1f}   "
            f"{counted.statements:>10,}   {counted.bytes / 1e9:>10.1f}   {usage.peak_mb:>7.0f}   "
            f"{self.analysed:>8,}   {self.in_all:>8,}"
        )


def main(arguments: Sequence[str] | None = None, *, project_dir: Path = PROJECT_DIR) -> int:
    """Drain one backlog, a line a run; 0, or an error's exit code with its sentence."""
    options = _parser().parse_args(arguments)
    size = Size(options.companies, options.requests, options.messages, options.history)
    shown = Console(highlight=False)
    shown.print(f"{size}:\n{_COLUMNS}", soft_wrap=True)
    runs = []
    try:
        for run in drain(size, options.rows_per_run, project_dir):
            shown.print(str(run), soft_wrap=True)
            runs.append(run)
    except BatchAssetsError as error:
        shown.print(str(error), markup=False)
        return error.exit_code
    shown.print(_in_all(size, runs), soft_wrap=True)
    return 0


def drain(size: Size, rows_per_run: int, project_dir: Path) -> Iterator[DrainRun]:
    """Run the job on what waits until all of it is analysed: each run in a process of its own.

    Raises:
        BatchAssetsError: A run has failed, or two in a row have moved nothing.
    """
    with benchmark_stack(project_dir) as running:
        databases = Databases(running.database_url)
        with (
            databases.seeded(size),
            databases.clone(size) as clone,
            api_server(size) as base_url,
        ):
            directory = Path(mkdtemp(dir=running.state_dir))
            environ = environment(clone, base_url, directory / "spool", "optimized")
            yield from _runs(databases, clone, directory, _as_in_a_run(environ, rows_per_run))


def _runs(
    databases: Databases, clone: Clone, directory: Path, environ: Environment
) -> Iterator[DrainRun]:
    in_all = moved_nothing = 0
    number = 0
    while in_all < clone.size.waiting:
        number += 1
        home = directory / str(number)
        home.mkdir()
        with databases.counting() as counted:
            usage = in_own_process(partial(run_job, home), environ)
        before, in_all = in_all, clone.analysed()
        yield DrainRun(number, counted[0], usage, in_all - before, in_all)
        # The first run only sends, and so does one after which nothing is to be read yet.
        moved_nothing = moved_nothing + 1 if in_all == before else 0
        if moved_nothing > 1:
            raise BatchAssetsError(
                f"{clone.size.waiting - in_all:,} requests still wait, and two runs in a row have "
                f"analysed none. Batches that are not finished: {clone.open_batches()}."
            )


def _as_in_a_run(environ: Environment, rows_per_run: int) -> Environment:
    given = {name: value for name, value in environ.items() if name not in _AS_IN_A_RUN}
    # The hour's batches would stop what is measured here.
    return {
        **given,
        "BATCH_ROWS_PER_RUN": str(rows_per_run),
        "BATCH_HOURLY_BATCHES": "1000000",
    }


def _in_all(size: Size, runs: Sequence[DrainRun]) -> str:
    """What a request has cost over all runs, in milliseconds."""

    def each(seconds: float) -> str:
        return f"{1_000 * seconds / size.waiting:.3f} ms"

    return (
        f"A request: {each(sum(run.usage.wall_s for run in runs))} of wall, "
        f"{each(sum(run.usage.cpu_s for run in runs))} of client CPU, "
        f"{each(sum(run.counted.postgres_cpu_s for run in runs))} of PostgreSQL CPU; "
        f"{sum(run.counted.statements for run in runs):,} statements, "
        f"{sum(run.counted.bytes for run in runs) / size.waiting / 1e3:.0f} kB touched a request; "
        f"peak {max(run.usage.peak_mb for run in runs):.0f} MB."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench-drain", description=__doc__)
    parser.add_argument("--companies", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True, help="of each company, waiting")
    parser.add_argument("--messages", type=int, required=True, help="of each waiting request")
    parser.add_argument("--history", type=int, required=True, help="finished requests in all")
    parser.add_argument(
        "--rows-per-run", type=int, default=100_000, help="as BATCH_ROWS_PER_RUN has it"
    )
    return parser
