"""Runs every stage of every implementation, each on a clone of the same database."""

from collections.abc import Callable, Iterator, Sequence
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
from benchmarks.comparison.opening import IMPLEMENTATIONS, OPTIMIZED, Environment, environment
from benchmarks.comparison.own_process import in_own_process
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.usage import Usage
from benchmarks.comparison.worker import run_stage


class Comparison:
    """Measures on databases that are seeded with `size`; its files are in `directory`."""

    def __init__(
        self,
        databases: Databases,
        size: Size,
        directory: Path,
        implementations: Sequence[str] = tuple(IMPLEMENTATIONS),
    ) -> None:
        self._databases = databases
        self._size = size
        self._directory = directory
        self._implementations = implementations

    def everything(self) -> Iterator[Measurement]:
        """All that is measured at a size, as it comes."""
        for implementation in self._implementations:
            yield from self.stages(implementation)
            yield from self.total(implementation)
            yield from self.job(implementation)
        yield from self.floor()

    def stages(self, implementation: str) -> Iterator[Measurement]:
        """Each stage in a process of its own, and then a pass with nothing to do."""
        with self._world(implementation) as world:
            for stage in ("create", "check", "ingest", "idle"):
                yield world.measure(stage, partial(run_stage, stage))
            world.clone.require_analysed(waves=1)

    def total(self, implementation: str) -> Iterator[Measurement]:
        """Create, check and ingest in one process."""
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
