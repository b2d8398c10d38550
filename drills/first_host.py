"""The host of a drill of several: database, API server, and what else is started there."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from batch_assets.project_files import PROJECT_DIR
from batch_assets.resources.dagster_storage import make_dagster_tables
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.engine import open_engine_for_looks
from batch_assets.store.migrate import upgrade
from batch_assets.store.sql import load
from batch_assets_local import stack
from batch_assets_local.batch_server import RunningServer, running_server
from batch_assets_local.demo_data import release
from drills.machines import ADDRESS, make_network
from drills.world import World

SQL: Final = load(Path(__file__).with_name("hosts.sql"))
CLI: Final = (sys.executable, "-m", "batch_assets.cli")
SETTINGS: Final[Mapping[str, str]] = {
    "OPENAI_API_KEY": "sk-drill-0123456789",
    "OPENAI_BASE_URL": f"http://{ADDRESS}:8000/v1",
    "DATABASE_URL": f"postgresql://postgres@{ADDRESS}:5432/livedash?sslmode=disable",
    "BATCH_MAX_WAIT_MINUTES": "0",
    "BATCH_ABSENCE_GRACE_SECONDS": "1",
}
LIMIT_SECONDS: Final = 300.0
_TICK_SECONDS: Final = 0.25


class WrongError(Exception):
    """Something came out as it should not; the message says what."""


@dataclass(frozen=True)
class FirstHost:
    """What is shared, and this host's own programs."""

    world: World
    server: RunningServer
    directory: Path
    environment: Mapping[str, str]
    """Every host's, with nothing in it that is a host's own."""
    _ends: ExitStack

    @property
    def own(self) -> dict[str, str]:
        """This host's environment."""
        home = self.directory / "dagster"
        return {**self.environment, "DAGSTER_HOME": str(home), "HOME": str(self.directory)}

    @property
    def output(self) -> Path:
        """What its programs say."""
        return self.directory / "host-a.log"

    def start(self, *command: str) -> None:
        """Start a program, which is ended when the drill is."""
        self._ends.enter_context(_running(command, self.own, self.output))

    def await_answer(self, url: str) -> None:
        """Return once something answers there. WrongError."""

        def answers() -> bool:
            try:
                httpx2.get(url)
            except httpx2.TransportError:
                return False
            return True

        wait(answers, f"{url} does not answer")

    def is_done(self) -> bool:
        """Whether nothing is open; while no run is active, leases of lost runs are cut short."""
        if not self.world.ask(SQL["at_work"]):
            release(open_engine_for_looks(self.world.url))
        return not self.world.ask(SQL["open_requests"])[0].requests

    def require_all_well(self, ids: Sequence[str]) -> None:
        """See that each was billed once, and that the figures of runs agree. WrongError."""
        billed = Counter(entry.custom_id for entry in self.server.ledger().entries())
        not_once = [one for one in ids if billed[one] != 1]
        if not_once:
            raise WrongError(f"not billed once: {not_once[:3]}")
        figures = self.world.ask(SQL["figures"])
        for row in figures:
            if row.is_counted and (row.said_sent, row.said_read) != (row.sent, row.read):
                raise WrongError(f"a run says what its batches do not: {row}")
        if sum(row.read for row in figures) != len(ids):
            raise WrongError(f"what runs have read is not the whole: {figures}")


@contextmanager
def first_host(
    directory: Path, stack_name: str, settings: Mapping[str, str]
) -> Iterator[FirstHost]:
    """This process's namespaces as a host, with an empty database; all is gone afterwards."""
    make_network()
    stack.reset(PROJECT_DIR, name=stack_name)
    with ExitStack() as ends:
        ends.callback(stack.reset, PROJECT_DIR, name=stack_name)
        url = stack.attach(PROJECT_DIR, name=stack_name).database_url
        upgrade(url)
        create_dagster_schema(url)
        make_dagster_tables(url)
        server = ends.enter_context(running_server(directory / "server"))
        server.set_config({"timing": {"validation_seconds": 0, "processing_seconds": 0}})
        inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        host = FirstHost(
            ends.enter_context(closing(World(url))),
            server,
            directory,
            {**inherited, **SETTINGS, **settings},
            ends,
        )
        home = directory / "dagster"
        home.mkdir()
        (home / "dagster.yaml").symlink_to(PROJECT_DIR / "dagster.yaml")
        socket = f"{url.partition('?host=')[2]}/.s.PGSQL.5432"
        api = server.base_url.removeprefix("http://").removesuffix("/v1")
        for port, target in ((5432, socket), (8000, api)):
            host.start(sys.executable, "-m", "drills.relay", f"{ADDRESS}:{port}", target)
        host.await_answer(f"http://{ADDRESS}:8000/v1/models")
        yield host


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


def wait(is_so: Callable[[], Any], otherwise: str, seconds: float = LIMIT_SECONDS) -> Any:
    """Return what is so once something is. WrongError."""
    give_up = time.monotonic() + seconds
    while not (found := is_so()):
        if time.monotonic() > give_up:
            raise WrongError(f"{otherwise}, after {seconds:.0f} s")
        time.sleep(_TICK_SECONDS)
    return found


def be_alone(module: str, arguments: Sequence[str] | None) -> None:
    """Begin again as the first host, with a network, mounts and a name of its own."""
    given = sys.argv[1:] if arguments is None else [*arguments]
    alone = ["unshare", "--net", "--mount", "--uts", sys.executable, "-m", module, "--is-alone"]
    os.execvp(alone[0], [*alone, *given])  # noqa: S606 (what root has in its PATH is meant)
