"""Input files that fail validation: every code, with the number of the line."""

import json
from typing import Any

import openai
import pytest

from batch_assets_tests.local.batch_server.support import Lab, jsonl, row, rows


def failed(lab: Lab, content: bytes | list[dict[str, Any]]) -> openai.types.Batch:
    batch = lab.run(content)
    assert batch.status == "failed"
    assert batch.failed_at is not None
    assert (batch.output_file_id, batch.error_file_id, batch.in_progress_at) == (None, None, None)
    return batch


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{not json}", "invalid_json_line"),
        (b"[1, 2]", "invalid_json_line"),
        (b"", "invalid_json_line"),
        (b'{"custom_id": NaN}', "invalid_json_line"),
        (b'{"custom_id": "\\ud800"}', "invalid_json_line"),
        (b'{"custom_id": "\xff"}', "invalid_json_line"),
        (json.dumps(row("r1")).encode(), "duplicate_custom_id"),
        (json.dumps(row("r2", model="gpt-nonesuch")).encode(), "model_not_found"),
        (json.dumps(row("r2", model="gpt-4o")).encode(), "model_mismatch"),
        (json.dumps(row("r2") | {"url": "/v1/embeddings"}).encode(), "url_mismatch"),
        (json.dumps(row("r2") | {"method": "GET"}).encode(), "invalid_request"),
        (json.dumps(row("r2") | {"custom_id": 2}).encode(), "invalid_request"),
        (json.dumps(row("r2") | {"custom_id": ""}).encode(), "invalid_request"),
        (json.dumps(row("r2") | {"body": "text"}).encode(), "invalid_request"),
        (json.dumps(row("r2") | {"extra": 1}).encode(), "invalid_request"),
        (json.dumps(row("r2", model=None)).encode(), "invalid_request"),
        (json.dumps({"custom_id": "r2"}).encode(), "invalid_request"),
    ],
)
def test_a_wrong_line_fails_the_batch(lab: Lab, line: bytes, code: str) -> None:
    content = jsonl([row("r1")]) + line + b"\n" + jsonl([row("r3")])
    assert lab.errors(failed(lab, content)) == [(code, 2)]


def test_errors_have_a_message_and_a_param(lab: Lab) -> None:
    batch = failed(lab, [row("r1"), row("r1")])
    assert batch.errors is not None
    assert batch.errors.object == "list"
    (error,) = batch.errors.data or []
    assert error.message is not None
    assert "duplicate" in error.message
    assert error.param == "custom_id"


def test_every_wrong_line_is_named(lab: Lab) -> None:
    content = b"x\n" + jsonl([row("r1")]) + b"y\n"
    assert lab.errors(failed(lab, content)) == [("invalid_json_line", 1), ("invalid_json_line", 3)]


def test_at_most_a_hundred_errors_are_kept(lab: Lab) -> None:
    assert len(lab.errors(failed(lab, b"x\n" * 500))) == 100


def test_a_byte_order_mark_is_not_json(lab: Lab) -> None:
    content = b"\xef\xbb\xbf" + jsonl(rows(2))
    assert lab.errors(failed(lab, content)) == [("invalid_json_line", 1)]


def test_empty_files_and_empty_batches(lab: Lab) -> None:
    assert lab.errors(failed(lab, b"")) == [("empty_file", None)]
    assert lab.errors(failed(lab, b"\n \n")) == [("empty_batch", None)]


def test_too_many_requests(lab: Lab) -> None:
    lab.configure(limits={"max_requests": 3})
    assert lab.run(rows(3)).status == "completed"
    assert lab.errors(failed(lab, rows(4))) == [("too_many_tasks", None)]


def test_an_input_file_that_is_too_large(lab: Lab) -> None:
    lab.configure(limits={"max_input_bytes": 100})
    assert lab.errors(failed(lab, rows(4))) == [("invalid_request", None)]


def test_a_last_line_needs_no_newline_and_lines_may_end_as_on_windows(lab: Lab) -> None:
    content = b"\r\n".join(json.dumps(line).encode() for line in rows(3))
    assert len(lab.lines(lab.run(content).output_file_id)) == 3


def test_a_snapshot_counts_as_its_model(lab: Lab) -> None:
    content = [row("r1"), row("r2", model="gpt-4o-mini-2024-07-18")]
    assert lab.run(content).status == "completed"


def test_enqueued_tokens_are_limited_per_model(lab: Lab) -> None:
    heavy = {"messages": [{"role": "user", "content": "x" * 400}]}
    timing = {"hold_after_rows": 0}
    lab.configure(timing=timing, limits={"enqueued_tokens": {"gpt-4o-mini": 250}})
    first = lab.until(lab.create(rows(2, **heavy)), "in_progress")

    refused = failed(lab, rows(1, **heavy))
    assert lab.errors(refused) == [("token_limit_exceeded", None)]
    assert refused.errors is not None
    (error,) = refused.errors.data or []
    assert error.message is not None
    assert "Limit: 250 enqueued tokens" in error.message
    assert lab.until(lab.create(rows(1, model="gpt-4o", **heavy)), "in_progress")

    lab.configure(limits={"enqueued_tokens": {"gpt-4o-mini": 250}})
    lab.until(first, "completed")
    assert lab.run(rows(1, **heavy)).status == "completed", "its tokens are free again"


def test_a_limit_for_all_other_models(lab: Lab) -> None:
    lab.configure(limits={"enqueued_tokens": {"*": 1, "gpt-4o": 1000}})
    assert lab.errors(failed(lab, rows(1))) == [("token_limit_exceeded", None)]
    assert lab.run(rows(1, model="gpt-4o")).status == "completed"


def test_other_models_can_be_added(lab: Lab) -> None:
    lab.configure(models=[{"id": "house-model", "reasoning": True}])
    (line,) = lab.lines(lab.run(rows(1, model="house-model")).output_file_id)
    assert line["response"]["body"]["model"] == "house-model"


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({}, [("unheard_of", None)]),
        ({"name_lines": True}, [("unheard_of", 2), ("unheard_of", 4)]),
    ],
)
def test_a_rule_refuses_batches_that_have_certain_rows(
    lab: Lab, rule: dict[str, Any], wanted: list[tuple[str, int | None]]
) -> None:
    refuses = {"end_as": "failed", "code": "unheard_of", "custom_id": "^r[24]$", **rule}
    lab.configure(batches=[refuses])
    assert lab.errors(failed(lab, rows(5))) == wanted
    assert lab.run([row("r1"), row("r3")]).status == "completed"
