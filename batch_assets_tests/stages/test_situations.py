"""What servers were seen to do, each with the smallest input: who is billed, dead, or waits.

Each is run to its end on both implementations; docs/situations.md has the table.
"""

from typing import Any

import pytest

from batch_assets_tests.policies import a_policy
from batch_assets_tests.stages.support import AT_ONCE, Lab, call_rule, refusal
from batch_assets_tests.stages.time_passing import Clock

LATE_OUTPUT = {"late_output_file": {"looks": 2}}
LATE_BOTH = {"late_output_file": {"looks": 3}, "late_error_file": {"looks": 2}}
NO_COUNTS = {"omit_batch_fields": ["request_counts"]}
LOST_CREATE = call_rule("batches.create", {"kind": "drop", "work": "done"}, count=1)


def ends(end_as: str, after_rows: int) -> dict[str, Any]:
    """The first batch ends early, after so many rows."""
    return {"end_as": end_as, "after_rows": after_rows, "count": 1}


def download(effect: dict[str, Any], **chance: Any) -> dict[str, Any]:
    """The first download of an output file is struck, unless told otherwise."""
    rule = call_rule("files.content", effect, **{"count": 1, "per_object": True, **chance})
    return {"filename": "_output", **rule}


SHORT = {"kind": "first_lines", "lines": 1}

WAITED_FOR: dict[str, dict[str, Any]] = {
    "output id late": {"quirks": LATE_OUTPUT},
    "expired, ids late": {"quirks": LATE_BOTH, "batches": [ends("expired", 2)]},
    "cancelled, ids late": {"quirks": LATE_BOTH, "batches": [ends("cancelled", 2)]},
    "expired, output not there yet": {
        "calls": [download(refusal(404), count=2)],
        "batches": [ends("expired", 2)],
    },
    "expired, output short": {"calls": [download(SHORT)], "batches": [ends("expired", 2)]},
    "ids in retrieve alone": {"quirks": {"lists": {"without_file_ids": True}}},
    "moves on retrieve": {"quirks": {"moves_on_retrieve": True}},
    "a page": {"calls": [download({"kind": "body"}, count=3)]},
    "a page that is not found": {
        "calls": [download({"kind": "body", "status": 404, "content": "<h1>404</h1>"}, count=2)]
    },
    "an error under a 200": {
        "calls": [download({"kind": "body", "content": '{"error": {"code": "busy"}}'})]
    },
    "nothing at all": {"calls": [download({"kind": "body", "content": ""})]},
    "another batch's lines": {"calls": [download({"kind": "other_lines"})]},
    "short": {"calls": [download(SHORT)]},
    "words of another kind": {
        "quirks": {"rename_status": {"completed": "COMPLETED", "in_progress": "Running"}}
    },
    "success": {"quirks": {"rename_status": {"completed": "SUCCESS"}}},
    "no expiry of outputs": {"quirks": {"unknown_parameters": ["output_expires_after"]}},
    "lost create, no metadata": {
        "calls": [LOST_CREATE],
        "quirks": {"null_batch_fields": ["metadata"]},
    },
    "lost create, oldest first": {
        "calls": [LOST_CREATE],
        "quirks": {"lists": {"oldest_first": True}},
    },
    "lost create, clock behind": {"calls": [LOST_CREATE], "timing": {"clock_skew_seconds": -900}},
    "lost create, clock ahead": {"calls": [LOST_CREATE], "timing": {"clock_skew_seconds": 900}},
    "lost create, no list of files": {
        "calls": [LOST_CREATE, call_rule("files.list", refusal(405))]
    },
    "list fails": {"calls": [call_rule("batches.list", refusal(500, headers=AT_ONCE))]},
}
"""What is right after a while: all are answered, and billed once."""


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """The lab with the product's own patience, for tests that let time pass."""
    usual = a_policy()
    return lab.under(
        reading_grace_seconds=usual.reading_grace_seconds,
        first_look_seconds=usual.first_look_seconds,
        retry_base_seconds=usual.retry_base_seconds,
        absence_grace_seconds=usual.absence_grace_seconds,
    )


@pytest.mark.parametrize("name", WAITED_FOR)
def test_what_comes_late_is_waited_for_and_bought_once(lab: Lab, name: str) -> None:
    clock = Clock(lab, **WAITED_FOR[name])
    ids = [one for _ in range(5) for one in lab.company(4)[1]]
    clock.run_to_the_end()
    assert lab.bucket_counts() == {"complete": 20}
    assert lab.times_billed(ids) == [1] * 20


@pytest.mark.parametrize("quirk", [NO_COUNTS, {"zero_request_counts": True}], ids=["none", "zero"])
def test_a_file_that_is_short_is_looked_at_again_where_counts_say_nothing(
    lab: Lab, quirk: dict[str, Any]
) -> None:
    clock = Clock(lab, quirks=quirk, calls=[download(SHORT)])
    _, ids = lab.company(10)
    clock.run_to_the_end()
    assert lab.bucket_counts() == {"complete": 10}
    assert lab.times_billed(ids) == [1] * 10


@pytest.mark.parametrize("shape", ["parts", "twice", "fenced", "prose", "think"])
def test_a_usable_answer_is_used(lab: Lab, shape: str) -> None:
    clock = Clock(lab, rows=[{"effect": {"kind": shape}}])
    _, ids = lab.company(3)
    clock.run_to_the_end()
    assert lab.bucket_counts() == {"complete": 3}
    assert lab.times_billed(ids) == [1] * 3


def test_results_that_another_projects_key_does_not_find_are_not_lost(lab: Lab) -> None:
    clock = Clock(lab)
    _, ids = lab.company(3)
    lab.submit()
    lab.poll_to_the_end()
    lab.configure(keys={"of_another_project": ["sk-test-canary-0123456789"]})
    for _ in range(3):
        lab.ingest()
        clock.let_pass(3_600)
    assert lab.bucket_counts() == {"in_batch": 3}
    lab.configure()
    clock.run_to_the_end()
    assert lab.bucket_counts() == {"complete": 3}
    assert lab.times_billed(ids) == [1] * 3
