"""A tick as Dagster evaluates it: it gets its context, and it never ends as an error."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import TypeVar, cast

import click
import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.display import escaped
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.resources.run_executor import partition_tags
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
        self._databases = {
            name: TickDatabase(settings.of_account(name)) for name in settings.account_names
        }
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

    def evaluate_each(
        self,
        context: dg.ScheduleEvaluationContext,
        job_name: str,
        evaluate: Callable[[TickContext], dg.RunRequest | dg.SkipReason],
    ) -> Sequence[dg.RunRequest | dg.SkipReason]:
        """The same for a job that has a partition for each account, where there are several.

        What keeps one account from being looked at keeps no other one.
        """
        if len(self._databases) == 1:
            return [self.evaluate(context, job_name, evaluate)]
        requests: list[dg.RunRequest] = []
        reasons: list[str] = []
        for name in self._databases:
            answer = _shown(self._answer(context, job_name, evaluate, name))
            if isinstance(answer, dg.RunRequest):
                requests.append(_of_account(name, answer))
            else:
                reasons.append(f"{name}: {_reason_of(answer)}")
        return requests or [dg.SkipReason(" ".join(reasons))]

    def sense(
        self,
        context: dg.SensorEvaluationContext,
        job_name: str,
        evaluate: Callable[[TickContext, str | None], dg.SensorResult | dg.SkipReason],
    ) -> dg.SensorResult | dg.SkipReason:
        """Evaluate a sensor's tick for each account; each is given what it has left to itself.

        Where there are several, the cursor is a JSON object of theirs.
        """
        if len(self._databases) == 1:
            return self.evaluate(context, job_name, lambda tick: evaluate(tick, context.cursor))
        cursors = _cursors_in(context.cursor)
        requests: list[dg.RunRequest] = []
        reasons: list[str] = []
        for name in self._databases:
            its = partial(_with_cursor, evaluate, cursors.get(name))
            answer = _shown(self._answer(context, job_name, its, name))
            if isinstance(answer, dg.SensorResult):
                requests += [_of_account(name, one) for one in answer.run_requests or ()]
                cursors[name] = answer.cursor
            if not (isinstance(answer, dg.SensorResult) and answer.run_requests):
                reasons.append(f"{name}: {_reason_of(answer)}")
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(" ".join(reasons)),
            cursor=json.dumps(cursors),
        )

    def _answer(
        self,
        context: EvaluationContext,
        job_name: str,
        evaluate: Callable[[TickContext], _Answer],
        account_name: str = DEFAULT_ACCOUNT,
    ) -> _Answer | dg.SkipReason:
        try:
            tags = partition_tags(account_name) if len(self._databases) > 1 else {}
            runs = InstanceRuns(self._instance_of(context), job_name, tags=tags)
            settings = self.settings.of_account(account_name)
            database = self._databases[account_name]
            return evaluate(TickContext(settings, runs, database, datetime.now(UTC)))
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


def _with_cursor(
    evaluate: Callable[[TickContext, str | None], dg.SensorResult | dg.SkipReason],
    cursor: str | None,
    tick: TickContext,
) -> dg.SensorResult | dg.SkipReason:
    return evaluate(tick, cursor)


def _of_account(name: str, request: dg.RunRequest) -> dg.RunRequest:
    """The run of one account, which no request for another one takes for its own."""
    run_key = f"{name}-{request.run_key or 'run'}"
    return dg.RunRequest(run_key=run_key, tags=request.tags, partition_key=name)


def _reason_of(answer: Answer) -> str:
    skipped = answer.skip_reason if isinstance(answer, dg.SensorResult) else answer
    return (skipped.skip_message or "") if isinstance(skipped, dg.SkipReason) else ""


def _cursors_in(text: str | None) -> dict[str, str | None]:
    """What each account's tick has left; nothing if that was one of a single account."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
