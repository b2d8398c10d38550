"""A tick as Dagster evaluates it: it gets its context, and it never ends as an error."""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import TypeVar, cast

import click
import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.display import escaped
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.settings import Settings
from batch_assets.ticks.starting import InstanceRuns, TickContext
from batch_assets.ticks.tick_database import TickDatabase

EvaluationContext = dg.ScheduleEvaluationContext | dg.SensorEvaluationContext
Answer = dg.RunRequest | dg.SensorResult | dg.SkipReason
_Answer = TypeVar("_Answer", bound=Answer)


class TickEvaluator:
    """Evaluates the ticks of a code location's schedules and sensors; made without doing anything.

    It keeps Dagster's instance from tick to tick. Left to itself, Dagster makes one for each, which
    takes five connections and some forty statements before the first run is looked up.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = TickDatabase(settings)
        self._lock = Lock()
        self._instance: dg.DagsterInstance | None = None

    def evaluate(
        self,
        context: EvaluationContext,
        job_name: str,
        evaluate: Callable[[TickContext], _Answer],
    ) -> _Answer | dg.SkipReason:
        """Return what `evaluate` answers to what is to be seen now, or why it could not be seen.

        Whatever text is in it is one line each, in the list of ticks and in the tags of a run.
        """
        return cast("_Answer | dg.SkipReason", _shown(self._answer(context, job_name, evaluate)))

    def _answer(
        self,
        context: EvaluationContext,
        job_name: str,
        evaluate: Callable[[TickContext], _Answer],
    ) -> _Answer | dg.SkipReason:
        try:
            runs = InstanceRuns(self._instance_of(context), job_name)
            return evaluate(TickContext(self.settings, runs, self.database, datetime.now(UTC)))
        except BatchAssetsError as error:
            return dg.SkipReason(str(error))
        except click.ClickException as error:
            # Our class for Dagster's storage says so in one sentence.
            return dg.SkipReason(error.message)
        except (DBAPIError, DagsterPostgresException) as error:
            self._forget_instance()
            return dg.SkipReason(
                f"Dagster's own storage could not be read ({type(error).__name__}): the next tick "
                "tries again."
            )

    def _instance_of(self, context: EvaluationContext) -> dg.DagsterInstance:
        if context.instance_ref is None:
            return context.instance
        with self._lock:
            if self._instance is None:
                self._instance = dg.DagsterInstance.from_ref(context.instance_ref)
            return self._instance

    def _forget_instance(self) -> None:
        with self._lock:
            self._instance = None


def _shown(answer: Answer) -> Answer:
    """The same answer, in text that steers nothing; ours have no other parts than these."""
    if isinstance(answer, dg.SkipReason):
        return dg.SkipReason(escaped(answer.skip_message or ""))
    if isinstance(answer, dg.RunRequest):
        tags = {name: escaped(str(value)) for name, value in answer.tags.items()}
        return dg.RunRequest(run_key=answer.run_key, tags=tags)
    skipped = answer.skip_reason
    return dg.SensorResult(
        run_requests=[cast("dg.RunRequest", _shown(one)) for one in answer.run_requests or ()],
        skip_reason=None if skipped is None else cast("dg.SkipReason", _shown(skipped)),
        cursor=answer.cursor,
    )
