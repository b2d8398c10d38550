"""A tick as Dagster evaluates it: it gets its view, and it never ends as an error."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import click
import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.settings import Settings
from batch_assets.ticks.lookout import Lookout
from batch_assets.ticks.runs import InstanceRuns
from batch_assets.ticks.starting import View

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Post:
    """What the schedules and sensors of a code location stand on; made without doing anything."""

    settings: Settings
    lookout: Lookout

    def evaluate(
        self,
        context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext,
        job: dg.JobDefinition,
        tick: Callable[[View], _Answer],
    ) -> _Answer | dg.SkipReason:
        """What `tick` answers to what is to be seen now, or why it could not be seen."""
        try:
            runs = InstanceRuns(context.instance, job.name)
            return tick(View(self.settings, runs, self.lookout, datetime.now(UTC)))
        except BatchAssetsError as error:
            return dg.SkipReason(str(error))
        except click.ClickException as error:
            # Our class for Dagster's storage says so in one sentence.
            return dg.SkipReason(error.message)
        except (DBAPIError, DagsterPostgresException) as error:
            return dg.SkipReason(
                f"Dagster's own storage could not be read ({type(error).__name__}): the next tick "
                "tries again."
            )
