"""Faults of rows: wrong lines in results, and what is billed for them."""

import json
from typing import Any

import openai
import pytest
from openai.types import Batch

from batch_assets_tests.local.batch_server.support import Lab, row, rows


def run(lab: Lab, effect: dict[str, Any], **match: Any) -> Batch:
    """Run r1, r2 and r3 with the effect on r2, unless told otherwise."""
    lab.configure(rows=[{"custom_id": "^r2$", "effect": effect} | match])
    done = lab.run(rows(3))
    assert done.status == "completed"
    return done


def billed(lab: Lab, batch: Batch) -> list[str]:
    return sorted(str(entry.custom_id) for entry in lab.server.ledger().entries(batch_id=batch.id))


def by_id(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {line["custom_id"]: line for line in lines}


@pytest.mark.parametrize("status", [0, 429, 500])
def test_a_row_with_an_http_error(lab: Lab, status: int) -> None:
    done = run(lab, {"kind": "http_error", "status": status})
    (line,) = lab.lines(done.error_file_id)
    assert (line["custom_id"], line["error"]) == ("r2", None)
    assert line["response"]["status_code"] == status
    assert set(line["response"]["body"]["error"]) == {"message", "type", "param", "code"}
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (2, 1)
    assert billed(lab, done) == ["r1", "r3"]


def test_a_row_that_never_ran(lab: Lab) -> None:
    done = run(lab, {"kind": "error_line"})
    (line,) = lab.lines(done.error_file_id)
    assert list(line) == ["id", "custom_id", "response", "error"]
    assert line["response"] is None
    assert set(line["error"]) == {"code", "message"}
    assert line["error"]["code"] == "request_timeout"
    assert billed(lab, done) == ["r1", "r3"]


def test_a_lost_line_is_billed(lab: Lab) -> None:
    done = run(lab, {"kind": "missing"})
    assert set(by_id(lab.lines(done.output_file_id))) == {"r1", "r3"}
    assert done.error_file_id is None
    assert billed(lab, done) == ["r1", "r2", "r3"]


def test_a_doubled_line_is_billed_once(lab: Lab) -> None:
    done = run(lab, {"kind": "duplicate"})
    lines = lab.lines(done.output_file_id)
    assert sorted(line["custom_id"] for line in lines) == ["r1", "r2", "r2", "r3"]
    assert billed(lab, done) == ["r1", "r2", "r3"]


def test_a_line_of_a_stranger(lab: Lab) -> None:
    done = run(lab, {"kind": "unknown_custom_id"})
    ids = set(by_id(lab.lines(done.output_file_id)))
    assert ids >= {"r1", "r3"}
    (stranger,) = ids - {"r1", "r3"}
    assert stranger.startswith("stranger-")
    assert billed(lab, done) == ["r1", "r2", "r3"]


def test_a_line_that_is_not_json(lab: Lab) -> None:
    done = run(lab, {"kind": "invalid_json"})
    raw = lab.client.files.content(done.output_file_id or "").read().splitlines()
    assert len(raw) == 3
    broken = []
    for line in raw:
        try:
            json.loads(line)
        except ValueError:
            broken.append(line)
    assert len(broken) == 1
    assert billed(lab, done) == ["r1", "r2", "r3"]


def test_other_content(lab: Lab) -> None:
    done = run(lab, {"kind": "content", "content": "no JSON at all"})
    line = by_id(lab.lines(done.output_file_id))["r2"]
    choice = line["response"]["body"]["choices"][0]
    assert choice["message"]["content"] == "no JSON at all"
    assert choice["finish_reason"] == "stop"
    assert billed(lab, done) == ["r1", "r2", "r3"]


@pytest.mark.parametrize(
    ("kind", "begins", "times"),
    [
        ("twice", "{", 2),
        ("fenced", "```json\n{", 1),
        ("prose", "Here is", 1),
        ("think", "<think>", 1),
    ],
)
def test_the_answer_in_another_shape(lab: Lab, kind: str, begins: str, times: int) -> None:
    plain = run(lab, {"kind": "refusal"})
    usual = by_id(lab.lines(plain.output_file_id))["r1"]["response"]["body"]["choices"][0]
    done = run(lab, {"kind": kind})
    content = by_id(lab.lines(done.output_file_id))["r2"]["response"]["body"]["choices"][0]
    assert content["message"]["content"].startswith(begins)
    assert content["message"]["content"].count(usual["message"]["content"]) == times
    assert billed(lab, done) == ["r1", "r2", "r3"]


def test_content_in_parts(lab: Lab) -> None:
    line = by_id(lab.lines(run(lab, {"kind": "parts"}).output_file_id))["r2"]
    parts = line["response"]["body"]["choices"][0]["message"]["content"]
    assert [part["type"] for part in parts] == ["text", "text"]
    assert json.loads("".join(part["text"] for part in parts)) == {
        "messages": 1,
        "formatted": False,
    }


def test_an_answer_without_usage_is_billed_all_the_same(lab: Lab) -> None:
    done = run(lab, {"kind": "without_usage"})
    lines = by_id(lab.lines(done.output_file_id))
    assert "usage" not in lines["r2"]["response"]["body"]
    assert "usage" in lines["r1"]["response"]["body"]
    assert billed(lab, done) == ["r1", "r2", "r3"]


def test_a_refusal(lab: Lab) -> None:
    done = run(lab, {"kind": "refusal"})
    message = by_id(lab.lines(done.output_file_id))["r2"]["response"]["body"]["choices"][0]
    assert message["message"]["content"] is None
    assert message["message"]["refusal"]
    assert billed(lab, done) == ["r1", "r2", "r3"]


def test_an_answer_that_is_cut_off(lab: Lab) -> None:
    lines = by_id(lab.lines(run(lab, {"kind": "length"}).output_file_id))
    cut, whole = (lines[name]["response"]["body"]["choices"][0] for name in ("r2", "r1"))
    assert cut["finish_reason"] == "length"
    assert whole["message"]["content"].startswith(cut["message"]["content"])
    assert len(cut["message"]["content"]) < len(whole["message"]["content"])


def test_rows_are_matched_by_line(lab: Lab) -> None:
    done = run(lab, {"kind": "error_line"}, custom_id=None, lines=[1, 3])
    assert set(by_id(lab.lines(done.error_file_id))) == {"r1", "r3"}


def struck(lab: Lab) -> set[str]:
    return set(by_id(lab.lines(lab.run(rows(60)).error_file_id)))


def test_a_sticky_rule_strikes_the_same_rows_in_every_batch(lab: Lab) -> None:
    chance = {"probability": 0.3, "effect": {"kind": "error_line"}}
    lab.configure(rows=[chance | {"sticky": True}])
    poisoned = struck(lab)
    assert 5 < len(poisoned) < 35
    assert struck(lab) == poisoned
    lab.configure(rows=[chance])
    assert struck(lab) != struck(lab)


def test_live_calls_can_be_struck(fresh_lab: Lab) -> None:
    def ask() -> openai.types.chat.ChatCompletion:
        return fresh_lab.client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hello"}]
        )

    fresh_lab.configure(rows=[{"where": "live", "effect": {"kind": "http_error", "status": 500}}])
    with pytest.raises(openai.InternalServerError):
        ask()
    assert fresh_lab.server.ledger().totals().requests == 0
    fresh_lab.configure(rows=[{"where": "live", "effect": {"kind": "refusal"}}])
    assert ask().choices[0].message.refusal
    assert fresh_lab.server.ledger().totals().live_requests == 1
    assert fresh_lab.run([row("r1")]).error_file_id is None


def test_an_answerer_that_fails_is_a_500_for_its_row(lab: Lab) -> None:
    stumble = [{"role": "user", "content": [{"type": "text", "text": "stumble"}]}]
    done = lab.run([row("r1"), row("r2", messages=stumble)])
    (line,) = lab.lines(done.error_file_id)
    assert (line["custom_id"], line["response"]["status_code"]) == ("r2", 500)
    assert line["response"]["body"]["error"]["type"] == "server_error"
    assert billed(lab, done) == ["r1"]
