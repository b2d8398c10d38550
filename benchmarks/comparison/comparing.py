"""Runs every stage of every implementation, each on a clone of the same database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.comparison.api_server import api_server
from benchmarks.comparison.databases import Clone, Databases
from benchmarks.comparison.floor import FLOOR, run_floor
from benchmarks.comparison.job import run_job
from benchmarks.comparison.measurements import Measurement
from benchmarks.comparison.opening import OPTIMIZED, Environment, environment
from benchmarks.comparison.own_process import in_own_process
from benchmarks.comparison.peer import Prompts, keep_prompts, run_peer
from benchmarks.comparison.peer_environment import PEER
from benchmarks.comparison.scenarios import Scenario
from benchmarks.comparison.usage import Usage
from benchmarks.comparison.worker import run_stage


class Comparison:
    """Measures on databases that are seeded with the scenario's size; its files are in `directory`.

    The peer needs the interpreter of its environment.
    """

    def __init__(
        self,
        databases: Databases,
        scenario: Scenario,
        directory: Path,
        peer: Path | None = None,
    ) -> None:
        self._databases = databases
        self._scenario = scenario
        self._size = scenario.size
        self._directory = directory
        self._peer = peer
        self._prompts: Prompts | None = None

    def everything(self) -> Iterator[Measurement]:
        """All that is measured at a size, as it comes: round by round, so that what the machine
        does meanwhile meets all of them."""
        for number in range(max(self._scenario.runs.values())):
            for implementation, runs in self._scenario.runs.items():
                if number < runs:
                    yield from self._run(implementation)

    def _run(self, implementation: str) -> Iterator[Measurement]:
        if implementation == "floor":
            yield from self.floor()
        elif implementation == PEER:
            yield from self.peer()
        else:
            if not self._scenario.only_total:
                yield from self.stages(implementation)
            yield from self.total(implementation)
            if not self._scenario.only_total:
                yield from self.job(implementation)

    def stages(self, implementation: str) -> Iterator[Measurement]:
        """Each stage in a process of its own, and then a pass with nothing to do."""
        with self._world(implementation) as world:
            for stage in ("create", "check", "ingest"):
                yield world.measure(stage, partial(run_stage, stage))
            world.run("delete")
            yield world.measure("idle", partial(run_stage, "idle"))
            world.clone.require_analysed(waves=1)

    def total(self, implementation: str) -> Iterator[Measurement]:
        """Create, check, ingest and delete in one process."""
        with self._world(implementation) as world:
            yield world.measure("total", partial(run_stage, "total"))
            world.clone.require_analysed(waves=1)

    def job(self, implementation: str) -> Iterator[Measurement]:
        """Dagster's job: once with as much to read as to submit, and once with nothing to do.

        What the first reads was submitted before, and what it submits is read before the second,
        unmeasured.
        """
        with self._world(implementation) as world:
            world.run("create")
            world.clone.add_wave(2)
            yield world.measure("job_busy", partial(run_job, self._new_directory()))
            world.clone.require_analysed(waves=1)
            world.run("check")
            world.run("ingest")
            world.run("delete")
            yield world.measure("job_idle", partial(run_job, self._new_directory()))
            world.clone.require_analysed(waves=2)

    def floor(self) -> Iterator[Measurement]:
        """The same rows through bare SQL."""
        directory = self._new_directory()
        with self._databases.clone(self._size) as clone:
            for stage in FLOOR:
                with self._databases.counting() as counted:
                    usage = in_own_process(run_floor, stage, clone.url, directory)
                yield Measurement(stage, "floor", self._size, counted[0], usage)
            clone.require_analysed(waves=1)

    def peer(self) -> Iterator[Measurement]:
        """The same prompts through the peer, from a file to a file; without its interpreter none.

        It keeps its records in the clone, and changes no row of LiveDash's.
        """
        if self._peer is None:
            return
        if self._prompts is None:
            self._prompts = self._prepared_prompts()
        directory = self._new_directory()
        with (
            self._databases.clone(self._size) as clone,
            api_server(self._size) as base_url,
        ):
            with self._databases.counting() as counted:
                usage = run_peer(self._peer, self._prompts, clone.url, base_url, directory)
            yield Measurement("total", PEER, self._size, counted[0], usage)

    def _prepared_prompts(self) -> Prompts:
        with self._world("optimized") as world:
            world.run("create")
            path = self._new_directory() / "prompts.jsonl"
            return keep_prompts(world.environ["OPENAI_BASE_URL"], path)

    @contextmanager
    def _world(self, implementation: str) -> Iterator["_World"]:
        directory = self._new_directory()
        with (
            self._databases.clone(self._size) as clone,
            api_server(self._size) as base_url,
        ):
            environ = environment(clone, base_url, directory / "spool", implementation)
            yield _World(self._databases, clone, implementation, environ)

    def _new_directory(self) -> Path:
        return Path(mkdtemp(dir=self._directory))


@dataclass(frozen=True, slots=True)
class _World:
    """A database and a server on which one implementation runs."""

    databases: Databases
    clone: Clone
    implementation: str
    environ: Environment

    def run(self, stage: str) -> None:
        """Run a stage that is only a preparation; both implementations leave the same rows."""
        in_own_process(run_stage, stage, {**self.environ, **OPTIMIZED})

    def measure(self, stage: str, work: Callable[[Environment], Usage]) -> Measurement:
        """Do the work in a process of its own."""
        with self.databases.counting() as counted:
            usage = in_own_process(work, self.environ)
        return Measurement(stage, self.implementation, self.clone.size, counted[0], usage)
