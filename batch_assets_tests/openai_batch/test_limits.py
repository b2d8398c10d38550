"""A server that would hold a call for ever, or fill the memory: each call ends, and says why."""

import functools
import gzip
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batch_assets.domain.breakers import STAGE_IS_OVER, is_unwell
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.openai_batch import limits
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets_tests.openai_batch.scripted_server import Reply, ScriptedServer, as_json

SLOWLY = 0.05
"""Seconds between two bytes, and thus well within any one wait."""
HURRY = Timeouts(connect=0.4, read=5.0, create=0.4, upload=0.4, reading=0.6)

CALLS: dict[str, Callable[[BatchApi], object]] = {
    "retrieve_batch": lambda api: api.retrieve("batch_1"),
    "list_batches": lambda api: list(api.list_batches()),
    "delete_file": lambda api: api.delete_file("file-1"),
    "create_batch": lambda api: api.create_batch("file-1", {}, 3600),
    "chat_completion": lambda api: api.complete({"model": "m", "messages": []}, "call-1"),
    "download_file": lambda api: list(api.download("file-1")),
}


def dribble(text: bytes = b'{"id": "batch_1", ') -> Iterator[bytes]:
    yield text
    for _ in range(600):
        time.sleep(SLOWLY)
        yield b" "


@functools.cache
def bomb(times: int = 1) -> bytes:
    """300 MB of spaces before an object, packed, and what came of that packed again."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(300))
    packed += packer.compress(b'{"id": "batch_1"}') + packer.flush()
    for _ in range(times - 1):
        packed = gzip.compress(packed)
    return packed


def packed(body: bytes, encoding: str = "gzip") -> Reply:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    return Reply(200, body, {**headers, "x-should-retry": "false"})


@pytest.fixture(scope="module")
def once(listening_server: tuple[ScriptedServer, str]) -> Iterator[BatchApi]:
    """A client that repeats nothing."""
    with BatchApi("sk-x", listening_server[1], reading_retries=0) as client:
        yield client


def failure_of(call: Callable[[], object]) -> Failure:
    with pytest.raises(ApiError) as raised:
        call()
    return raised.value.failure


@pytest.mark.parametrize("call", CALLS)
def test_a_byte_at_a_time_does_not_keep_a_call(
    call: str, base_url: str, server: ScriptedServer
) -> None:
    server.answer(Reply(200, dribble))
    began = time.monotonic()
    with BatchApi("sk-x", base_url, timeouts=HURRY, reading_retries=0) as api:
        failure = failure_of(lambda: CALLS[call](api))
    assert failure.code == "timeout"
    assert time.monotonic() - began < 3
    creates = call in {"create_batch", "chat_completion"}
    assert failure.kind is (FailureKind.INDETERMINATE if creates else FailureKind.TRANSIENT)


def test_nor_does_a_byte_of_the_headers_at_a_time(base_url: str, server: ScriptedServer) -> None:
    server.answer(Reply(200, raw=lambda: dribble(b"HTTP/1.1 200 OK\r\nx-a: ")))
    began = time.monotonic()
    with BatchApi("sk-x", base_url, timeouts=HURRY, reading_retries=0) as api:
        assert failure_of(lambda: api.retrieve("batch_1")).code == "timeout"
    assert time.monotonic() - began < 3


def test_repeated_calls_share_their_time(base_url: str, server: ScriptedServer) -> None:
    server.answer(Reply(503, b"{}", {"retry-after": "30"}))
    began = time.monotonic()
    with BatchApi("sk-x", base_url, timeouts=HURRY) as api:
        assert failure_of(lambda: api.retrieve("batch_1")).code == "http_503"
    assert time.monotonic() - began < 3
    assert len(server.calls) == 1


def test_a_download_that_moves_may_take_longer(base_url: str, server: ScriptedServer) -> None:
    def moving() -> Iterator[bytes]:
        for _ in range(10):
            time.sleep(0.1)
            yield b'{"a": "%s"}\n' % (b"x" * 10_000)

    server.answer(Reply(200, moving, {}))
    with BatchApi("sk-x", base_url, timeouts=HURRY) as api:
        assert len(list(api.download("file-1"))) == 10


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br"])
def test_what_unpacks_to_too_much_is_not_unpacked(
    call: str, encoding: str, once: BatchApi, server: ScriptedServer
) -> None:
    server.answer(packed(bomb(encoding.count("gzip") or 1), encoding))
    failure = failure_of(lambda: CALLS[call](once))
    expected = "answer_too_large" if encoding == "gzip" else "unreadable_answer"
    if call == "download_file" and encoding == "gzip":
        expected = "truncated_download"  # 300 MB of spaces before the only line
    assert failure.code == expected


@pytest.mark.parametrize("wbits", [zlib.MAX_WBITS, 16 + zlib.MAX_WBITS])
def test_what_is_packed_is_unpacked(wbits: int, api: BatchApi, server: ScriptedServer) -> None:
    packer = zlib.compressobj(wbits=wbits)
    body = packer.compress(json.dumps({"id": "batch_1", "status": "completed"}).encode())
    body += packer.flush()
    server.answer(packed(body, "gzip" if wbits > 16 else "deflate"))
    assert api.retrieve("batch_1").status == "completed"
    assert server.calls[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("damage", ["cut", "broken"])
def test_what_is_packed_and_damaged_is_no_answer(
    damage: str, once: BatchApi, server: ScriptedServer
) -> None:
    whole = gzip.compress(json.dumps({"id": "batch_1", "status": "completed"}).encode())
    body = whole[:-12] if damage == "cut" else whole[:12] + b"\x00\xff" + whole[14:]
    server.answer(packed(body))
    code = failure_of(lambda: once.retrieve("batch_1")).code
    assert code == ("connection_lost" if damage == "cut" else "unreadable_answer")


def test_many_small_values_are_no_answer(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(Reply(200, b'{"id": "batch_1", "x": [' + b"[]," * 600_000 + b"[]]}"))
    assert failure_of(lambda: api.retrieve("batch_1")).code == "unreadable_answer"


def test_a_line_that_is_too_long_costs_itself_alone(api: BatchApi, server: ScriptedServer) -> None:
    def file() -> Iterator[bytes]:
        yield b'{"a": 1}\n{"a": "'
        for _ in range(40):
            yield b"x" * 1_000_000
        yield b'"}\n{"a": 2}\n'

    server.answer(Reply(200, file, {}))
    lines = list(api.download("file-1"))
    assert [len(line) for line in lines] == [8, limits.MAX_LINE_BYTES, 8]


def test_a_listing_without_end_ends(
    api: BatchApi, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_PAGES", 20)
    pages = [{"data": [{"id": f"batch_{n}"}], "has_more": True} for n in range(30)]
    server.answer(*map(as_json, pages))
    assert failure_of(lambda: list(api.list_batches())).code == "endless_listing"
    assert len(server.calls) == 20


def test_a_stage_ends_the_calls_that_are_made_for_it(
    base_url: str, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_READING_OVERTIME", 0.5)
    server.answer(Reply(200, dribble))
    began = time.monotonic()
    with (
        BatchApi("sk-x", base_url, reading_retries=0) as api,
        api.within(0),
    ):
        api.prepare()
        cut = failure_of(lambda: api.retrieve("batch_1"))
        not_made = failure_of(lambda: api.retrieve("batch_1"))
    assert time.monotonic() - began < 5
    assert (cut.code, not_made.code) == (STAGE_IS_OVER, STAGE_IS_OVER)
    assert not is_unwell(cut)
    assert {call.path for call in server.calls} == {"/v1/batches/batch_1"}


def test_a_live_call_is_not_cut_for_its_stage(base_url: str, server: ScriptedServer) -> None:
    answer = {"choices": [{"message": {"content": "{}"}}]}
    server.answer(as_json(answer))
    with BatchApi("sk-x", base_url) as api, api.within(-3_600):
        response, failure = api.complete({"model": "m", "messages": []}, "call-1")
    assert (response.content, failure) == ("{}", None)


PEAK = """
import sys
from batch_assets.domain.errors import ApiError
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.results import read_results

