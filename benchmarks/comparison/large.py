"""One company with a large backlog, in batches as large as a server takes them.

`python -m benchmarks.comparison large --requests 50000 --messages 24` says which files were
uploaded, and what creating them, reading the results and writing them has cost.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

import httpx2
from rich.console import Console
from sqlalchemy import create_engine, text

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.openai_batch.limits import MAX_FILE_BYTES, MAX_REQUESTS
from batch_assets.project_files import PROJECT_DIR
from batch_assets.store.urls import application_url
from benchmarks.comparison.api_server import api_server
from benchmarks.comparison.command import benchmark_stack
from benchmarks.comparison.databases import Clone, Databases
from benchmarks.comparison.opening import environment
from benchmarks.comparison.own_process import in_own_process
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.worker import run_stage

_AS_LARGE_AS_CAN_BE = {
    "BATCH_MAX_REQUESTS": str(MAX_REQUESTS),
    "BATCH_MAX_BYTES": str(MAX_FILE_BYTES),
}
_STAGES = ("create", "check", "ingest")


def main(arguments: Sequence[str] | None = None, *, project_dir: Path = PROJECT_DIR) -> int:
    """Move one backlog to its end, a line a stage; 0, or an error's exit code with its sentence."""
    options = _parser().parse_args(arguments)
    size = Size(1, options.requests, options.messages, history=0)
    shown = Console(highlight=False)
    try:
        with benchmark_stack(project_dir) as running:
            databases = Databases(running.database_url)
            with (
                databases.seeded(size),
                databases.clone(size) as clone,
                api_server(size) as base_url,
            ):
                _ask_for(clone, options.type)
                spool = Path(mkdtemp(dir=running.state_dir)) / "spool"
                environ = {
                    **environment(clone, base_url, spool, "optimized"),
                    **_AS_LARGE_AS_CAN_BE,
                }
                for stage in _STAGES:
                    used = in_own_process(run_stage, stage, environ)
                    shown.print(
                        f"{stage}: {used.wall_s:.1f} s, {used.cpu_s:.1f} s of CPU "
                        f"({1_000 * used.cpu_s / size.waiting:.3f} ms a request), "
                        f"peak {used.peak_mb:.0f} MB, {used.calls} calls",
                        soft_wrap=True,
                    )
                    if stage == _STAGES[0]:
                        shown.print(_files(base_url), soft_wrap=True)
                clone.require_analysed(waves=1)
    except BatchAssetsError as error:
        shown.print(str(error), markup=False)
        return error.exit_code
    shown.print(f"All {size.waiting:,} requests are analysed.")
    return 0


def _ask_for(clone: Clone, processing_type: str) -> None:
    """Let all that waits ask for another type of analysis than the benchmark's."""
    engine = create_engine(application_url(clone.dagster_url))
    with engine.begin() as connection:
        connection.execute(
            text('UPDATE public."AIProcessingRequest" SET "processingType" = :type'),
            {"type": processing_type},
        )
    engine.dispose()


def _files(base_url: str) -> str:
    """What was uploaded, in the order of upload."""
    page = httpx2.get(f"{base_url}/files?limit=10000", trust_env=False).raise_for_status().json()
    sizes = [file["bytes"] for file in reversed(page["data"])]
    return f"{len(sizes)} batches, of {', '.join(f'{size / 1e6:.1f} MB' for size in sizes)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=MAX_REQUESTS)
    parser.add_argument("--messages", type=int, default=24, help="of each request")
    parser.add_argument("--type", default="full_analysis", help="a processing type")
    return parser
