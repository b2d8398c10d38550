"""Every shape that a result line can have ends its request in the right place."""

import json
from typing import Any

import pytest

from batch_assets_tests.stages.support import ANSWER, Lab

CASES: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "an answer": ({"kind": "content", "content": json.dumps(ANSWER)}, "complete", None),
    "an answer in a fence": (
        {"kind": "content", "content": f"```json\n{json.dumps(ANSWER)}\n```"},
        "complete",
        None,
    ),
    "not JSON": ({"kind": "content", "content": "I think it is fine."}, "retry", "invalid_json"),
    "a wrong shape": ({"kind": "content"}, "retry", "invalid_answer"),
    "a wrong category": (
        {"kind": "content", "content": json.dumps(ANSWER | {"category": "LUNCH"})},
        "retry",
        "invalid_answer",
    ),
    "an empty answer": ({"kind": "content", "content": ""}, "retry", "empty_answer"),
    "a refusal": ({"kind": "refusal"}, "dead", "refused"),
    "cut off": ({"kind": "length"}, "retry", "truncated_answer"),
    "HTTP 400": ({"kind": "http_error", "status": 400}, "dead", None),
    "HTTP 401": ({"kind": "http_error", "status": 401}, "retry", None),
    "HTTP 403": ({"kind": "http_error", "status": 403}, "dead", None),
    "HTTP 429": ({"kind": "http_error", "status": 429}, "retry", "no_room_alone"),
    "HTTP 500": ({"kind": "http_error", "status": 500}, "retry", None),
    "status 0": ({"kind": "http_error", "status": 0}, "retry", None),
    "never ran": ({"kind": "error_line", "code": "request_timeout"}, "retry", "request_timeout"),
    "expired": ({"kind": "error_line", "code": "batch_expired"}, "waiting", None),
    "cancelled": ({"kind": "error_line", "code": "batch_cancelled"}, "waiting", None),
    "a missing line": ({"kind": "missing"}, "retry", "missing_result"),
    "a doubled line": ({"kind": "duplicate"}, "complete", None),
    "a stranger's line": ({"kind": "unknown_custom_id"}, "retry", "missing_result"),
    "a broken line": ({"kind": "invalid_json"}, "retry", "missing_result"),
}
UNCOUNTED = {"HTTP 401", "expired", "cancelled"}
PAID = {"not JSON", "a wrong shape", "a wrong category", "a refusal", "cut off", "an empty answer"}
REFUSED_LINES = {
    "a doubled line": {"duplicate": 1},
    "a stranger's line": {"not_in_batch": 1},
    "a broken line": {"invalid_json": 1},
}


def run(lab: Lab, effect: dict[str, Any], **parts: Any) -> tuple[str, str, Any]:
    """A batch of two whose first row meets `effect`; the two rows and the report."""
    _, (struck, spared) = lab.company(2)
    lab.configure(rows=[{"lines": [1], "effect": effect}], **parts)
    lab.submit()
    return struck, spared, lab.read_to_the_end()


@pytest.mark.parametrize("case", CASES)
def test_each_line_ends_where_it_belongs(lab: Lab, case: str) -> None:
    effect, bucket, code = CASES[case]
    struck, spared, report = run(lab, effect)
    assert report.finalized == 1
    assert lab.statuses([spared]) == ["PROCESSING_COMPLETE"]
    expected = {"complete": 1, bucket: 1} if bucket != "complete" else {"complete": 2}
    assert lab.bucket_counts() == expected
    assert report.refused == REFUSED_LINES.get(case, {})
    (batch_id,) = lab.batches("finalized")
    assert lab.desk.batch(batch_id).refused == sum(REFUSED_LINES.get(case, {}).values())
    attempt = lab.desk.attempt(struck)
    assert attempt.counted == (case not in UNCOUNTED)
    if code is not None:
        assert attempt.code == code
        assert report.failures == {code: 1}
    if bucket in {"retry", "dead"}:
        assert lab.desk.request(struck).errorMessage == attempt.reason
    assert (attempt.cost_eur > 0) == (case in PAID or bucket == "complete")
    assert lab.times_billed([spared]) == [1]


@pytest.mark.parametrize(
    "quirks",
    [
        {"errors_in_output_file": True},
        {"errors_without_response": True},
        {"string_bodies": True},
        {"empty_error_file": True},
        {"unescaped_unicode": True},
    ],
    ids=lambda quirks: next(iter(quirks)),
)
@pytest.mark.parametrize(
    ("effect", "bucket"),
    [
        ({"kind": "http_error", "status": 400}, "dead"),
        ({"kind": "http_error", "status": 500}, "retry"),
        ({"kind": "error_line", "code": "batch_expired"}, "waiting"),
    ],
    ids=["400", "500", "expired"],
)
def test_other_servers_shapes_end_in_the_same_places(
    lab: Lab, quirks: dict[str, bool], effect: dict[str, Any], bucket: str
) -> None:
    _, _, report = run(lab, effect, quirks=quirks)
    assert report.finalized == 1
    assert lab.bucket_counts() == {"complete": 1, bucket: 1}


def test_a_batch_of_which_every_line_failed_has_no_output_file_and_is_read(lab: Lab) -> None:
    lab.company(3)
    lab.configure(rows=[{"effect": {"kind": "http_error", "status": 500}}])
    lab.submit()
    lab.poll_to_the_end()
    (batch_id,) = lab.batches("ended")
    assert lab.desk.batch(batch_id).output_file_id is None
    assert lab.desk.livedash_batch(batch_id).status == "UPLOADING"
    assert lab.ingest().rows.retry == 3
    assert lab.desk.livedash_batch(batch_id).status == "PROCESSED"
    lab.finish()
    assert lab.bucket_counts() == {"complete": 3}


def test_a_poisoned_request_is_given_up_after_its_attempts(lab: Lab) -> None:
    lab = lab.under(max_attempts=3)
    _, (struck, spared) = lab.company(2)
    rule = {"custom_id": struck, "effect": {"kind": "content"}}
    for _ in range(5):
        lab.configure(rows=[rule])
        lab.retry()
        lab.submit()
        lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 1, "dead": 1}
    assert lab.times_billed([struck, spared]) == [3, 1]
    assert lab.desk.dead_letter(struck).attempts == 3


def test_what_a_type_does_not_ask_for_is_left_as_it_was(lab: Lab) -> None:
    lab.configure(
        rows=[{"effect": {"kind": "content", "content": json.dumps({"sentiment": "NEGATIVE"})}}]
    )
    _, (row,) = lab.company(1, processing_type="sentiment_analysis")
    lab.desk.do("UPDATE public.\"Session\" SET summary = 'Before.', language = 'fr'")
    lab.submit()
    lab.read_to_the_end()
    session = lab.desk.session(row)
    assert (session.sentiment, session.summary, session.language) == ("NEGATIVE", "Before.", "fr")
    assert session.category is None