api = BatchApi("sk-x", sys.argv[1], reading_retries=0)
calls = [
    lambda: api.retrieve("batch_1"),
    lambda: list(api.list_batches()),
    lambda: list(api.list_files()),
    lambda: api.delete_file("file-1"),
    lambda: api.create_batch("file-1", {}, 3600),
    lambda: api.complete({"model": "m", "messages": []}, "call-1"),
    lambda: list(read_results(api.download("file-1"), error_file=False)),
]
codes = []
for call in calls:
    try:
        call()
    except ApiError as error:
        codes.append(error.failure.code)
# Not ru_maxrss, which also counts what this process was before its program started.
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(int(peak.split()[1]) // 1024, *codes)
"""


def endless_line() -> Iterator[bytes]:
    for _ in range(1_100):
        yield b"x" * 1_000_000


@functools.cache
def values() -> bytes:
    return b'{"custom_id": "r", "x": [' + b"{}," * 2_500_000 + b"{}]}"


@pytest.mark.parametrize(
    "reply",
    [
        lambda: packed(bomb()),
        lambda: Reply(200, values()[:7_000_000]),
        lambda: Reply(200, endless_line, {}),
        lambda: Reply(200, values(), {}),
    ],
    ids=["bomb", "cut", "endless", "values"],
)
def test_a_hostile_server_does_not_fill_the_memory(
    reply: Callable[[], Reply], base_url: str, server: ScriptedServer, tmp_path: Path
) -> None:
    server.answer(reply())
    command = [sys.executable, "-c", PEAK, base_url]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout
    megabytes, *codes = output.split()
    assert int(megabytes) < 400
    assert len(codes) >= 6
