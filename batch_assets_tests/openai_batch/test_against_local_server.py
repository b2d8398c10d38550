"""The whole wire against the local server that speaks the Batch API: a batch there and back."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.domain.json_text import value_as_json
from batch_assets.domain.records import RemoteBatch, ResultLine
from batch_assets.domain.states import SERVER_ENDED
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.openai_batch.results import read_results
from batch_assets.openai_batch.spool import Spool
from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server

BODY = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "How many days of leave have I left?"}],
}
MONTH = 2_592_000

Serve = Callable[..., BatchApi]


def leave_left(messages: list[dict[str, Any]], response_format: dict[str, Any] | None) -> str:
    return "Twelve days."


@pytest.fixture(scope="module")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), answerer=leave_left) as server:
        yield server


@pytest.fixture(scope="module")
def local_api(local_server: RunningServer) -> Iterator[BatchApi]:
    timeouts = Timeouts(connect=2, read=5, create=5, upload=30)
    with BatchApi("sk-local", local_server.base_url, timeouts=timeouts) as api:
        yield api


@pytest.fixture
def serve(local_server: RunningServer, local_api: BatchApi) -> Iterator[Serve]:
    """Gives the client of a server that behaves as told; what it has, it keeps for the module."""

    def behave(**parts: object) -> BatchApi:
        local_server.set_config(ServerConfig.instant(**parts))
        return local_api

    yield behave
    local_server.set_config(ServerConfig.instant())


def upload(api: BatchApi, tmp_path: Path, requests: int = 5, name: str = "ours.jsonl") -> str:
    with Spool(tmp_path / "spool") as spool:
        with spool.input_file() as file:
            for number in range(1, requests + 1):
                assert file.add(f"r{number}", value_as_json(BODY))
        return api.upload(file.path, name)


def ended(api: BatchApi, batch_id: str) -> RemoteBatch:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        batch = api.retrieve(batch_id)
        if batch.status in SERVER_ENDED:
            return batch
        time.sleep(0.02)
    raise AssertionError(f"the batch is still {batch.status}")


def results(api: BatchApi, batch: RemoteBatch) -> dict[str, ResultLine]:
    found: dict[str, ResultLine] = {}
    for file_id in (batch.output_file_id, batch.error_file_id):
        if file_id is None:
            continue
        is_error_file = file_id == batch.error_file_id
        for line in read_results(api.download(file_id), error_file=is_error_file):
            assert isinstance(line, ResultLine)
            found[line.request_id] = line
    return found


def run(
    api: BatchApi, tmp_path: Path, requests: int = 5
) -> tuple[RemoteBatch, dict[str, ResultLine]]:
    file_id = upload(api, tmp_path / "spool", requests)
    created = api.create_batch(file_id, {"intent": "7"}, MONTH)
    batch = ended(api, created.id)
    assert batch.metadata == {"intent": "7"}
    assert batch.input_file_id == file_id
    return batch, results(api, batch)


def test_there_and_back(serve: Serve, tmp_path: Path) -> None:
    api = serve()
    api.check_account()
    batch, found = run(api, tmp_path)
    assert (batch.status, batch.total, batch.completed) == ("completed", 5, 5)
    assert set(found) == {"r1", "r2", "r3", "r4", "r5"}
    for line in found.values():
        assert line.failure is None
        assert line.response is not None
        assert line.response.content == "Twelve days."
        assert line.response.usage.total_tokens > 0
    files = {file.id: file for file in api.list_files()}
    assert batch.input_file_id is not None
    assert files[batch.input_file_id].name == "ours.jsonl"
    assert api.delete_file(batch.input_file_id) is True
    assert api.delete_file(batch.input_file_id) is False


@pytest.mark.parametrize(
    "quirk",
    [
        {"string_bodies": True},
        {"errors_in_output_file": True},
        {"errors_without_response": True},
        {"empty_string_file_ids": True, "empty_error_file": True},
        {"unescaped_unicode": True},
        {"omit_batch_fields": ["request_counts", "usage", "model", "errors"]},
    ],
    ids=lambda quirk: next(iter(quirk)),
)
def test_quirks_change_nothing(quirk: dict[str, object], serve: Serve, tmp_path: Path) -> None:
    effect = {"kind": "http_error", "status": 500}
    api = serve(quirks=quirk, rows=[{"custom_id": "^r2$", "effect": effect}])
    _, found = run(api, tmp_path)
    assert len(found) == 5
    assert {name for name, line in found.items() if line.failure} == {"r2"}
    assert found["r2"].failure is not None
    assert found["r2"].failure.kind is FailureKind.TRANSIENT


def test_an_empty_error_file_is_no_trouble(serve: Serve, tmp_path: Path) -> None:
    api = serve(quirks={"empty_error_file": True})
    batch, found = run(api, tmp_path)
    assert batch.error_file_id is not None
    assert list(api.download(batch.error_file_id)) == []
    assert len(found) == 5


@pytest.mark.parametrize("fate", ["expired", "cancelled"])
def test_what_ran_before_the_end_is_kept(fate: str, serve: Serve, tmp_path: Path) -> None:
    batch, found = run(serve(batches=[{"end_as": fate, "after_rows": 2}]), tmp_path)
    assert batch.status == fate
    assert len(found) == 5
    assert sum(line.response is not None for line in found.values()) == 2
    assert sum(not line.answered for line in found.values()) == 3


@pytest.mark.parametrize(
    ("effect", "kind", "paid"),
    [
        ({"kind": "refusal"}, FailureKind.PERMANENT, True),
        ({"kind": "error_line", "code": "request_timeout"}, FailureKind.TRANSIENT, False),
        ({"kind": "http_error", "status": 0}, FailureKind.TRANSIENT, False),
        ({"kind": "http_error", "status": 400}, FailureKind.PERMANENT, False),
        ({"kind": "http_error", "status": 429}, FailureKind.CAPACITY, False),
    ],
)
def test_rows_that_fail(
    effect: dict[str, object], kind: FailureKind, paid: bool, serve: Serve, tmp_path: Path
) -> None:
    _, found = run(serve(rows=[{"lines": [3], "effect": effect}]), tmp_path)
    failure = found["r3"].failure
    assert failure is not None
    assert failure.kind is kind
    assert (found["r3"].response is not None) is paid
    assert sum(line.failure is None for line in found.values()) == 4


def test_a_batch_that_fails_validation_says_where(serve: Serve, tmp_path: Path) -> None:
    api = serve()
    with Spool(tmp_path / "spool") as spool:
        with spool.input_file() as file:
            file.add("twice", value_as_json(BODY))
            file.add("twice", value_as_json(BODY))
        file_id = api.upload(file.path, "ours.jsonl")
    batch = ended(api, api.create_batch(file_id, {}, MONTH).id)
    assert batch.status == "failed"
    assert [(error.code, error.line) for error in batch.errors] == [("duplicate_custom_id", 2)]


def test_an_upload_whose_answer_is_lost_is_found_by_its_name(serve: Serve, tmp_path: Path) -> None:
    drop = {"operation": "files.create", "effect": {"kind": "drop", "work": "done"}}
    api = serve(calls=[drop])
    with pytest.raises(ApiError) as raised:
        upload(api, tmp_path, name="lost.jsonl")
    assert raised.value.failure.kind is FailureKind.INDETERMINATE
    assert [file.name for file in api.list_files()].count("lost.jsonl") == 1


def test_a_batch_whose_answer_is_lost_is_found_by_its_metadata(
    serve: Serve, tmp_path: Path
) -> None:
    drop = {"operation": "batches.create", "effect": {"kind": "drop", "work": "done"}}
    api = serve(calls=[drop])
    file_id = upload(api, tmp_path)
    with pytest.raises(ApiError) as raised:
        api.create_batch(file_id, {"intent": "lost"}, MONTH)
    assert raised.value.failure.kind is FailureKind.INDETERMINATE
    found = [batch for batch in api.list_batches() if batch.metadata.get("intent") == "lost"]
    assert [batch.input_file_id for batch in found] == [file_id]


@pytest.mark.parametrize("framing", ["content_length", "chunked", "silent"])
def test_a_cut_download_is_noticed(framing: str, serve: Serve, tmp_path: Path) -> None:
    effect = {"kind": "truncate", "after_bytes": 900, "framing": framing}
    api = serve(calls=[{"operation": "files.content", "effect": effect}])
    with pytest.raises(ApiError) as raised:
        run(api, tmp_path)
    failure = raised.value.failure
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "truncated_download")


@pytest.mark.parametrize("way", ["refused", "forbidden"])
def test_a_key_that_is_refused(way: str, serve: Serve) -> None:
    api = serve(keys={way: ["sk-local"]})
    with pytest.raises(ApiError) as raised:
        api.check_account()
    assert raised.value.failure.kind is FailureKind.ACCOUNT
    assert "sk-local" not in str(raised.value)


def test_a_quota_that_is_used_up(serve: Serve, tmp_path: Path) -> None:
    file_id = upload(serve(), tmp_path)
    with pytest.raises(ApiError) as raised:
        serve(keys={"without_quota": ["sk-local"]}).create_batch(file_id, {}, MONTH)
    assert raised.value.failure.kind is FailureKind.ACCOUNT


def test_more_batches_than_a_page_holds(serve: Serve, tmp_path: Path) -> None:
    api = serve()
    file_id = upload(api, tmp_path, 1)
    made = [api.create_batch(file_id, {}, MONTH).id for _ in range(103)]
    assert [batch.id for batch in islice(api.list_batches(), 103)] == made[::-1]


def test_cancelling(serve: Serve, tmp_path: Path) -> None:
    api = serve(timing={"validation_seconds": 60, "cancel_seconds": 0})
    batch = api.create_batch(upload(api, tmp_path), {}, MONTH)
    assert api.cancel(batch.id).status in {"cancelling", "cancelled"}
    assert ended(api, batch.id).status == "cancelled"
