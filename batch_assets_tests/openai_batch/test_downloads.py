"""Downloads: whole lines or an error, never a part of a line."""

import gzip
import time
from collections.abc import Iterator
from typing import Literal

import pytest

from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.openai_batch.results import whole_lines
from batch_assets_tests.openai_batch.scripted_server import Reply, ScriptedServer

LINES = [b'{"custom_id": "1"}', '{"custom_id": "ä\u2028\u0085"}'.encode(), b'{"custom_id": "3"}']
FILE = b"\n".join(LINES) + b"\n"


@pytest.mark.parametrize("length", ["body", None])
def test_whole_files(length: Literal["body"] | None, api: BatchApi, server: ScriptedServer) -> None:
    for body, lines in [(FILE, LINES), (FILE[:-1], LINES), (b"", []), (b"\n\n", [b"", b""])]:
        server.answer(Reply(200, body, {}, length=length))
        assert list(api.download("file-1")) == lines
    assert server.methods == ["GET /v1/files/file-1/content"]


def test_packed_files(api: BatchApi, server: ScriptedServer) -> None:
    server.answer(Reply(200, gzip.compress(FILE), {"content-encoding": "gzip"}))
    assert list(api.download("file-1")) == LINES


@pytest.mark.parametrize("cut", [1, 5, len(LINES[2])])
def test_a_cut_is_noticed_without_a_length(cut: int, api: BatchApi, server: ScriptedServer) -> None:
    server.answer(Reply(200, FILE[: -cut - 1], {}, length=None))
    if cut == len(LINES[2]):
        # Cut between two lines, and nothing says so: see `whole_lines`.
        assert list(api.download("file-1")) == LINES[:2]
    else:
        assert cut_of(api) == LINES[:2]


@pytest.mark.parametrize("kept", [0, 5, len(FILE) - len(LINES[2]) - 1, len(FILE) - 1])
def test_a_cut_is_noticed_by_the_length(kept: int, api: BatchApi, server: ScriptedServer) -> None:
    server.answer(Reply(200, FILE[:kept], {}, length=len(FILE)))
    assert cut_of(api) == FILE[:kept].split(b"\n")[:-1]


def cut_of(api: BatchApi) -> list[bytes]:
    got: list[bytes] = []
    with pytest.raises(ApiError) as raised:
        got.extend(api.download("file-1"))
    failure = raised.value.failure
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "truncated_download")
    assert raised.value.operation == "download_file"
    assert raised.value.__context__ is None
    return got


def test_a_download_that_stalls_ends(base_url: str, server: ScriptedServer) -> None:
    def stalling() -> Iterator[bytes]:
        yield FILE[:30]
        time.sleep(1.0)
        yield FILE[30:]

    server.answer(Reply(200, stalling, {}, length=len(FILE)))
    timeouts = Timeouts(read=0.3)
    with BatchApi("sk-x", base_url, timeouts=timeouts) as api, pytest.raises(ApiError) as raised:
        list(api.download("file-1"))
    assert (raised.value.failure.kind, raised.value.failure.code) == (
        FailureKind.TRANSIENT,
        "timeout",
    )


def test_lines_of_several_megabytes(api: BatchApi, server: ScriptedServer) -> None:
    lines = [b'"' + bytes([65 + n]) * 5_000_000 + b'"' for n in range(3)]
    server.answer(Reply(200, b"\n".join(lines), {}))
    assert list(api.download("file-1")) == lines


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_lines_do_not_depend_on_the_chunks(size: int) -> None:
    chunks = [FILE[start : start + size] for start in range(0, len(FILE), size)]
    assert list(whole_lines(chunks)) == LINES


def test_an_abandoned_download_leaves_the_client_usable(
    api: BatchApi, server: ScriptedServer
) -> None:
    server.answer(Reply(200, FILE * 10_000, {}))
    for _ in range(12):
        download = api.download("file-1")
        assert next(download) == LINES[0]
        download.close()
