"""The ledger: over HTTP, from the file, and with what was billed twice in plain sight."""

import json

from batch_assets_tests.local.batch_server.support import Lab, row, rows


def test_every_answered_row_is_there_once(fresh_lab: Lab) -> None:
    done = fresh_lab.run(rows(700), metadata={"intent": "7"})
    entries = list(fresh_lab.server.ledger().entries())
    assert [entry.id for entry in entries] == list(range(1, 701))
    assert {entry.custom_id for entry in entries} == {f"r{n}" for n in range(1, 701)}
    (first, *_) = entries
    assert (first.kind, first.batch_id, first.input_file_id) == (
        "batch",
        done.id,
        done.input_file_id,
    )
    assert (first.model, first.metadata) == ("gpt-4o-mini-2024-07-18", {"intent": "7"})
    assert abs(first.created_at - done.created_at) < 10

    totals = fresh_lab.server.ledger().totals()
    assert done.usage is not None
    assert (totals.requests, totals.distinct_custom_ids, totals.live_requests) == (700, 700, 0)
    assert totals.prompt_tokens == done.usage.input_tokens
    assert totals.completion_tokens == done.usage.output_tokens
    assert fresh_lab.server.ledger().repeated() == {}


def test_a_row_that_is_billed_twice_shows(fresh_lab: Lab) -> None:
    fresh_lab.run(rows(2))
    fresh_lab.run([row("r2"), row("r3")])
    assert fresh_lab.server.ledger().repeated() == {"r2": 2}
    summary = fresh_lab.control("GET", "summary").json()
    assert summary["billed_more_than_once"] == {"r2": 2}
    assert summary["ledger"]["requests"] == 4
    assert summary["batches"] == {"completed": 2}
    assert summary["files"] == {"batch": 2, "batch_output": 2}


def test_the_ledger_is_read_over_http(fresh_lab: Lab) -> None:
    done = fresh_lab.run(rows(1_500))
    fresh_lab.client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "hello"}]
    )

    def lines(**query: str) -> list[dict[str, object]]:
        answer = fresh_lab.control("GET", "ledger", params=query)
        return [json.loads(line) for line in answer.text.splitlines()]

    assert len(lines()) == 1_501
    assert lines()[0] == next(fresh_lab.server.ledger().entries()).as_json()
    assert [line["id"] for line in lines(since_id="1499")] == [1500, 1501]
    assert len(lines(kind="live")) == 1
    assert len(lines(batch_id=done.id)) == 1_500
    assert [line["custom_id"] for line in lines(custom_id="r77")] == ["r77"]
    assert fresh_lab.control("GET", "ledger", params={"since_id": "x"}).status_code == 400
