"""A run as soon as a batch has ended on the server, without waiting for the schedule.

While batches are in flight one page of the server's list is read in each tick, from the newest on;
the next tick goes on where that page ends, until the oldest batch in flight is passed. Nothing is
kept of what is seen but in the cursor: a run asks for itself.

The cursor holds the batch at which the next page begins, and of which ended batches the last run
that was asked for was told: two short texts. The run key is made from these batches' ids, so that
the same ones never start a second run.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batch_assets.domain.breakers import Breaker, BreakerState
from batch_assets.domain.display import plural
from batch_assets.domain.errors import ApiError
from batch_assets.domain.records import RemoteBatch
from batch_assets.domain.states import SERVER_ENDED
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.listings import NO_TIME, is_older
from batch_assets.openai_batch.operations import Operation, Timeouts
from batch_assets.ops.failures import api_sentence
from batch_assets.stages.remote_ids import CLOCK_MARGIN
from batch_assets.store.watching import Watching
from batch_assets.ticks.evaluator import TickEvaluator
from batch_assets.ticks.starting import TickContext, why_no_run
from batch_assets.wiring import Endpoints

NAME = "completion_sensor"

_TIMEOUTS: Final = Timeouts(connect=5, read=15, reading=30)
"""Dagster gives up an evaluation after a minute."""
_TAKES: Final = {Operation.LIST_BATCHES: "list batches", Operation.DOWNLOAD_FILE: "give results"}
"""What the sensor, and a run that it starts, asks of the API."""


class Cursor(BaseModel):
    """What one tick leaves to the next."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: str | None = Field(default=None, max_length=200)
    """The batch of the server's list after which the next page begins; `None`: at the newest."""
    run_key: str | None = Field(default=None, max_length=200)

    @classmethod
    def read(cls, text: str | None) -> Self:
        """The cursor of the tick before; a new one if there is none that can be read."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A page of the server's list, newest first; `is_last`: there is no other one."""

    batches: Sequence[RemoteBatch]
    is_last: bool
    clock_ahead: timedelta = NO_TIME
    """How far the server's clock is ahead of ours."""

    def next_after(self, oldest_at: datetime) -> str | None:
        """Where the next page begins, unless this one has passed the oldest batch in flight."""
        if self.is_last or not self.batches:
            return None
        last = self.batches[-1]
        is_passed = is_older(last, oldest_at - CLOCK_MARGIN, self.clock_ahead)
        return None if is_passed else last.id


ReadPage = Callable[[Endpoints, str | None], BatchPage]
"""Reads the page that begins after a batch, or the first; raises `ApiError`."""


class ServerList:
    """The server's list of batches, a page at a time.

    It keeps its client from tick to tick: making one takes longer than the call.
    """

    def __init__(self) -> None:
        self._endpoints: Endpoints | None = None
        self._api: BatchApi | None = None

    def page(self, endpoints: Endpoints, after: str | None) -> BatchPage:
        """See `ReadPage`; one call, which is not repeated."""
        api = self._client(endpoints)
        batches, has_more = api.page_of_batches(after)
        return BatchPage(batches, is_last=not has_more, clock_ahead=api.clock_ahead)

    def close(self) -> None:
        """Give all connections back."""
        if self._api is not None:
            self._api.close()

    def _client(self, endpoints: Endpoints) -> BatchApi:
        if self._api is None or endpoints != self._endpoints:
            self.close()
            self._api = BatchApi(
                endpoints.api_key,
                endpoints.base_url,
                profile=endpoints.profile,
                project=endpoints.project,
                timeouts=_TIMEOUTS,
                reading_retries=0,
            )
            self._endpoints = endpoints
        return self._api


def refusal_of(breakers: Sequence[Breaker]) -> str | None:
    """Why the API is let alone: the trial of a breaker that is not closed is a run's to make."""
    for breaker in breakers:
        if breaker.state is not BreakerState.CLOSED and breaker.operation in _TAKES:
            does = _TAKES[Operation(breaker.operation)]
            return f"The API is not asked to {does} now: {breaker.refusal}."
    return None


def ended_in(page: BatchPage) -> list[str]:
    """Which batches of a page can be read; a completed one may lack its files for a while."""
    return [
        batch.id
        for batch in page.batches
        if batch.status in SERVER_ENDED and (batch.has_files or batch.status != "completed")
    ]


def decide(batches: int, ended: Sequence[str], cursor: Cursor) -> dg.SensorResult:
    """Start a run for the batches in flight that have ended, once."""
    if not ended:
        in_flight = plural(batches, "batch is", "batches are")
        return dg.SensorResult(
            skip_reason=f"{in_flight} in flight; this page of the server's list shows none ended.",
            cursor=cursor.model_dump_json(),
        )
    said = plural(len(ended), "batch has ended", "batches have ended")
    digest = hashlib.md5("\n".join(sorted(ended)).encode(), usedforsecurity=False).hexdigest()
    run_key = f"ended-{digest}"
    if run_key == cursor.run_key:
        return dg.SensorResult(
            skip_reason=f"A run was started for this already ({said}); the schedule goes on.",
            cursor=cursor.model_dump_json(),
        )
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=run_key, tags={"batch_assets/reason": said})],
        cursor=cursor.model_copy(update={"run_key": run_key}).model_dump_json(),
    )


def evaluate(
    tick: TickContext, text: str | None, read_page: ReadPage
) -> dg.SensorResult | dg.SkipReason:
    """Evaluate one tick.

    One statement while nothing is in flight; else one call as well, and one statement more if
    anything on the page has ended.
    """
    reason = why_no_run(tick)
    if reason is not None:
        return dg.SkipReason(reason)
    account_name = tick.settings.account_name
    flight = tick.database.read(lambda engine: Watching(engine, account_name).in_flight())
    if flight.oldest_at is None:
        return dg.SkipReason("No batch is in flight.")
    refusal = refusal_of(flight.breakers)
    if refusal is not None:
        return dg.SkipReason(refusal)
    cursor = Cursor.read(text)
    try:
        page = read_page(tick.database.endpoints, cursor.after)
    except ApiError as error:
        again = cursor.model_copy(update={"after": None})
        return dg.SensorResult(skip_reason=api_sentence(error), cursor=again.model_dump_json())
    ended = ended_in(page)
    if ended:
        ended = tick.database.read(
            lambda engine: Watching(engine, account_name).in_flight_among(ended)
        )
    next_after = page.next_after(flight.oldest_at)
    return decide(flight.batches, ended, cursor.model_copy(update={"after": next_after}))


def completion_sensor(job: dg.JobDefinition, evaluator: TickEvaluator) -> dg.SensorDefinition:
    """Declare the sensor, switched on."""

    lists = {name: ServerList() for name in evaluator.settings.account_names}

    def evaluate_tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return evaluator.sense(
            context,
            job.name,
            lambda tick, cursor: evaluate(tick, cursor, lists[tick.settings.account_name].page),
        )

    return dg.SensorDefinition(
        name=NAME,
        description=(
            "Starts batch_processing_job as soon as a batch has ended on the server, so that its "
            "results are read. While none is in flight the server is asked nothing; else one page "
            "of its list in each tick."
        ),
        job_name=job.name,
        evaluation_fn=evaluate_tick,
        minimum_interval_seconds=evaluator.settings.completion_check_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
