"""Real conversations through the real job: nothing left over, each billed exactly once.

`make real-text DATA=…` loads a file of conversations as sessions of 40 companies into a local stack
of its own, which is emptied first, and runs the job through Dagster until nothing waits. The
server's ledger then says what would have been billed.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from batch_assets.cli.dagster_instance import open_instance
from batch_assets.cli.opening import OpenDatabase, open_database
from batch_assets.cli.run import run_job
from batch_assets.cli.status import in_all
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.lookups import CompanyStatistics
from batch_assets.project_files import PROJECT_DIR
from batch_assets.wiring import local_environment
from batch_assets_local import stack
from batch_assets_local.batch_server import Ledger
from batch_assets_local.samples import load_conversations

STACK = "real-text"
COMPANIES = 40
MOST_RUNS = 200
PAUSE_SECONDS = 1.0


def main() -> int:
    """Run the check; 0 if every conversation was analysed and billed once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a gzipped file of conversations, one a line")
    data: Path = parser.parse_args().data.resolve()
    environment = local_environment(name=STACK)
    os.environ.clear()
    os.environ.update(environment)
    shown = Console(highlight=False)
    try:
        stack.reset(PROJECT_DIR, name=STACK)
        with open_database() as database:
            return _check(database, data, shown)
    except BatchAssetsError as error:
        shown.print(str(error), markup=False)
        return error.exit_code
    finally:
        stack.reset(PROJECT_DIR, name=STACK)


def _check(database: OpenDatabase, data: Path, shown: Console) -> int:
    loaded = load_conversations(data, database.endpoints.database_url, COMPANIES)
    shown.print(f"{loaded.sessions:,} conversations of {loaded.companies} companies were loaded.")
    began = time.monotonic()
    now = _work_through(database, shown)
    seconds = time.monotonic() - began
    ledger = Ledger(stack.state_dir(PROJECT_DIR, STACK) / "batch-server")
    billed, repeated = ledger.totals(), ledger.repeated()
    left = now.waiting + now.in_batch + now.retry + now.dead + now.failed_elsewhere
    shown.print(
        f"seconds={seconds:.1f} conversations={loaded.sessions} analysed={now.complete} "
        f"left_over={left} billed={billed.requests} billed_twice={len(repeated)} "
        f"prompt_tokens={billed.prompt_tokens} cost_eur={now.cost_eur:.4f}"
    )
    each_once = billed.requests == billed.distinct_custom_ids == loaded.requests
    return 0 if each_once and not left and now.complete == loaded.requests else 1


def _work_through(database: OpenDatabase, shown: Console) -> CompanyStatistics:
    """Run the job until nothing waits and nothing is in a batch; how things stand then."""
    with open_instance() as instance:
        for number in range(1, MOST_RUNS + 1):
            run = run_job(instance)
            now = in_all(database.queries.statistics())
            shown.print(
                f"run {number}: {now.waiting:,} waiting, {now.in_batch:,} in a batch, "
                f"{now.complete:,} analysed"
            )
            if run.failures:
                raise BatchAssetsError(f"Run {run.id} failed: {run.failures}")
            if not now.waiting + now.in_batch + now.retry:
                return now
            time.sleep(PAUSE_SECONDS)
    raise BatchAssetsError(f"Something was still under way after {MOST_RUNS} runs.")


if __name__ == "__main__":
    sys.exit(main())
