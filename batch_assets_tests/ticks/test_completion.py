"""The completion sensor: what it asks the server, and when it starts a run."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from batch_assets.domain.batches import InFlightBatch
from batch_assets.sensors.completion import BatchPage, Cursor, ServerList, decide, evaluate
from batch_assets_tests.openai_batch.scripted_server import (
    Reply,
    ScriptedServer,
    api_error,
    as_json,
)
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.ticks.support import (
    ACTIVE_RUN,
    History,
    cursor_of,
    failed_runs,
    skipped,
    started,
    tick_at,
)

CANARY = "sk-canary-8d1f"


Tick = Callable[..., dg.SensorResult | dg.SkipReason]


@pytest.fixture(scope="module")
def server_list() -> Iterator[ServerList]:
    made = ServerList()
    yield made
    made.close()


@pytest.fixture
def server(
    listening_server: tuple[ScriptedServer, str],
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> ScriptedServer:
    """A server whose list is empty until it is told otherwise; it counts the calls."""
    server, url = listening_server
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    server.answer(page([]))
    return server


def page(batches: list[dict[str, object]], *, has_more: bool = False) -> Reply:
    return as_json({"object": "list", "data": batches, "has_more": has_more})


def seen(
    batch_id: str,
    status: str = "completed",
    age: timedelta = timedelta(0),
    output: str | None = "file-out",
) -> dict[str, object]:
    """A batch in the server's list."""
    return {
        "id": batch_id,
        "status": status,
        "input_file_id": "file-in",
        "output_file_id": output,
        "created_at": int((datetime.now(UTC) - age).timestamp()),
    }


@pytest.fixture
def tick(server_list: ServerList, server: ScriptedServer) -> Tick:
    """A tick at this moment, on the test's database and server."""

    def act(
        cursor: str | None = None, runs: History | None = None
    ) -> dg.SensorResult | dg.SkipReason:
        return evaluate(tick_at(datetime.now(UTC), runs), cursor, server_list.page)

    return act


def in_flight(desk: Desk) -> InFlightBatch:
    return desk.submitted(1)[0]


def test_while_nothing_is_in_flight_the_server_is_not_asked(
    server: ScriptedServer, desk: Desk, tick: Tick
) -> None:
    desk.claimed(1)
    assert skipped(tick()) == "No batch is in flight."
    assert server.calls == []


def test_while_nothing_has_ended_one_page_is_read(
    server: ScriptedServer, desk: Desk, tick: Tick
) -> None:
    batch = in_flight(desk)
    server.answer(page([seen("batch_other"), seen(batch.openai_batch_id, "in_progress")]))
    answer = tick()
    assert skipped(answer) == (
        "1 batch is in flight; this page of the server's list shows none ended."
    )
    assert cursor_of(answer) == Cursor().model_dump_json()
    assert [call.path for call in server.calls] == ["/v1/batches?limit=100"]


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "cancelled"])
def test_a_batch_that_has_ended_starts_a_run_once(
    server: ScriptedServer, desk: Desk, tick: Tick, status: str
) -> None:
    batch = in_flight(desk)
    server.answer(page([seen(batch.openai_batch_id, status)]))
    answer = tick()
    request = started(answer)
    assert request.tags["batch_assets/reason"] == "1 batch has ended"
    assert request.run_key is not None
    assert request.run_key.startswith("ended-")
    assert skipped(tick(cursor_of(answer))) == (
        "A run was started for this already (1 batch has ended); the schedule goes on."
    )
    assert desk.batch(batch.id).state == "submitted", "the run asks for itself"


def test_more_that_have_ended_start_another_run(
    server: ScriptedServer, desk: Desk, tick: Tick
) -> None:
    ids = [in_flight(desk).openai_batch_id for _ in range(2)]
    server.answer(page([seen(ids[0]), seen(ids[1], "finalizing", output=None)]))
    first = tick()
    server.answer(page([seen(ids[1]), seen(ids[0])]))
    second = started(tick(cursor_of(first)))
    assert second.tags["batch_assets/reason"] == "2 batches have ended"
    assert second.run_key != started(first).run_key
    server.answer(page([seen(ids[0]), seen(ids[1])]))
    assert started(tick(cursor_of(first))).run_key == second.run_key, "in whatever order"


