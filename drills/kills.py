"""`make kills`: kills processes of `batch-assets dev`, and sees that work goes on.

Each time some of its processes, drawn at random, get a SIGKILL at one moment while a run is under
way: of Dagster, of the local stack, and `batch-assets dev` itself. What does not come back alone is
started again as its user would do it: by `batch-assets dev`. Then a request that came in after the
kill has to be sent within two minutes, and the record of the run be closed. In the end every
request is analysed, and none was billed twice.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx2
from sqlalchemy.exc import DBAPIError

from batch_assets.project_files import PROJECT_DIR
from batch_assets.store.engine import open_engine_for_looks
from batch_assets.store.sql import load
from batch_assets.wiring import connect_local
from batch_assets_local import stack, state_file
from batch_assets_local.demo_data import release
from drills.dev import ROLES, Dev
from drills.story import Request
from drills.world import World

SQL = load(Path(__file__).with_suffix(".sql"))

STACK: Final = "kills"
SETTINGS: Final[Mapping[str, str]] = {
    "BATCH_BACKLOG_CHECK_SECONDS": "5",
    "BATCH_COMPLETION_CHECK_SECONDS": "5",
    "BATCH_MAX_WAIT_MINUTES": "0",
    "BATCH_ABSENCE_GRACE_SECONDS": "1",
    "BATCH_RETRY_BASE_SECONDS": "2",
    "COMPANY_CACHE_SECONDS": "0",
}
"""What comes in is sent as soon as a sensor sees it."""
LIMIT_SECONDS: Final = 120.0
_START_SECONDS: Final = 120.0
_END_SECONDS: Final = 600.0
_TICK_SECONDS: Final = 0.5


class Lost(Exception):  # noqa: N818 (it is a verdict)
    """Something did not go on; the message says what."""


class Away(Exception):  # noqa: N818 (it is no error)
    """The database is nowhere at this moment."""


class Drill:
    """One `batch-assets dev`, whose processes are killed again and again."""

    def __init__(self, dev: Dev, chance: random.Random, show: Callable[[str], object]) -> None:
        self._dev = dev
        self._chance = chance
        self._show = show
        self._added = 0
        self._kept: World | None = None

    def begin(self) -> None:
        """Start it, on an empty database."""
        world = World(connect_local(self._dev.stack_name).database_url)
        world.begin(())
        world.close()
        self._dev.start()
        self._wait(self._dev.is_open, _START_SECONDS, "the UI does not open")

    def kill_once(self, roles: Sequence[str] = ()) -> float:
        """Kill processes of these roles, or of some; how many seconds until work went on."""
        self._add()
        self._wait(lambda: self._dev.of_role("worker"), LIMIT_SECONDS, "no run is started")
        time.sleep(self._chance.uniform(0, 3))
        drawn = self._chance.sample(ROLES, self._chance.randint(1, len(ROLES)))
        dead = self._runs()
        killed = self._dev.kill(roles or drawn)
        began = time.monotonic()
        request_id = self._add()
        what = f"after {', '.join(killed)} were killed"
        self._wait(
            lambda: request_id not in self._unsent(), LIMIT_SECONDS, f"{what} nothing goes on"
        )
        seconds = time.monotonic() - began
        left = LIMIT_SECONDS - seconds
        self._wait(lambda: not set(dead) & set(self._runs()), left, f"{what} {dead} stay open")
        closed = time.monotonic() - began
        self._show(f"{seconds:4.0f} s, closed after {closed:4.0f} s: {', '.join(killed)}")
        return max(seconds, closed)

    def end(self) -> None:
        """See that everything has come to its end, and that nothing was bought twice."""
        self._wait(self._is_done, _END_SECONDS, "not every request is analysed")
        server = connect_local(self._dev.stack_name).base_url.removesuffix("/v1")
        twice = httpx2.get(f"{server}/_local/summary").json()["billed_more_than_once"]
        if twice:
            raise Lost(f"billed twice: {twice}")

    def close(self) -> None:
        """Give its connection back."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _add(self) -> str:
        """A request of a company of its own, which is due at once."""
        self._added += 1
        one = Request(f"kills-{self._added}", f"company-{self._added}", "gpt-4o-mini")

        def add() -> bool:
            if not self._world.ask(SQL["company"], company_id=one.company_id):
                self._world.do("companies", company_ids=[one.company_id])
                self._world.add([one])
            return True

        self._wait(add, LIMIT_SECONDS, "the database does not come back")
        return one.id

    @property
    def _world(self) -> World:
        """The database where it is now; nothing is started for it."""
        kept = state_file.read(self._dev.state_dir)
        if kept is None:
            raise Away
        if self._kept is None or self._kept.url != kept.database_url:
            self.close()
            self._kept = World(kept.database_url)
        return self._kept

    def _unsent(self) -> list[str]:
        return [row.id for row in self._world.ask(SQL["unsent_requests"])]

    def _runs(self) -> list[str]:
        return [row.run_id for row in self._world.ask(SQL["open_runs"])]

    def _is_done(self) -> bool:
        if not self._runs():
            release(open_engine_for_looks(self._world.url))
        return not self._world.ask(SQL["open_requests"])

    def _wait(self, is_so: Callable[[], object], seconds: float, otherwise: str) -> None:
        give_up = time.monotonic() + seconds
        while True:
            try:
                if is_so():
                    return
            except DBAPIError:
                self.close()
            except Away:
                pass
            if self._dev.has_ended:
                self._dev.start()
            if time.monotonic() > give_up:
                raise Lost(f"{otherwise}, after {seconds:.0f} s")
            time.sleep(_TICK_SECONDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill as often as asked; 0 if work went on each time, and nothing was lost or bought twice."""
    parser = argparse.ArgumentParser(prog="make kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how often")
    parser.add_argument("--seed", type=int, default=1, help="another one draws others")
    parser.add_argument("--roles", nargs="+", choices=ROLES, default=(), help="always these")
    options = parser.parse_args(arguments)
    stack.reset(PROJECT_DIR, name=STACK)
    with tempfile.NamedTemporaryFile(prefix="kills-", suffix=".log", delete=False) as output:
        dev = Dev(PROJECT_DIR, STACK, Path(output.name), SETTINGS)
    drill = Drill(dev, random.Random(options.seed), _show)  # noqa: S311 (it draws what to kill)
    try:
        drill.begin()
        seconds = [drill.kill_once(options.roles) for _ in range(options.kills)]
        drill.end()
    except Lost as lost:
        _show(f"{lost} (see {dev.output})")
        return 1
    finally:
        drill.close()
        dev.stop()
    _show(f"kills={len(seconds)} longest={max(seconds):.0f}s lost=0 billed_twice=0")
    return 0


def _show(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (what `make kills` is for)


if __name__ == "__main__":
    sys.exit(main())
