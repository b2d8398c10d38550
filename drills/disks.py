"""`make full-disks`: disks of a run fill up, or take no changes, and are mended again.

The database and the spool each lie on a file system in memory, which only root can mount; nobody
else sees it, since the command runs in a mount namespace of its own. In each situation a run fails
with sentences alone; once there is room again, the next runs bring every request to its end, and
none is billed twice.
"""

import argparse
import errno
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrate import upgrade
from batch_assets.store.sql import load
from batch_assets_local import paths, stack
from batch_assets_local.batch_server import RunningServer, running_server
from drills.story import MODELS, Request
from drills.world import World

STACK: Final = "full-disks"
REQUESTS: Final = 40
_DATABASE_MB: Final = 160
_SPOOL_MB: Final = 16
_BLOCK: Final = 65_536
_WITHIN_SECONDS: Final = 300.0
_NO_SENTENCE: Final = ("Traceback", "[SQL", "Error)", 'File "')
KILLS: Final = load(Path(__file__).with_name("kills.sql"))


@dataclass(frozen=True)
class Situation:
    """What happens to a disk, and when."""

    name: str
    says: str
    """What the sentence has in it."""
    disk: str
    """`database` or `spool`."""
    is_full: bool = True
    """Or it takes no changes."""
    is_sent: bool = False
    """Whether the requests are on the server by then, and their results have to be read."""
    in_the_run: bool = False
    """Whether it happens once the run has begun, which may find room enough all the same."""


SITUATIONS: Final = (
    Situation("the database's disk is full", "no room left on its disk", "database"),
    Situation("it fills up in a run", "no room left on its disk", "database", in_the_run=True),
    Situation("it is full when results come", "no room left on its disk", "database", is_sent=True),
    Situation("the spool's disk is full", "spool directory", "spool"),
    Situation("the spool's disk takes no changes", "spool directory", "spool", is_full=False),
)


class WrongError(Exception):
    """Something came out as it should not; the message says what."""


class Drill:
    """One database and one spool on disks of their own, and a server."""

    def __init__(self, disks: Mapping[str, Path], url: str, server: RunningServer) -> None:
        self._disks = disks
        self._server = server
        self._world = World(url)
        self._environment = {
            **os.environ,
            "DATABASE_URL": url,
            "OPENAI_API_KEY": "sk-drill-0123456789",
            "OPENAI_BASE_URL": server.base_url,
            "BATCH_SPOOL_DIR": str(disks["spool"] / "spool"),
            "BATCH_MAX_WAIT_MINUTES": "0",
        }

    def play(self, situation: Situation) -> None:
        """Let it happen to a run, mend it, and see every request to its end. WrongError."""
        ids = [f"{situation.name}-{number}" for number in range(REQUESTS)]
        self._world.begin([Request(one, "company", MODELS[0]) for one in ids])
        if situation.is_sent:
            self._run_well()
        run = self._start() if situation.in_the_run else None
        with self._troubled(situation):
            _require_sentence(*self._outcome(run or self._start()), situation)
        self._wait(lambda: self._world.rows("buckets"))
        for _ in range(3):
            self._run_well()
        complete = {row.id for row in self._world.rows("buckets") if row.buckets == ["complete"]}
        billed = Counter(entry.custom_id for entry in self._server.ledger().entries())
        lost = [one for one in ids if one not in complete]
        twice = [one for one in ids if billed[one] > 1]
        if lost or twice:
            raise WrongError(f"not complete: {lost[:3]}; billed twice: {twice[:3]}")

    def close(self) -> None:
        """Give its connection back."""
        self._world.close()

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "batch_assets.cli", "run"],
            cwd=PROJECT_DIR,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def _outcome(run: "subprocess.Popen[str]") -> tuple[int, str]:
        _, said = run.communicate(timeout=_WITHIN_SECONDS)
        return run.returncode, said

    def _run_well(self) -> None:
        code, said = self._outcome(self._start())
        if code != 0:
            raise WrongError(f"a run on sound disks ended with {code}, and said: {said}")

    @contextmanager
    def _troubled(self, situation: Situation) -> Iterator[None]:
        disk = self._disks[situation.disk]
        if not situation.is_full:
            _call("mount", "-o", "remount,ro", disk)
            try:
                yield
            finally:
                _call("mount", "-o", "remount,rw", disk)
            return
        if situation.in_the_run:
            self._wait(lambda: self._world.ask(KILLS["open_runs"]))
        ballast = disk / "ballast"
        try:
            _fill(ballast)
            yield
        finally:
            ballast.unlink()

    def _wait(self, is_so: Callable[[], object]) -> None:
        """Until it is so; PostgreSQL that could not write starts anew meanwhile."""
        give_up = time.monotonic() + _WITHIN_SECONDS
        while True:
            try:
                if is_so():
                    return
            except DBAPIError:
                self._world.close()
            if time.monotonic() > give_up:
                raise WrongError(f"the database did not come back in {_WITHIN_SECONDS:.0f} s")
            time.sleep(0.1)


