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
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from batch_assets.resources.dagster_storage import make_dagster_tables
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.engine import open_engine_for_looks
from batch_assets.store.migrate import upgrade
from batch_assets.store.sql import load
from batch_assets_local import stack
from batch_assets_local.batch_server import RunningServer, running_server
from batch_assets_local.demo_data import release
from drills.machines import ADDRESS, Machine, address_of, make_network
from drills.story import MODELS, Request
from drills.world import World

SQL: Final = load(Path(__file__).with_suffix(".sql"))
STACK: Final = "hosts"
NAMES: Final = ("host-b", "host-c")
SETTINGS: Final[Mapping[str, str]] = {
    "OPENAI_API_KEY": "sk-drill-0123456789",
    "OPENAI_BASE_URL": f"http://{ADDRESS}:8000/v1",
    "BATCH_BACKLOG_CHECK_SECONDS": "5",
    "BATCH_COMPLETION_CHECK_SECONDS": "5",
    "BATCH_MAX_WAIT_MINUTES": "0",
    "BATCH_ABSENCE_GRACE_SECONDS": "1",
}
SCHEDULES: Final = ("*/2 * * * *", "1-59/2 * * * *")
"""The two hosts' code locations tick by turns."""
_PORT: Final = 4000
_LIMIT_SECONDS: Final = 300.0
_END_SECONDS: Final = 1_800.0
_TICK_SECONDS: Final = 0.25


class WrongError(Exception):
    """Something came out as it should not; the message says what."""


class Drill:
    """The hosts, with what is shared, and what is to be done."""

    def __init__(self, world: World, server: RunningServer, machines: Sequence[Machine]) -> None:
        self._world = world
        self._server = server
        self._machines = {machine.name: machine for machine in machines}

    def play(self, later: Sequence[Request]) -> Iterator[str]:
        """Lose both hosts in turn, with more to do for the second; says what was felt of each."""
        run = self._wait(self._sending, "no run sends anything")
        lost = self._machines.pop(run.host)
        (other,) = self._machines.values()
        yield self._lose(lost.name, run.run_id, lost.cut_off)
        lost.connect()
        self._world.add(later)
        yield self._lose(other.name, self._run_on(other.name), other.kill)

    def _lose(self, name: str, run_id: str, lose: Callable[[], object]) -> str:
        (since,) = (row.now for row in self._world.ask(SQL["now"]))
        began = time.monotonic()
        lose()
        self._wait(
            lambda: self._world.ask(SQL["done_elsewhere"], host=name, since=since),
            f"without {name} nothing goes on",
        )
        going_on = time.monotonic() - began
        if not run_id:
            return f"{name} is lost, and had no run: work went on after {going_on:.0f} s"
        self._wait(lambda: self._has_ended(run_id), f"the record of {run_id} stays open")
        closed = time.monotonic() - began
        return (
            f"{name} is lost: its run was closed after {closed:.0f} s at most, and work went on "
            f"after {going_on:.0f} s"
        )

    def end(self, ids: Sequence[str]) -> None:
        """See every request to its end, billed once, and the figures of runs agree. WrongError."""
        self._wait(self._is_done, "not every request is analysed", _END_SECONDS)
        self._wait(lambda: not self._world.ask(SQL["at_work"]), "runs do not end")
        billed = Counter(entry.custom_id for entry in self._server.ledger().entries())
        twice = [one for one in ids if billed[one] != 1]
        if twice:
            raise WrongError(f"not billed once: {twice[:3]}")
        figures = self._world.ask(SQL["figures"])
        for row in figures:
            if row.is_counted and (row.said_sent, row.said_read) != (row.sent, row.read):
                raise WrongError(f"a run says what its batches do not: {row}")
        if sum(row.read for row in figures) != len(ids):
            raise WrongError(f"what runs have read is not the whole: {figures}")

    def by_host(self) -> list[str]:
        """What each host has done; WrongError if one did nothing."""
        rows = self._world.ask(SQL["by_host"])
        idle = set(NAMES) - {row.host for row in rows if row.sent or row.read}
        if idle:
            raise WrongError(f"{', '.join(sorted(idle))} had no part in the work")
        return [f"{row.host}: runs={row.runs} sent={row.sent} read={row.read}" for row in rows]

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

    def _is_done(self) -> bool:
        """Whether nothing is open; while no run is active the lost run's leases are cut short."""
        if not self._world.ask(SQL["at_work"]):
            release(open_engine_for_looks(self._world.url))
        return not self._world.ask(SQL["open_requests"])[0].requests

    @staticmethod
    def _wait(is_so: Callable[[], Any], otherwise: str, seconds: float = _LIMIT_SECONDS) -> Any:
        give_up = time.monotonic() + seconds
        while not (found := is_so()):
            if time.monotonic() > give_up:
                raise WrongError(f"{otherwise}, after {seconds:.0f} s")
            time.sleep(_TICK_SECONDS)
        return found


