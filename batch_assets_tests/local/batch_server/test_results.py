"""Result files: the shapes of their lines, and what the openai SDK makes of them."""

import json

from openai.types.chat import ChatCompletion

from batch_assets_tests.local.batch_server.support import Lab, echo, row, rows


def test_an_output_line_has_openais_shape(lab: Lab) -> None:
    (line,) = lab.lines(lab.run([row("row-1")]).output_file_id)
    assert list(line) == ["id", "custom_id", "response", "error"]
    assert line["id"].startswith("batch_req_")
    assert line["custom_id"] == "row-1"
    assert line["error"] is None
    assert list(line["response"]) == ["status_code", "request_id", "body"]
    assert line["response"]["status_code"] == 200
    assert len(line["response"]["request_id"]) == 32

    completion = ChatCompletion.model_validate(line["response"]["body"], strict=True)
    assert completion.id.startswith("chatcmpl-")
    assert completion.object == "chat.completion"
    assert completion.model == "gpt-4o-mini-2024-07-18"
    assert completion.service_tier == "default"
    assert completion.system_fingerprint is not None
    assert completion.system_fingerprint.startswith("fp_")
    (choice,) = completion.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert choice.message.role == "assistant"
    assert choice.message.refusal is None
    assert choice.message.content == echo([{}], None)


def test_usage_has_every_detail(lab: Lab) -> None:
    content = "é" * 200  # 400 bytes
    (line,) = lab.lines(
        lab.run([row("r1", messages=[{"role": "user", "content": content}])]).output_file_id
    )
    usage = line["response"]["body"]["usage"]
    answer = line["response"]["body"]["choices"][0]["message"]["content"]
    assert usage["prompt_tokens"] == 100 + 3
    assert usage["completion_tokens"] == -(-len(answer) // 4)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0, "audio_tokens": 0}
    assert usage["completion_tokens_details"] == {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }


def test_long_shared_prefixes_are_partly_cached(lab: Lab) -> None:
    messages = [
        {"role": "system", "content": "instructions " * 400},
        {"role": "user", "content": "hello"},
    ]
    lines = lab.lines(lab.run(rows(40, messages=messages)).output_file_id)
    details = [line["response"]["body"]["usage"]["prompt_tokens_details"] for line in lines]
    cached = {detail["cached_tokens"] for detail in details}
    assert cached == {0, 1280}
    assert 1280 % 128 == 0


def test_the_order_is_not_that_of_the_input(lab: Lab) -> None:
    lines = lab.lines(lab.run(rows(1_200)).output_file_id)
    order = [line["custom_id"] for line in lines]
    expected = [f"r{number}" for number in range(1, 1_201)]
    assert order != expected
    assert sorted(order) == sorted(expected)


def test_a_row_that_is_refused_goes_to_the_error_file(lab: Lab) -> None:
    done = lab.run([row("good"), row("bad", temperature=3)])
    assert done.status == "completed"
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 2, "completed": 1, "failed": 1}
    assert [line["custom_id"] for line in lab.lines(done.output_file_id)] == ["good"]
    (line,) = lab.lines(done.error_file_id)
    assert list(line) == ["id", "custom_id", "response", "error"]
    assert (line["custom_id"], line["error"]) == ("bad", None)
    assert line["response"]["status_code"] == 400
    assert line["response"]["body"]["error"] == {
        "message": (
            "Invalid 'temperature': decimal above maximum value. "
            "Expected a value <= 2, but got 3.0 instead."
        ),
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "decimal_above_max_value",
    }
    assert {entry.custom_id for entry in lab.server.ledger().entries(batch_id=done.id)} == {"good"}


def test_a_batch_whose_rows_all_fail_completes_without_output(lab: Lab) -> None:
    done = lab.run(rows(3, temperature=3))
    assert (done.status, done.output_file_id) == ("completed", None)
    assert len(lab.lines(done.error_file_id)) == 3


def test_rows_are_judged_one_by_one(lab: Lab) -> None:
    schema = {"type": "object", "properties": {}, "required": []}
    content = [
        row("fine", model="o4-mini", max_completion_tokens=2000),
        row("warm", model="o4-mini", temperature=0.1),
        row("short", model="o4-mini", max_tokens=100),
        row(
            "loose",
            model="o4-mini",
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": schema},
            },
        ),
    ]
    done = lab.run(content)
    assert [line["custom_id"] for line in lab.lines(done.output_file_id)] == ["fine"]
    errors = {
        line["custom_id"]: line["response"]["body"]["error"]
        for line in lab.lines(done.error_file_id)
    }
    assert {name: (error["param"], error["code"]) for name, error in errors.items()} == {
        "warm": ("temperature", "unsupported_value"),
        "short": ("max_tokens", "unsupported_parameter"),
        "loose": ("response_format", None),
    }


def test_the_same_row_gives_the_same_answer_live(lab: Lab) -> None:
    request = row("r1", messages=[{"role": "user", "content": "the same"}])
    (line,) = lab.lines(lab.run([request]).output_file_id)
    live = lab.client.post("/chat/completions", cast_to=ChatCompletion, body=request["body"])
    batched = ChatCompletion.model_validate(line["response"]["body"])
    assert live.choices == batched.choices
    assert live.usage == batched.usage


def test_an_answer_of_any_text_stays_one_line(lab: Lab) -> None:
    odd = json.dumps("line\u2028separator\x85and\r\nnewline \U0001f600")
    lab.configure(rows=[{"effect": {"kind": "content", "content": odd}}])
    (line,) = lab.lines(lab.run([row("r1")]).output_file_id)
    assert line["response"]["body"]["choices"][0]["message"]["content"] == odd