def test_a_completed_batch_without_files_is_not_ready(
    server: ScriptedServer, desk: Desk, tick: Tick
) -> None:
    server.answer(page([seen(in_flight(desk).openai_batch_id, output=None)]))
    assert "shows none ended" in skipped(tick())


def test_the_next_tick_goes_on_where_the_page_ended(
    server: ScriptedServer, desk: Desk, tick: Tick
) -> None:
    batch = in_flight(desk)
    server.answer(page([seen("batch_a"), seen("batch_b", "in_progress")], has_more=True))
    cursor = cursor_of(tick())
    server.answer(page([seen(batch.openai_batch_id)], has_more=True))
    answer = tick(cursor)
    started(answer)
    assert server.calls[0].path.endswith("after=batch_b")
    server.answer(page([seen("batch_old", age=timedelta(hours=1))], has_more=True))
    answer = tick(cursor_of(answer))
    assert server.calls[0].path.endswith(f"after={batch.openai_batch_id}")
    # The oldest batch in flight is passed: the newest come next.
    server.answer(page([]))
    tick(cursor_of(answer))
    assert "after" not in server.calls[0].path


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (api_error(500), "The API did not answer as it should (list_batches: "),
        (api_error(401, "invalid_api_key", message=CANARY), "The API refuses the account"),
        (api_error(429, "rate_limit_exceeded"), "The API did not answer as it should"),
        (Reply(200, b"<html>"), "The API could not be used (list_batches: "),
        (Reply(drop="unanswered"), "The API did not answer as it should"),
    ],
)
def test_a_poll_that_fails_is_one_call_and_changes_nothing(
    server: ScriptedServer, desk: Desk, tick: Tick, reply: Reply, said: str
) -> None:
    batch = in_flight(desk)
    before = desk.batch(batch.id)
    server.answer(reply)
    cursor = Cursor(after="batch_gone", run_key="ended-1")
    answer = tick(cursor.model_dump_json())
    assert skipped(answer).startswith(said)
    assert CANARY not in skipped(answer)
    assert Cursor.read(cursor_of(answer)) == Cursor(run_key="ended-1")
    assert len(server.calls) == 1
    assert desk.batch(batch.id) == before
    assert desk.rows("SELECT k.operation FROM batch_assets.breaker AS k") == []


@pytest.mark.parametrize("operation", ["list_batches", "download_file"])
def test_an_open_breaker_is_respected(
    server: ScriptedServer, desk: Desk, tick: Tick, operation: str
) -> None:
    in_flight(desk)
    desk.do(
        "INSERT INTO batch_assets.breaker"
        " (operation, state, failures, code, reason, retry_at, changed_at)"
        " VALUES (:operation, 'open', 5, 'timeout', 'r', clock_timestamp() - interval '1 minute',"
        " clock_timestamp())",
        operation=operation,
    )
    assert skipped(tick()).startswith("The API is not asked to ")
    desk.do("UPDATE batch_assets.breaker SET state = 'closed', retry_at = NULL")
    assert "in flight" in skipped(tick())
    assert len(server.calls) == 1


@pytest.mark.parametrize("runs", [History(ACTIVE_RUN), failed_runs(5, datetime.now(UTC))])
def test_an_active_run_or_a_pause_comes_first(
    server: ScriptedServer, desk: Desk, tick: Tick, runs: History
) -> None:
    in_flight(desk)
    assert skipped(tick(runs=runs)).startswith(("Run r1 is still active", "The last 5 runs have"))
    assert server.calls == []


def test_switched_off(
    server: ScriptedServer, desk: Desk, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_flight(desk)
    monkeypatch.setenv("BATCH_SCHEDULES_ENABLED", "false")
    assert skipped(tick()) == "BATCH_SCHEDULES_ENABLED is false."
    assert server.calls == []


def test_a_cursor_that_cannot_be_read_counts_as_none() -> None:
    for text in (None, "", "what a person typed", '{"after": 3}', '{"unknown": "x"}'):
        assert Cursor.read(text) == Cursor()


def test_what_a_tick_leaves_is_short_however_many_batches_there_are() -> None:
    ids = [f"batch_{number:032}" for number in range(5_000)]
    cursor = cursor_of(decide(len(ids), ids, Cursor(after=ids[-1])))
    assert cursor is not None
    assert len(cursor) < 150


def test_an_empty_page_is_the_end_of_the_list() -> None:
    assert BatchPage([], is_last=False).next_after(datetime.now(UTC)) is None