@contextmanager
def placed(directory: Path, requests: Sequence[Request], a_run: int) -> Iterator[Drill]:
    """The three hosts at work, with these requests waiting, so many for a run; gone afterwards."""
    make_network()
    stack.reset(PROJECT_DIR, name=STACK)
    with ExitStack() as ends:
        ends.callback(stack.reset, PROJECT_DIR, name=STACK)
        local = stack.attach(PROJECT_DIR, name=STACK)
        server = ends.enter_context(running_server(directory / "server"))
        server.set_config({"timing": {"validation_seconds": 0, "processing_seconds": 0}})
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            **SETTINGS,
            "BATCH_RUN_MAX_REQUESTS": str(a_run),
            "DATABASE_URL": f"postgresql://postgres@{ADDRESS}:5432/livedash?sslmode=disable",
        }
        world = ends.enter_context(closing(World(local.database_url)))
        socket = f"{local.database_url.partition('?host=')[2]}/.s.PGSQL.5432"
        api = server.base_url.removeprefix("http://").removesuffix("/v1")
        output = directory / "host-a.log"
        for port, target in ((5432, socket), (8000, api)):
            relay = [sys.executable, "-m", "drills.relay", f"{ADDRESS}:{port}", target]
            ends.enter_context(_running(relay, environment, output))
        _answers(f"http://{ADDRESS}:8000/v1/models", output)
        cli = [sys.executable, "-m", "batch_assets.cli"]
        own = {
            **environment,
            "DAGSTER_HOME": str(directory / "host-a-home"),
            "HOME": str(directory),
        }
        Path(own["DAGSTER_HOME"]).mkdir()
        (Path(own["DAGSTER_HOME"]) / "dagster.yaml").symlink_to(PROJECT_DIR / "dagster.yaml")
        upgrade(local.database_url)
        create_dagster_schema(local.database_url)
        make_dagster_tables(local.database_url)
        world.begin(requests)
        machines = []
        for number, (name, cron) in enumerate(zip(NAMES, SCHEDULES, strict=True), start=2):
            machine = Machine(
                name,
                number,
                [*cli, "code-server", "--host", address_of(number), "--port", str(_PORT)],
                {**environment, "BATCH_SCHEDULE": cron},
                directory / f"{name}.log",
            )
            ends.callback(machine.kill)
            machines.append(machine)
        workspace = directory / "workspace.yaml"
        workspace.write_text(yaml.safe_dump(_workspace(machines)), encoding="utf-8")
        for words in (
            ("daemon", "--workspace", str(workspace)),
            ("webserver", "--workspace", str(workspace), "--port", "3000"),
        ):
            ends.enter_context(_running([*cli, *words], own, output))
        _answers("http://127.0.0.1:3000/server_info", output)
        yield Drill(world, server, machines)


def _workspace(machines: Sequence[Machine]) -> dict[str, Any]:
    return {
        "load_from": [
            {
                "grpc_server": {
                    "host": machine.address,
                    "port": _PORT,
                    "location_name": machine.name,
                }
            }
            for machine in machines
        ]
    }


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], output: Path
) -> Iterator[None]:
    with output.open("ab") as file:
        program = subprocess.Popen(  # noqa: S603 (it is our own)
            command,
            cwd=PROJECT_DIR,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield
    finally:
        program.terminate()
        try:
            program.wait(30)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def _answers(url: str, output: Path) -> None:
    give_up = time.monotonic() + _LIMIT_SECONDS
    while True:
        try:
            httpx2.get(url)
        except httpx2.TransportError:
            if time.monotonic() > give_up:
                raise WrongError(f"{url} does not answer: see {output}") from None
            time.sleep(_TICK_SECONDS)
        else:
            return


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
        given = sys.argv[1:] if arguments is None else [*arguments]
        alone = ["unshare", "--net", "--mount", "--uts", sys.executable, "-m", "drills.hosts"]
        os.execvp(alone[0], [*alone, "--is-alone", *given])  # noqa: S606 (root's PATH is meant)
    # What the hosts say is kept if something is wrong.
    directory = Path(tempfile.mkdtemp(prefix="hosts-"))
    requests = [
        Request(f"hosts-{number}", f"company-{number % options.companies}", MODELS[0])
        for number in range(options.requests)
    ]
    began = time.monotonic()
    try:
        half = len(requests) // 2
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
