"""`make celery`: the ops of runs on two hosts, by Celery over Redis (as root).

One host has database, API server, Redis and the processes of the runs; the other two a worker
each, and no file in common. Runs are executed one after the other until every request is analysed.
None is billed twice, both workers have executed ops, and what the runs say adds up to the whole.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from drills.first_host import FirstHost, WrongError, be_alone, first_host, wait
from drills.machines import ADDRESS, Machine
from drills.story import MODELS, Request

STACK: Final = "celery"
WORKERS: Final = ("host-b", "host-c")
DEPLOYED: Final = PROJECT_DIR / "deploy" / "celery"
PROGRAMS: Final = Path(sys.executable).parent
SETTINGS: Final[Mapping[str, str]] = {
    "CELERY_BROKER": f"redis://{ADDRESS}:6379/0",
    "CELERY_BACKEND": f"redis://{ADDRESS}:6379/1",
    "PYTHONPATH": str(DEPLOYED),
    "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
}
_MOST_RUNS: Final = 12
_READY: Final = " ready."
_DONE: Final = " succeeded in "
"""What a worker says once it waits for ops, and of each that it has executed."""
# Dagster's own commands want to find its file in a home of the host's own.
_AT_HOME: Final = 'mkdir "$HOME/dagster" && ln -s "$PWD/dagster.yaml" "$HOME/dagster/" && exec "$@"'


def _has(log: Path, said: str) -> int:
    return log.read_text(encoding="utf-8").count(said)


class Drill:
    """The workers, and the runs whose ops they execute."""

    def __init__(self, host: FirstHost, logs: Sequence[Path]) -> None:
        self._host = host
        self._logs = logs

    def drain(self, ids: Sequence[str]) -> str:
        """Execute runs until every request is analysed; says how many. WrongError."""
        wait(lambda: all(_has(log, _READY) for log in self._logs), "no worker is ready")
        runs = 0
        while not self._host.is_done():
            if runs == _MOST_RUNS:
                raise WrongError(f"something is open after {runs} runs")
            self._run()
            runs += 1
        self._host.require_all_well(ids)
        ops = {log.stem: _has(log, _DONE) for log in self._logs}
        if not all(ops.values()):
            raise WrongError(f"a worker has executed nothing: {ops}")
        done = ", ".join(f"{name} {number}" for name, number in ops.items())
        return f"runs={runs}, ops executed: {done}"

    def _run(self) -> None:
        with self._host.output.open("ab") as output:
            ended = subprocess.run(  # noqa: S603 (it is Dagster's own)
                [
                    *(PROGRAMS / "dagster", "job", "execute", "--job", "batch_processing_job"),
                    *("--module-name", "celery_definitions", "--working-directory", DEPLOYED),
                ],
                cwd=PROJECT_DIR,
                env=self._host.own,
                stdout=output,
                stderr=output,
                check=False,
            )
        if ended.returncode != 0:
            raise WrongError(f"a run ended with {ended.returncode}")


@contextmanager
def placed(directory: Path, requests: Sequence[Request]) -> Iterator[Drill]:
    """The three hosts, with these requests waiting; gone afterwards."""
    with first_host(directory, STACK, SETTINGS) as host, ExitStack() as ends:
        host.world.begin(requests)
        redis = ("redis-server", "--bind", ADDRESS, "--port", "6379", "--save", "")
        host.start(*redis, "--protected-mode", "no", "--dir", str(directory))
        logs = []
        for number, name in enumerate(WORKERS, start=2):
            log = directory / f"{name}.log"
            worker = Machine(
                name,
                number,
                [
                    *("sh", "-c", _AT_HOME, "worker", "dagster-celery", "worker", "start"),
                    *(
                        "--app",
                        "dagster_celery.app",
                        "--config-yaml",
                        str(DEPLOYED / "worker.yaml"),
                    ),
                    *("--name", name, "--loglevel", "info", "--", "--concurrency", "1"),
                ],
                {**host.environment, "DAGSTER_HOME": str(directory / name / "dagster")},
                log,
            )
            ends.callback(worker.kill)
            logs.append(log)
        yield Drill(host, logs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Drain a backlog by two workers; 0 if nothing was lost or bought twice."""
    parser = argparse.ArgumentParser(prog="make celery", description=__doc__)
    parser.add_argument("--requests", type=int, default=2_000, help="how many wait")
    parser.add_argument("--companies", type=int, default=50, help="of how many companies")
    parser.add_argument("--is-alone", action="store_true", help="in its own namespaces")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        _show("make celery makes networks, as only root may: run it as root.")
        return 2
    if not options.is_alone:
        be_alone("drills.celery_workers", arguments)
    # What the hosts say is kept if something is wrong.
    directory = Path(tempfile.mkdtemp(prefix="celery-"))
    requests = [
        Request(f"celery-{number}", f"company-{number % options.companies}", MODELS[0])
        for number in range(options.requests)
    ]
    began = time.monotonic()
    try:
        with placed(directory, requests) as drill:
            _show(drill.drain([one.id for one in requests]))
    except WrongError as error:
        _show(f"WRONG {error} (see {directory})")
        return 1
    except BatchAssetsError as error:
        _show(str(error))
        return error.exit_code
    shutil.rmtree(directory)
    _show(f"requests={len(requests)} seconds={time.monotonic() - began:.0f} lost=0 billed_twice=0")
    return 0


def _show(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (what `make celery` is for)


if __name__ == "__main__":
    sys.exit(main())
