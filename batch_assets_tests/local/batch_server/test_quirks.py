"""What other servers do beside the book, switched on one by one."""

import json

import openai
from openai.types.chat import ChatCompletion

from batch_assets_tests.local.batch_server.support import Lab, row, rows


def test_an_empty_error_file_on_clean_success(lab: Lab) -> None:
    lab.configure(quirks={"empty_error_file": True})
    done = lab.run(rows(2))
    assert done.error_file_id is not None
    assert lab.client.files.retrieve(done.error_file_id).bytes == 0
    assert lab.client.files.content(done.error_file_id).read() == b""


def test_empty_strings_for_file_ids(lab: Lab) -> None:
    lab.configure(quirks={"empty_string_file_ids": True})
    made = lab.create(rows(1))
    assert (made.output_file_id, made.error_file_id) == ("", "")
    done = lab.until(made, "completed")
    assert done.error_file_id == ""
    assert done.output_file_id


def test_bodies_as_strings(lab: Lab) -> None:
    lab.configure(quirks={"string_bodies": True})
    (line,) = lab.lines(lab.run(rows(1)).output_file_id)
    assert isinstance(line["response"]["body"], str)
    assert ChatCompletion.model_validate_json(line["response"]["body"]).choices


def test_errors_in_the_output_file(lab: Lab) -> None:
    lab.configure(quirks={"errors_in_output_file": True})
    done = lab.run([row("good"), row("bad", temperature=3)])
    assert done.error_file_id is None
    statuses = {line["response"]["status_code"] for line in lab.lines(done.output_file_id)}
    assert statuses == {200, 400}


def test_errors_without_a_response(lab: Lab) -> None:
    lab.configure(
        quirks={"errors_without_response": True},
        rows=[{"lines": [1], "effect": {"kind": "error_line"}}],
    )
    lines = lab.lines(lab.run([row("r1"), row("r2", temperature=3)]).error_file_id)
    assert [set(line) for line in lines] == [{"id", "custom_id", "error"}] * 2


def test_unescaped_unicode(lab: Lab) -> None:
    content = json.dumps("é\u2028", ensure_ascii=False)
    effect = {"kind": "content", "content": content}
    lab.configure(quirks={"unescaped_unicode": True}, rows=[{"effect": effect}])
    raw = lab.client.files.content(lab.run(rows(1)).output_file_id or "").read()
    assert "é\u2028".encode() in raw
    assert json.loads(raw)["response"]["body"]["choices"][0]["message"]["content"] == content


def test_missing_fields(lab: Lab) -> None:
    lab.configure(quirks={"omit_batch_fields": ["request_counts", "usage", "model"]})
    done = lab.run(rows(1))
    assert (done.request_counts, done.usage, done.model) == (None, None, None)
    assert not {"request_counts", "usage", "model"} & set(done.to_dict())


def test_an_unknown_status(lab: Lab) -> None:
    lab.configure(
        quirks={"rename_status": {"in_progress": "scheduling"}}, timing={"hold_after_rows": 0}
    )
    assert lab.until(lab.create(rows(1)), "scheduling").in_progress_at is not None


def test_an_output_file_that_lags(lab: Lab) -> None:
    lab.configure(quirks={"output_file_lag_seconds": 0.3})
    done = lab.run(rows(1))
    assert (done.status, done.output_file_id) == ("completed", None)
    while done.output_file_id is None:
        done = lab.client.batches.retrieve(done.id)
    assert lab.lines(done.output_file_id)


def test_lists_that_lag(lab: Lab) -> None:
    def listed() -> tuple[bool, bool]:
        batches: list[openai.types.Batch] = lab.client.batches.list().data
        files = lab.client.files.list().data
        return (
            made.id in {batch.id for batch in batches},
            made.input_file_id in {file.id for file in files},
        )

    lab.configure(quirks={"batch_list_lag_seconds": 60, "file_list_lag_seconds": 60})
    made = lab.create(rows(1))
    assert listed() == (False, False)
    assert lab.client.batches.retrieve(made.id).id == made.id
    lab.configure(
        quirks={"batch_list_lag_seconds": 60, "file_list_lag_seconds": 60},
        timing={"clock_offset_seconds": 61},
    )
    assert listed() == (True, True)
