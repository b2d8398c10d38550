"""As many calls are in flight as the server takes: simulated, without clock or threads."""

import resource
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from batch_assets.domain.errors import ApiError
from batch_assets.openai_batch import concurrency_limit
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.concurrency_limit import ConcurrencyLimit, most_in_flight
from batch_assets_tests.openai_batch.conftest import API_KEY
from batch_assets_tests.openai_batch.scripted_server import (
    Reply,
    ScriptedServer,
    api_error,
    as_json,
)

MOST = 100


class Simulation:
    """A server that takes `room` calls at a time, and answers them in the order of their coming."""

    def __init__(self, room: int, limit: ConcurrencyLimit, seconds: float = 1.0) -> None:
        self.room = room
        self.seconds = seconds
        self.refused = 0
        self.most = 0
        self._limit = limit
        self._inside: deque[ExitStack] = deque()

    def make(self, calls: int) -> None:
        """Make so many calls; what is refused is made again."""
        left = calls
        while left or self._inside:
            while left and len(self._inside) < self._limit.limit:
                left -= self._begin()
            self._limit.note_taken({}, self.seconds)
            self._inside.popleft().close()

    def _begin(self) -> int:
        slot = ExitStack()
        slot.enter_context(self._limit.slot())
        if len(self._inside) < self.room:
            self._inside.append(slot)
            self.most = max(self.most, len(self._inside))
            return 1
        with slot:
            self.refused += 1
            self._limit.note_refused(time.monotonic())
        return 0


@pytest.mark.parametrize("room", [5, 20, 60])
def test_it_finds_out_how_many_calls_a_server_takes_and_is_seldom_refused(room: int) -> None:
    limit = ConcurrencyLimit(MOST)
    server = Simulation(room, limit)
    server.make(2_500)
    assert server.most == room
    assert room / 2 <= limit.limit <= room + 1
    assert 1 <= server.refused <= 0.02 * 2_500


def test_it_never_exceeds_its_own_bound() -> None:
    limit = ConcurrencyLimit(12)
    server = Simulation(1_000, limit)
    server.make(500)
    assert (server.most, server.refused) == (12, 0)


@pytest.mark.parametrize(("seconds", "most"), [(0.0005, 2), (0.02, 20), (0.05, 50), (0.3, MOST)])
def test_no_more_are_in_flight_than_can_be_made_until_the_first_is_answered(
    seconds: float, most: int
) -> None:
    limit = ConcurrencyLimit(MOST)
    server = Simulation(1_000, limit, seconds)
    server.make(1_000)
    assert limit.limit == most
    server.seconds = 0.1
    server.make(1_000)
    assert limit.limit == MOST, "the server has become slow, or something else is asked of it"


def test_a_server_with_more_room_than_before_is_used_again() -> None:
    limit = ConcurrencyLimit(MOST)
    server = Simulation(4, limit)
    server.make(200)
    server.room = 8
    server.make(4_000)
    assert server.most == 8


def test_refusals_of_calls_that_were_sent_together_count_once() -> None:
    limit = ConcurrencyLimit(MOST)
    with ExitStack() as slots:
        for _ in range(8):
            slots.enter_context(limit.slot())
        sent_at = time.monotonic()
        for _ in range(5):
            limit.note_refused(sent_at)
    assert limit.limit == 4


def test_alone_there_is_always_room_for_one() -> None:
    limit = ConcurrencyLimit(MOST)
    for _ in range(10):
        with limit.slot():
            assert not limit.is_shared
            limit.note_refused(time.monotonic())
    assert limit.limit == 1


@pytest.mark.parametrize(
    ("headers", "is_held"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, True),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, False),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "6m0s"}, False),
        ({}, False),
    ],
)
def test_a_server_that_has_no_call_left_is_not_asked_before_it_says(
    headers: Mapping[str, str], is_held: bool
) -> None:
    limit = ConcurrencyLimit(MOST)
    limit.note_taken(headers, 1.0)
    began = threading.Event()
    is_over = threading.Event()

    def call() -> None:
        with limit.slot(is_over.is_set):
            began.set()

    caller = threading.Thread(target=call)
    caller.start()
    assert began.wait(0.3) != is_held
    is_over.set()
    caller.join()


def test_a_process_with_few_descriptors_makes_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(soft: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
        return most_in_flight()

    assert limited(resource.RLIM_INFINITY) == concurrency_limit.MOST_IN_FLIGHT
    assert limited(65_536) == concurrency_limit.MOST_IN_FLIGHT
    assert limited(64) == 8
    assert limited(340) == 100
    assert limited(17) == 1


TOO_MANY = api_error(429, "rate_limit_exceeded", "requests", retry_after_ms="10")
LINES = b'{"custom_id": "1"}\n' * 10_000


@pytest.fixture
def api(base_url: str) -> Iterator[BatchApi]:
    """A client that has met nothing yet."""
    with BatchApi(API_KEY, base_url) as client:
        yield client


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "input.jsonl"
    path.write_bytes(LINES)
    return path


def test_what_is_refused_for_the_calls_beside_it_is_sent_again_whole(
    api: BatchApi, server: ScriptedServer, upload: Path
) -> None:
    server.keep_bytes = 1_000_000
    server.answer(TOO_MANY, TOO_MANY, as_json({"id": "file-1"}))
    with api.in_flight.slot(), api.in_flight.slot():
        assert api.upload(upload, "ours.jsonl") == "file-1"
    assert server.methods == ["POST /v1/files"] * 3
    assert [LINES in call.body for call in server.calls] == [True] * 3


def test_it_is_not_sent_again_for_ever(
    api: BatchApi, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch_assets.openai_batch.connections._PAUSES", (0.01, 0.01))
    server.answer(TOO_MANY)
    with api.in_flight.slot(), api.in_flight.slot(), pytest.raises(ApiError) as refused:
        api.create_batch("file-1", {}, 86_400)
    assert refused.value.failure.code == "rate_limit_exceeded"
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    "reply",
    [
        api_error(429, None, "insufficient_quota"),
        api_error(400, "token_limit_exceeded"),
        api_error(503),
        api_error(429, "rate_limit_exceeded", retry_after="3600"),
        api_error(429, "rate_limit_exceeded", retry_after="12"),
    ],
    ids=["quota", "tokens", "may have acted", "much later", "later than anybody waits"],
)
def test_what_may_have_acted_or_will_not_pass_soon_is_one_post(
    reply: Reply, api: BatchApi, server: ScriptedServer
) -> None:
    server.answer(reply)
    with api.in_flight.slot(), api.in_flight.slot(), pytest.raises(ApiError):
        api.create_batch("file-1", {}, 86_400)
    assert len(server.calls) == 1
