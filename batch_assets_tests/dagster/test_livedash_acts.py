"""LiveDash's batch timers act beside the job: within one run of it that is noticed.

Submissions are held, an alert is raised that names the timer, what left a batch of ours is put back
and not bought again, and each conversation that was paid for twice is counted and named.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, Row, text

from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.factories import (
    make_company,
    make_external_batch,
    make_request,
    make_requests,
    make_session,
)
from drills.livedash import LiveDash, StubApi

ALERT = "livedash_timers"
"""The alert that says that one of LiveDash's batch timers runs beside us."""
DOUBLE_PURCHASES = "SELECT timer, request_id FROM batch_assets.livedash_act WHERE is_duplicate"
"""Each conversation that we have bought and LiveDash, too: by which timer."""

HALF_AN_HOUR = timedelta(minutes=30)
REFUSED = {"rows": [{"effect": {"kind": "refusal"}}]}
HELD = {
    "timing": {
        "validation_seconds": 0,
        "processing_seconds": 0,
        "finalizing_seconds": 0,
        "hold_after_rows": 0,
    }
}


@dataclass(frozen=True)
class Scene:
    """A database and a server, with the job and with LiveDash on it."""

    engine: Engine
    api: RunningServer
    livedash: LiveDash
    stub: StubApi
    run_once: Callable[[], dg.ExecuteInProcessResult]

    def run(self) -> None:
        assert self.run_once().success

    def waiting(self, count: int, *, age: timedelta = timedelta(0)) -> list[str]:
        """Requests of a new company."""
        with self.engine.begin() as connection:
            return make_requests(connection, make_company(connection), count, age=age)

    def statuses(self, ids: Sequence[str]) -> set[str]:
        return {self.request(one).processingStatus for one in ids}

    def request(self, request_id: str) -> Row[Any]:
        query = text('SELECT * FROM public."AIProcessingRequest" WHERE id = :id')
        with self.engine.connect() as connection:
            return connection.execute(query, {"id": request_id}).one()

    def bought_by_us(self) -> list[str]:
        """The requests that the server has billed, each as often as it was."""
        return [str(entry.custom_id) for entry in self.api.ledger().entries()]

    def times_bought_by_us(self, ids: Sequence[str]) -> list[int]:
        return [self.bought_by_us().count(one) for one in ids]

    def bought_by_both(self) -> set[str]:
        """What the two ledgers have in common."""
        return set(self.bought_by_us()) & {one.request_id for one in self.stub.purchases}

    def raised(self) -> str:
        """The sentence of our alert, once it is raised; empty before."""
        query = text("SELECT summary FROM batch_assets.alert WHERE name = :name AND is_raised")
        with self.engine.connect() as connection:
            return str(connection.execute(query, {"name": ALERT}).scalar_one_or_none() or "")

    def double_purchases(self) -> list[tuple[str, str]]:
        with self.engine.connect() as connection:
            return sorted((row[0], row[1]) for row in connection.execute(text(DOUBLE_PURCHASES)))


@pytest.fixture(params=["true", "false"], ids=["optimized", "original"])
def scene(
    request: pytest.FixtureRequest,
    run_job: RunJob,
    database_url: str,
    engine: Engine,
    api: RunningServer,
) -> Iterator[Scene]:
    environ = {"ENABLE_BATCH_OPTIMIZATION": request.param, "BATCH_MIN_SIZE": "1"}
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE batch_assets.installation SET confirmed_at = CURRENT_TIMESTAMP")
        )
    livedash = LiveDash(database_url)

    def run() -> dg.ExecuteInProcessResult:
        return run_job(database_url, base_url=api.base_url, environ=environ)

    yield Scene(engine, api, livedash, StubApi(), run)
    livedash.close()


def complete(scene: Scene, ids: Sequence[str]) -> None:
    """Run until these are complete."""
    for _ in range(8):
        scene.run()
        if scene.statuses(ids) == {"PROCESSING_COMPLETE"}:
            return
    raise AssertionError(f"they do not end: {scene.statuses(ids)}")