def _require_sentence(code: int, said: str, situation: Situation) -> None:
    may_succeed = situation.in_the_run
    if not (may_succeed if code == 0 else situation.says in said):
        raise WrongError(f"the run ended with {code}, and said: {said}")
    found = [one for one in _NO_SENTENCE if one in said]
    if found:
        raise WrongError(f"{found} in what the run said: {said}")


def _fill(path: Path) -> None:
    """Write to a file until its disk has no room left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(_BLOCK))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _call(*command: str | Path) -> None:
    subprocess.run(command, check=True)  # noqa: S603 (what root has in its PATH is meant)


@contextmanager
def _disk(path: Path, megabytes: int, mode: str) -> Iterator[Path]:
    """A file system in memory, mounted there."""
    path.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode={mode}"
    _call("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)
    try:
        yield path
    finally:
        _call("umount", path)


@contextmanager
def placed(directory: Path) -> Iterator[Drill]:
    """A drill with its disks, its database and its server, which are gone afterwards."""
    stack.reset(PROJECT_DIR, name=STACK)
    home = paths.postgres_home(paths.make_state_dir(PROJECT_DIR, STACK))
    with (
        _disk(home, _DATABASE_MB, "755"),
        _disk(directory / "disk", _SPOOL_MB, "700") as spool,
        running_server(directory / "server") as server,
    ):
        try:
            url = stack.attach(PROJECT_DIR, name=STACK).database_url
            upgrade(url)
            create_dagster_schema(url)
            server.set_config({"timing": {"validation_seconds": 0, "processing_seconds": 0}})
            with closing(Drill({"database": home, "spool": spool}, url, server)) as drill:
                yield drill
        finally:
            stack.stop(PROJECT_DIR, name=STACK)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play every situation; 0 if each was said, and nothing was lost or bought twice."""
    parser = argparse.ArgumentParser(prog="make full-disks", description=__doc__)
    parser.add_argument("--is-alone", action="store_true", help="in its own mount namespace")
    if os.geteuid() != 0:
        _show("make full-disks mounts file systems in memory, as only root may: run it as root.")
        return 2
    if not parser.parse_args(arguments).is_alone:
        alone = ["unshare", "--mount", sys.executable, "-m", "drills.disks", "--is-alone"]
        os.execvp(alone[0], alone)  # noqa: S606 (what root has in its PATH is meant)
    failed = 0
    try:
        with tempfile.TemporaryDirectory() as directory, placed(Path(directory)) as drill:
            for situation in SITUATIONS:
                try:
                    drill.play(situation)
                    _show(f"ok    {situation.name}")
                except WrongError as error:
                    failed += 1
                    _show(f"WRONG {situation.name}: {error}")
    except BatchAssetsError as error:
        _show(str(error))
        return error.exit_code
    finally:
        stack.reset(PROJECT_DIR, name=STACK)
    _show(f"situations={len(SITUATIONS)} wrong={failed}")
    return 1 if failed else 0


def _show(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (what `make full-disks` is for)


if __name__ == "__main__":
    sys.exit(main())
