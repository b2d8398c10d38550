"""`make bench` and `make bench-docs`: measure, print the tables, and keep the figures."""

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from rich.console import Console

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from batch_assets_local import stack
from batch_assets_local.options import StackOptions
from benchmarks.comparison.bars import bars
from benchmarks.comparison.comparing import Comparison
from benchmarks.comparison.databases import Databases
from benchmarks.comparison.document import DOCUMENT, markdown, write_document
from benchmarks.comparison.measurements import (
    RESULTS,
    Measurement,
    commit_of,
    medians,
    write_results,
)
from benchmarks.comparison.opening import IMPLEMENTATIONS
from benchmarks.comparison.peer_environment import PEER, PeerMissingError, peer_python
from benchmarks.comparison.scenarios import DOCUMENTED, Scenario
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.tables import Table, shapes, tables

STACK = "bench"
_NOT_ASKED_FOR = f"{PEER} is not measured: `PEER={PEER}` adds it."


def main(
    arguments: Sequence[str] | None = None,
    *,
    project_dir: Path = PROJECT_DIR,
    results: Path = RESULTS,
    document: Path = DOCUMENT,
    documented: Sequence[Scenario] = DOCUMENTED,
) -> int:
    """Measure what is asked for, or what is documented; 0, or an error's exit code with its
    sentence."""
    options = _parser().parse_args(arguments)
    shown = Console(highlight=False)
    began = time.monotonic()
    try:
        scenarios = documented if options.document else _scenarios(options)
        peer, why_not = _peer(options.peer, project_dir)
        if why_not and options.peer:
            shown.print(why_not, markup=False)
        commit = commit_of(PROJECT_DIR)
        measured = medians(list(_measure_all(scenarios, peer, project_dir, shown)))
        write_results(measured, results, commit)
        without = {one.size: why_not for one in scenarios if why_not and PEER in one.runs}
        made = _tables(measured, without)
        if options.document:
            write_document(_origin(commit, time.monotonic() - began), made, document)
    except BatchAssetsError as error:
        shown.print(str(error), markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        shown.print("The benchmark was stopped; the figures that are kept are those from before.")
        return 130
    for table in made:
        shown.print(f"\n{markdown(table)}", markup=False, soft_wrap=True)
    return 0


@contextmanager
def benchmark_stack(project_dir: Path) -> Iterator[stack.LocalStack]:
    """A local stack of the benchmark's own, empty at first and gone afterwards.

    Its database gives up safety against a power cut, so that no disk's speed is measured.
    """
    stack.reset(project_dir, name=STACK)
    try:
        yield stack.attach(project_dir, name=STACK, options=StackOptions(durable=False))
    finally:
        stack.reset(project_dir, name=STACK)


def _peer(wanted: str | None, project_dir: Path) -> tuple[Path | None, str]:
    """The interpreter of the peer's environment, or why there is none."""
    if wanted is None:
        return None, _NOT_ASKED_FOR
    try:
        return peer_python(project_dir), ""
    except PeerMissingError as missing:
        return None, str(missing)


def _measure_all(
    scenarios: Sequence[Scenario], peer: Path | None, project_dir: Path, shown: Console
) -> Iterator[Measurement]:
    for size, those in groupby(scenarios, lambda one: one.size.of_database()):
        with benchmark_stack(project_dir) as running:
            databases = Databases(running.database_url)
            with databases.seeded(size):
                for scenario in those:
                    shown.print(f"{scenario.size}:")
                    comparison = Comparison(databases, scenario, running.state_dir, peer)
                    for measurement in comparison.everything():
                        shown.print(
                            f"  {measurement.stage} {measurement.implementation}: "
                            f"{measurement.usage.wall_s:.1f} s"
                        )
                        yield measurement


def _tables(measured: Sequence[Measurement], without_peer: Mapping[Size, str]) -> list[Table]:
    made = [bars(measured), *tables(measured, without_peer), shapes(measured)]
    return [table for table in made if table is not None]


def _origin(commit: str, seconds: float) -> str:
    return (
        f"Of commit {commit}, measured on {datetime.now(UTC):%Y-%m-%d} in {seconds / 60:.0f} "
        f"minutes, with {os.cpu_count()} cores that the database, the API and the pipeline share. "
        "Each figure is the median of its runs."
    )


def _scenarios(options: argparse.Namespace) -> list[Scenario]:
    if not options.companies or len(options.companies) != len(options.requests or ()):
        raise BatchAssetsError("COMPANIES and REQUESTS must list as many numbers as each other.")
    names = [*options.implementations, "floor", *([PEER] if options.peer else [])]
    return [
        Scenario(
            Size(
                companies,
                requests,
                options.messages,
                options.history,
                options.latency,
                options.at_a_time,
            ),
            dict.fromkeys(names, options.runs),
        )
        for companies, requests in zip(options.companies, options.requests, strict=True)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--companies", type=int, nargs="+")
    parser.add_argument("--requests", type=int, nargs="+", help="of each company, waiting")
    parser.add_argument("--messages", type=int, default=12, help="of each waiting request")
    parser.add_argument("--history", type=int, default=10_000, help="finished requests in all")
    parser.add_argument("--runs", type=int, default=1, help="of which medians are shown")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds a call to the API")
    parser.add_argument("--at-a-time", type=int, help="calls that the API takes at one time")
    parser.add_argument(
        "--implementations",
        nargs="+",
        choices=list(IMPLEMENTATIONS),
        default=list(IMPLEMENTATIONS),
        help="measure these only, beside the floor",
    )
    parser.add_argument(
        "--peer", choices=[PEER], help="measure it, too, in an environment of its own"
    )
    parser.add_argument(
        "--document",
        action="store_true",
        help="measure what docs/benchmarks.md shows, and write that page anew",
    )
    return parser
