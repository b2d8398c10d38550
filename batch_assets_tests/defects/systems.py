"""The two systems that a defect is looked for in, by what they have in common."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from batch_assets.domain.errors import ApiError
from batch_assets.stages.plan import find_due
from batch_assets.stages.submit import submit_due
from batch_assets_tests.stages.support import Lab, plenty


class System(Protocol):
    """One process of a system: its four timers, each of which can be let tick."""

    def create(self) -> None: ...

    def create_for(self, company_id: str) -> None:
        """For a company that counts as active, whether or not it still is."""

    def check(self) -> None: ...

    def process(self) -> None: ...

    def retry(self) -> None: ...


@dataclass(frozen=True)
class OurSystem:
    """Our stages, as the two branches of the job call them; a run that fails has a next one."""

    lab: Lab

    def create(self) -> None:
        self._run(self.lab.recover)
        self._run(self.lab.submit)

    def create_for(self, company_id: str) -> None:
        seen = self.lab.pipeline.read_snapshot()
        find_due(self.lab.pipeline, seen, [company_id])
        self._run(lambda: submit_due(self.lab.pipeline, seen, [company_id], plenty()))

    def check(self) -> None:
        self._run(self.lab.poll)

    def process(self) -> None:
        self._run(self.lab.ingest)
        self._run(self.lab.clean)

    def retry(self) -> None:
        self._run(self.lab.retry)

    def _run(self, stage: Callable[[], object]) -> None:
        with suppress(ApiError, SQLAlchemyError):
            stage()
