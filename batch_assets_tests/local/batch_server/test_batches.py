"""Creating, reading, listing and cancelling batches with the openai SDK."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest

from batch_assets_tests.local.batch_server.support import ENDPOINT, Lab, row, rows


def test_a_batch_runs_to_its_end(lab: Lab) -> None:
    made = lab.create(rows(3), metadata={"intent": "7", "installation": "here"})
    assert made.id.startswith("batch_")
    assert (made.object, made.endpoint, made.completion_window) == ("batch", ENDPOINT, "24h")
    assert made.status == "validating"
    assert made.expires_at == made.created_at + 86_400
    assert made.request_counts is not None
    assert made.request_counts.total == 0

    done = lab.until(made, "completed")
    assert done.metadata == {"intent": "7", "installation": "here"}
    assert done.model == "gpt-4o-mini-2024-07-18"
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 3, "completed": 3, "failed": 0}
    assert done.output_file_id is not None
    assert (done.error_file_id, done.errors) == (None, None)
    times = (done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at)
    assert None not in times
    assert list(times) == sorted(time for time in times if time is not None)
    assert (done.failed_at, done.expired_at, done.cancelled_at) == (None, None, None)


def test_the_usage_of_a_batch_is_the_sum_of_its_rows(lab: Lab) -> None:
    done = lab.run(rows(4, model="o4-mini"))
    usages = [line["response"]["body"]["usage"] for line in lab.lines(done.output_file_id)]
    assert done.usage is not None
    assert done.usage.input_tokens == sum(usage["prompt_tokens"] for usage in usages)
    assert done.usage.output_tokens == sum(usage["completion_tokens"] for usage in usages)
    assert done.usage.output_tokens_details.reasoning_tokens == sum(
        usage["completion_tokens_details"]["reasoning_tokens"] for usage in usages
    )
    assert done.usage.total_tokens == sum(usage["total_tokens"] for usage in usages)


def test_the_life_of_a_batch_can_be_watched(lab: Lab) -> None:
    lab.configure(
        timing={"validation_seconds": 0.15, "processing_seconds": 0.4, "finalizing_seconds": 0.15}
    )
    made = lab.create(rows(8))
    seen: list[str] = []
    counts: set[int] = set()
    while not seen or seen[-1] != "completed":
        batch = lab.client.batches.retrieve(made.id)
        if batch.status not in seen[-1:]:
            seen.append(batch.status)
        if batch.status == "in_progress" and batch.request_counts:
            counts.add(batch.request_counts.completed)
    assert seen == ["validating", "in_progress", "finalizing", "completed"]
    assert len(counts) > 2, "the counts do not grow while the batch runs"


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"input_file_id": None}, "input_file_id", "missing_required_parameter"),
        ({"input_file_id": 7}, "input_file_id", "invalid_type"),
        ({"input_file_id": "file-unknown"}, "input_file_id", None),
        ({"endpoint": "/v1/embeddings"}, "endpoint", "invalid_value"),
        ({"completion_window": "1h"}, "completion_window", "invalid_value"),
        ({"metadata": {"k" * 65: "v"}}, "metadata", "property_name_above_max_length"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "string_above_max_length"),
        ({"metadata": {"k": 1}}, "metadata.k", "invalid_type"),
        (
            {"metadata": {str(n): "" for n in range(17)}},
            "metadata",
            "object_above_max_properties",
        ),
        ({"output_expires_after": {"seconds": 7200}}, "anchor", "missing_required_parameter"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 2_592_001}},
            "output_expires_after.seconds",
            "integer_above_max_value",
        ),
        ({"surprise": 1}, "surprise", "unknown_parameter"),
    ],
)
def test_wrong_parameters_are_refused(
    lab: Lab, change: dict[str, Any], param: str, code: str | None
) -> None:
    right = {
        "input_file_id": lab.upload([row("r1")]).id,
        "endpoint": ENDPOINT,
        "completion_window": "24h",
    }
    with pytest.raises(openai.BadRequestError) as refused:
        lab.client.post("/batches", cast_to=object, body=right | change)
    assert (refused.value.param, refused.value.code) == (param, code)
    assert refused.value.type == "invalid_request_error"


def test_metadata_at_its_limits_comes_back_unchanged(lab: Lab) -> None:
    metadata = {f"{n:064}": "é" * 512 for n in range(16)}
    made = lab.create([row("r1")], metadata=metadata)
    assert lab.client.batches.retrieve(made.id).metadata == metadata
    assert lab.client.batches.list(limit=1).data[0].metadata == metadata


def test_a_body_that_is_not_json_is_refused(lab: Lab) -> None:
    answer = httpx2.post(
        f"{lab.server.base_url}/batches",
        headers={"authorization": "Bearer local"},
        content=b"{",
    )
    assert answer.status_code == 400
    assert "could not parse the JSON body" in answer.json()["error"]["message"]


def test_the_input_file_must_have_the_purpose_batch(lab: Lab) -> None:
    file = lab.client.files.create(file=("a.jsonl", b"{}"), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="Invalid file purpose"):
        lab.client.batches.create(input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h")


def test_a_batch_of_a_deleted_input_file_is_taken_and_fails_in_validation(lab: Lab) -> None:
    file = lab.upload([row("r1")])
    lab.client.files.delete(file.id)
    made = lab.client.batches.create(
        input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h"
    )
    assert (made.status, made.input_file_id) == ("validating", file.id)
    done = lab.until(made, "failed")
    assert done.errors is not None
    (error,) = done.errors.data or []
    assert (error.code, error.param, error.line) == ("invalid_request", "file_id", None)
    assert (done.output_file_id, done.error_file_id) == (None, None)
    assert list(lab.server.ledger().entries(batch_id=done.id)) == []


def test_an_input_file_that_never_was_is_refused(lab: Lab) -> None:
    with pytest.raises(openai.BadRequestError, match="No such File object"):
        lab.client.batches.create(
            input_file_id="file-unknown", endpoint=ENDPOINT, completion_window="24h"
        )


def test_a_batch_outlives_the_deletion_of_its_input(lab: Lab) -> None:
    lab.configure(timing={"hold_after_rows": 1})
    made = lab.create(rows(3))
    lab.client.files.delete(made.input_file_id)
    lab.configure()
    assert len(lab.lines(lab.until(made, "completed").output_file_id)) == 3
    assert list((lab.server.state_dir / "inputs").iterdir()) == []


def test_the_list_is_newest_first_and_paged(fresh_lab: Lab) -> None:
    made = [fresh_lab.create([row(f"r{n}")]).id for n in range(5)]
    newest_first = made[::-1]
    batches = fresh_lab.client.batches

    assert [batch.id for batch in batches.list()] == newest_first
    assert [batch.id for batch in batches.list(limit=2)] == newest_first
    page = batches.list(limit=2)
    assert ([batch.id for batch in page.data], page.has_more) == (newest_first[:2], True)
    assert page.to_dict()["first_id"] == newest_first[0]
    assert page.to_dict()["last_id"] == newest_first[1]
    assert [batch.id for batch in batches.list(after=newest_first[3])] == newest_first[4:]
    assert batches.list(limit=5).has_more is False


@pytest.mark.parametrize("limit", [0, 101])
def test_a_page_has_1_to_100_batches(lab: Lab, limit: int) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        lab.client.batches.list(limit=limit)
    assert refused.value.param == "limit"


def test_an_unknown_batch_is_not_found(lab: Lab) -> None:
    for call in (
        lambda: lab.client.batches.retrieve("batch_unknown"),
        lambda: lab.client.batches.cancel("batch_unknown"),
        lambda: lab.client.batches.list(after="batch_unknown"),
    ):
        with pytest.raises(openai.NotFoundError, match="No batch found with id 'batch_unknown'"):
            call()


def test_too_many_batches_an_hour_are_refused(fresh_lab: Lab) -> None:
    fresh_lab.configure(limits={"batches_per_hour": 1})
    fresh_lab.create([row("r1")])
    with pytest.raises(openai.RateLimitError) as refused:
        fresh_lab.create([row("r2")])
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.response.headers["retry-after"] == "60"


def test_of_calls_at_one_time_the_hour_takes_no_more_than_it_has_room_for(fresh_lab: Lab) -> None:
    # The rule lets the server read a long first line between its look and the creation.
    rule = {"model": "another", "end_as": "failed"}
    fresh_lab.configure(limits={"batches_per_hour": 3}, batches=[rule])
    long = row("r1", stop=["x"] * 300_000)
    file_ids = [fresh_lab.upload([long]).id for _ in range(12)]

    def is_created(file_id: str) -> bool:
        try:
            fresh_lab.client.with_options(max_retries=0).batches.create(
                input_file_id=file_id, endpoint=ENDPOINT, completion_window="24h"
            )
        except openai.RateLimitError:
            return False
        return True

    with ThreadPoolExecutor(12) as threads:
        assert sum(threads.map(is_created, file_ids)) == 3
    assert len(fresh_lab.client.batches.list().data) == 3


def test_result_files_expire_when_the_batch_says_so(lab: Lab) -> None:
    done = lab.run([row("r1")], output_expires_after={"anchor": "created_at", "seconds": 7200})
    output = lab.client.files.retrieve(done.output_file_id or "")
    assert output.expires_at is not None
    assert output.expires_at - output.created_at == 7200
    assert output.purpose == "batch_output"
    assert output.filename == f"{done.id}_output.jsonl"


def test_all_routes_answer_json_objects_with_a_request_id(lab: Lab) -> None:
    raw = lab.client.batches.with_raw_response.list()
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.request_id == raw.headers["x-request-id"]
    assert json.loads(raw.text)["object"] == "list"
