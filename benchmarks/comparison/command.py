"""`make bench`: measures, prints the tables, and keeps the figures."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from batch_assets_local import stack
from batch_assets_local.options import StackOptions
from benchmarks.comparison.comparing import Comparison
from benchmarks.comparison.databases import Databases
from benchmarks.comparison.document import DOCUMENT, markdown, write_document
from benchmarks.comparison.measurements import RESULTS, Measurement, write_results
from benchmarks.comparison.opening import IMPLEMENTATIONS
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.tables import tables

STACK = "bench"


def main(
    arguments: Sequence[str] | None = None,
    *,
    project_dir: Path = PROJECT_DIR,
    results: Path = RESULTS,
    document: Path = DOCUMENT,
) -> int:
    """Measure at every size that is asked for; 0, or an error's exit code with its sentence."""
    options = _parser().parse_args(arguments)
    shown = Console(highlight=False)
    try:
        measured = [
            measurement
            for size in _sizes(options)
            for measurement in _measure(size, options.implementations, project_dir, shown)
        ]
        write_results(measured, results)
        made = tables(measured)
        if options.document:
            write_document(made, document)
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


def _measure(
    size: Size, implementations: Sequence[str], project_dir: Path, shown: Console
) -> list[Measurement]:
    shown.print(f"{size}:")
    measured = []
    with benchmark_stack(project_dir) as running:
        databases = Databases(running.database_url)
        with databases.seeded(size):
            comparison = Comparison(databases, size, running.state_dir, implementations)
            for measurement in comparison.everything():
                shown.print(
                    f"  {measurement.stage} {measurement.implementation}: "
                    f"{measurement.usage.wall_s:.1f} s"
                )
                measured.append(measurement)
    return measured


def _sizes(options: argparse.Namespace) -> list[Size]:
    if len(options.companies) != len(options.requests):
        raise BatchAssetsError("COMPANIES and REQUESTS must list as many numbers as each other.")
    return [
        Size(
            companies,
            requests,
            options.messages,
            options.history,
            options.latency,
            options.at_a_time,
        )
        for companies, requests in zip(options.companies, options.requests, strict=True)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--companies", type=int, nargs="+", required=True)
    parser.add_argument(
        "--requests", type=int, nargs="+", required=True, help="of each company, waiting"
    )
    parser.add_argument("--messages", type=int, required=True, help="of each waiting request")
    parser.add_argument("--history", type=int, required=True, help="finished requests in all")
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
        "--document", action="store_true", help="also write the tables into docs/benchmarks.md"
    )
    return parser