def test_a_batch_that_livedash_creates_holds_our_submissions(scene: Scene) -> None:
    ours = scene.waiting(2)
    scene.run()
    taken = scene.waiting(12)
    scene.livedash.create_timer(scene.stub)
    assert {one.request_id for one in scene.stub.purchases} == set(taken)
    held = scene.waiting(3)
    scene.run()
    assert "create" in scene.raised()
    assert scene.statuses(held) == {"PENDING_BATCHING"}
    assert scene.double_purchases() == []
    complete(scene, ours)
    assert scene.times_bought_by_us(ours) == [1, 1], "what was paid for is read all the same"


def test_what_both_have_bought_is_counted_and_named(scene: Scene) -> None:
    ids = scene.waiting(3, age=HALF_AN_HOUR)
    # LiveDash reads, then we claim and submit, then it writes down what it has bought meanwhile.
    scene.stub.on_purchase = lambda _requests: scene.run()
    scene.livedash.create_timer(scene.stub)
    assert scene.statuses(ids) == {"BATCHING_IN_PROGRESS"}
    held = scene.waiting(2)
    scene.run()
    assert "create" in scene.raised()
    assert scene.statuses(held) == {"PENDING_BATCHING"}
    assert scene.bought_by_both() == set(ids)
    assert scene.double_purchases() == [("create", one) for one in sorted(ids)]
    complete(scene, ids)
    assert scene.times_bought_by_us(ids) == [1] * len(ids)
    assert len(scene.double_purchases()) == len(ids), "each is counted once"


def test_dead_letters_that_livedash_buys_again_are_counted_and_named(scene: Scene) -> None:
    scene.api.set_config(ServerConfig.instant(**REFUSED))
    ids = scene.waiting(4)
    for _ in range(8):
        scene.run()
        if scene.statuses(ids) == {"PROCESSING_FAILED"}:
            break
    assert scene.statuses(ids) == {"PROCESSING_FAILED"}
    scene.livedash.retry_timer(scene.stub)
    assert scene.bought_by_both() == set(ids)
    scene.api.set_config(ServerConfig.instant())
    held = scene.waiting(2)
    scene.run()
    assert "retry" in scene.raised()
    assert scene.statuses(held) == {"PENDING_BATCHING"}
    assert scene.double_purchases() == [("retry", one) for one in sorted(ids)]
    scene.run()
    assert scene.times_bought_by_us(ids) == [1] * len(ids)
    assert len(scene.double_purchases()) == len(ids), "each is counted once"


def test_rows_of_ours_that_livedash_resets_are_put_back_and_not_bought_again(scene: Scene) -> None:
    scene.api.set_config(ServerConfig.instant(**HELD))
    with scene.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        ours = make_request(connection, session_id, processing_type="session_analysis")
        others = make_requests(connection, company_id, 2)
    scene.run()
    batch_id = scene.request(ours).batchId
    with scene.engine.begin() as connection:
        theirs = make_request(connection, session_id, model="gpt-4.1")
        make_external_batch(
            connection,
            company_id,
            status="COMPLETED",
            request_ids=[theirs],
            openai_batch_id="batch_livedash-0",
        )
        connection.execute(
            text(
                """UPDATE public."AIBatchRequest" SET "outputFileId" = 'file-livedash-0-output'"""
                """ WHERE "openaiBatchId" = 'batch_livedash-0'"""
            )
        )
    scene.stub.is_down = True
    scene.livedash.process_timer(scene.stub)
    assert scene.statuses([ours]) == {"PENDING_BATCHING"}
    held = scene.waiting(2)
    scene.run()
    assert "process" in scene.raised()
    assert scene.request(ours).processingStatus == "BATCHING_IN_PROGRESS"
    assert scene.request(ours).batchId == batch_id
    assert scene.statuses(held) == {"PENDING_BATCHING"}
    assert scene.double_purchases() == []
    scene.api.set_config(ServerConfig.instant())
    complete(scene, [ours, *others])
    assert scene.times_bought_by_us([ours, *others]) == [1, 1, 1]


def test_without_its_batch_timers_nothing_is_said_and_nothing_held(scene: Scene) -> None:
    ids = scene.waiting(3)
    scene.livedash.processing_timer()
    complete(scene, ids)
    assert scene.raised() == ""
    assert scene.times_bought_by_us(ids) == [1, 1, 1]
