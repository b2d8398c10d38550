"""`make hosts`: three hosts, of which one is cut off in the middle; work goes on (as root).

The first has database, API server, daemon and web server; the other two a code server each, and
no file in common. While a run is at work its host's cable is pulled: the other one goes on, and
Dagster's record of the lost run is closed. Then the cable is put in again, as much again comes in,
and the other host is switched off for good: the first one goes on. In the end every request is
analysed, none was billed twice, and what the runs say of themselves adds up to the whole.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from batch_assets.domain.errors import BatchAssetsError
from drills.first_host import CLI, SQL, FirstHost, WrongError, be_alone, first_host, wait
from drills.machines import Machine, address_of
from drills.story import MODELS, Request

STACK: Final = "hosts"
NAMES: Final = ("host-b", "host-c")
SETTINGS: Final[Mapping[str, str]] = {
    "BATCH_BACKLOG_CHECK_SECONDS": "5",
    "BATCH_COMPLETION_CHECK_SECONDS": "5",
}
SCHEDULES: Final = ("*/2 * * * *", "1-59/2 * * * *")
"""The two hosts' code locations tick by turns."""
_PORT: Final = 4000
_END_SECONDS: Final = 3_600.0


class Drill:
    """The hosts, with what is shared, and what is to be done."""

    def __init__(self, host: FirstHost, machines: Sequence[Machine]) -> None:
        self._host = host
        self._world = host.world
        self._machines = {machine.name: machine for machine in machines}

    def play(self, later: Sequence[Request]) -> Iterator[str]:
        """Lose both hosts in turn, with more to do for the second; says what was felt of each."""
        run = wait(self._sending, "no run sends anything")
        lost = self._machines.pop(run.host)
        (other,) = self._machines.values()
        yield self._lose(lost.name, run.run_id, lost.cut_off)
        lost.connect()
        self._world.add(later)
        yield self._lose(other.name, self._run_on(other.name), other.kill)

    def end(self, ids: Sequence[str]) -> None:
        """See every request to its end, billed once, and the figures of runs agree. WrongError."""
        wait(self._host.is_done, "not every request is analysed", _END_SECONDS)
        wait(lambda: not self._world.ask(SQL["at_work"]), "runs do not end")
        self._host.require_all_well(ids)

    def by_host(self) -> list[str]:
        """What each host has done; WrongError if one did nothing."""
        rows = self._world.ask(SQL["by_host"])
        idle = set(NAMES) - {row.host for row in rows if row.sent or row.read}
        if idle:
            raise WrongError(f"{', '.join(sorted(idle))} had no part in the work")
        return [f"{row.host}: runs={row.runs} sent={row.sent} read={row.read}" for row in rows]

    def _lose(self, name: str, run_id: str, lose: Callable[[], object]) -> str:
        (since,) = (row.now for row in self._world.ask(SQL["now"]))
        began = time.monotonic()
        lose()
        wait(
            lambda: self._world.ask(SQL["done_elsewhere"], host=name, since=since),
            f"without {name} nothing goes on",
        )
        going_on = time.monotonic() - began
        if not run_id:
            return f"{name} is lost, and had no run: work went on after {going_on:.0f} s"
        wait(lambda: self._has_ended(run_id), f"the record of {run_id} stays open")
        return f"{name} is lost in a run: it was closed, and work went on after {going_on:.0f} s"

    def _sending(self) -> Any:
        for run in self._world.ask(SQL["at_work"]):
            if self._world.ask(SQL["sent"], run_id=run.run_id)[0].requests:
                return run
        return None

    def _run_on(self, name: str) -> str:
        runs = [run.run_id for run in self._world.ask(SQL["at_work"]) if run.host == name]
        return str(runs[0]) if runs else ""

    def _has_ended(self, run_id: str) -> bool:
        return run_id not in {run.run_id for run in self._world.ask(SQL["at_work"])}


@contextmanager
def placed(directory: Path, requests: Sequence[Request], a_run: int) -> Iterator[Drill]:
    """The three hosts at work, with these requests waiting, so many for a run; gone afterwards."""
    settings = {**SETTINGS, "BATCH_RUN_MAX_REQUESTS": str(a_run)}
    with first_host(directory, STACK, settings) as host, ExitStack() as ends:
        host.world.begin(requests)
        machines = []
        for number, (name, cron) in enumerate(zip(NAMES, SCHEDULES, strict=True), start=2):
            machine = Machine(
                name,
                number,
                [*CLI, "code-server", "--host", address_of(number), "--port", str(_PORT)],
                {**host.environment, "BATCH_SCHEDULE": cron},
                directory / f"{name}.log",
            )
            ends.callback(machine.kill)
            machines.append(machine)
        workspace = directory / "workspace.yaml"
        workspace.write_text(yaml.safe_dump(_workspace(machines)), encoding="utf-8")
        host.start(*CLI, "daemon", "--workspace", str(workspace))
        host.start(*CLI, "webserver", "--workspace", str(workspace), "--port", "3000")
        host.await_answer("http://127.0.0.1:3000/server_info")
        yield Drill(host, machines)


def _workspace(machines: Sequence[Machine]) -> dict[str, Any]:
    servers = [
        {"host": machine.address, "port": _PORT, "location_name": machine.name}
        for machine in machines
    ]
    return {"load_from": [{"grpc_server": server} for server in servers]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Drain a backlog over three hosts; 0 if nothing was lost or bought twice."""
    parser = argparse.ArgumentParser(prog="make hosts", description=__doc__)
    parser.add_argument("--requests", type=int, default=8_000, help="how many wait")
    parser.add_argument("--companies", type=int, default=100, help="of how many companies")
    parser.add_argument("--is-alone", action="store_true", help="in its own namespaces")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        _show("make hosts makes networks, as only root may: run it as root.")
        return 2
    if not options.is_alone:
        be_alone("drills.hosts", arguments)
    # What the hosts say is kept if something is wrong.
    directory = Path(tempfile.mkdtemp(prefix="hosts-"))
    requests = [
        Request(f"hosts-{number}", f"company-{number % options.companies}", MODELS[0])
        for number in range(options.requests)
    ]
    half = len(requests) // 2
    began = time.monotonic()
    try:
        with placed(directory, requests[:half], max(half // 4, 1)) as drill:
            for felt in drill.play(requests[half:]):
                _show(felt)
            drill.end([one.id for one in requests])
            for line in drill.by_host():
                _show(line)
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
    print(text, flush=True)  # noqa: T201 (what `make hosts` is for)


if __name__ == "__main__":
    sys.exit(main())
