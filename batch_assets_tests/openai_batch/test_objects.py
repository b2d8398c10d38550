"""The server's objects in other spellings, and malformed: what becomes a record, and what none."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from batch_assets.domain.breakers import is_unwell
from batch_assets.domain.errors import ApiError
from batch_assets.domain.money import Usage
from batch_assets.openai_batch.client import BatchApi
from batch_assets_tests.openai_batch.scripted_server import ScriptedServer, as_json


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("COMPLETED", "completed"),
        ("SUCCESS", "completed"),
        ("succeeded", "completed"),
        ("CANCELLED", "cancelled"),
        ("canceled", "cancelled"),
        ("CANCELLATION_REQUESTED", "cancelling"),
        ("scheduling", "validating"),
        ("pending", "validating"),
        ("queued", "validating"),
        ("notStarted", "validating"),
        ("IN PROGRESS", "in_progress"),
        ("running", "in_progress"),
        ("error", "failed"),
        ("FAILED", "failed"),
        ("timeout", "expired"),
        ("TIMEOUT_EXCEEDED", "expired"),
        ("Sleeping", "Sleeping"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_status_is_understood_in_other_words(
    theirs: str | None, ours: str, api: BatchApi, server: ScriptedServer
) -> None:
    server.answer(as_json({"id": "batch_1", "status": theirs}))
    assert api.retrieve("batch_1").status == ours


MALFORMED: list[dict[str, Any]] = [
    {"status": "in\x00progress"},
    {"status": "x" * 3_000_000},
    {"status": "\ud83d"},
    {"id": "x" * 3_000_000},
    {"id": "batch_\ud83d"},
    {"id": "batch\x00"},
    {"id": "batch 1"},
    {"output_file_id": "file\n"},
    {"error_file_id": "f" * 600},
]


@pytest.mark.parametrize("batch_id", ["", "..", "a b", "a\tb", "a\u2028b", "x" * 40_000])
@pytest.mark.parametrize("call", [BatchApi.retrieve, BatchApi.cancel])
def test_an_id_that_no_server_can_know_is_unknown_and_nobody_is_asked(
    call: Callable[[BatchApi, str], object], batch_id: str, api: BatchApi, server: ScriptedServer
) -> None:
    with pytest.raises(ApiError) as raised:
        call(api, batch_id)
    assert raised.value.failure.code == "not_found"
    assert server.methods == []


@pytest.mark.parametrize("odd", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_malformed_is_no_answer_and_keeps_no_other_from_being_listed(
    odd: dict[str, Any], api: BatchApi, server: ScriptedServer
) -> None:
    batch = {"id": "batch_1", "status": "completed", **odd}
    server.answer(as_json(batch))
    with pytest.raises(ApiError) as raised:
        api.retrieve("batch_1")
    assert raised.value.failure.code == "malformed_answer"
    assert not is_unwell(raised.value.failure)
    server.answer(
        as_json({"data": [{"id": "batch_2"}, batch, {"id": "batch_3"}], "has_more": False})
    )
    assert [one.id for one in api.list_batches()] == ["batch_2", "batch_3"]


@pytest.mark.parametrize(
    ("created_at", "moment"),
    [
        (None, None),
        ("1767225600", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T01:00:00+01:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        (1767225600.5, datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("soon", None),
        ("nan", None),
        ("9" * 40, None),
        (True, None),
        (10**30, None),
    ],
)
def test_times_of_others_break_no_page(
    created_at: object, moment: datetime | None, api: BatchApi, server: ScriptedServer
) -> None:
    items = [{"id": "x-1", "created_at": created_at}, {"id": 7, "created_at": 1}, None]
    server.answer(as_json({"data": items, "has_more": False}))
    since = datetime(2020, 1, 1, tzinfo=UTC)
    batches, files = api.list_batches(created_after=since), api.list_files(created_after=since)
    assert [(one.id, one.created_at) for one in batches] == [("x-1", moment)]
    assert [(one.id, one.created_at) for one in files] == [("x-1", moment)]


def test_counts_that_no_column_holds_are_not_known(api: BatchApi, server: ScriptedServer) -> None:
    counts = {"total": 10**15, "completed": -1, "failed": 3}
    server.answer(as_json({"id": "batch_1", "status": "completed", "request_counts": counts}))
    batch = api.retrieve("batch_1")
    assert (batch.total, batch.completed, batch.failed) == (0, 0, 3)


@pytest.mark.parametrize(
    ("usage", "billed"),
    [
        (
            {
                "input_tokens": 5_000_000_000,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens": 7,
            },
            Usage(5_000_000_000, 7, 5_000_000_007, cached_tokens=4),
        ),
        ({"input_tokens": 3, "output_tokens": 0}, Usage(3, 0, 3, cached_tokens=0)),
        ({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 9}}, Usage(3, 0, 3, 3)),
        ({"input_tokens": 0, "output_tokens": 0}, None),
        ({"input_tokens": -1, "output_tokens": "many"}, None),
        ({"input_tokens": True, "output_tokens": 10**30}, None),
        ([], None),
        (None, None),
    ],
)
def test_what_a_batch_has_used_is_read_where_the_server_counts(
    usage: object, billed: Usage | None, api: BatchApi, server: ScriptedServer
) -> None:
    server.answer(as_json({"id": "batch_1", "status": "completed", "usage": usage}))
    assert api.retrieve("batch_1").billed == billed
