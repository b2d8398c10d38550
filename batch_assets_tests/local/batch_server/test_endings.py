"""Batches that end otherwise than by completing: what is paid stays readable."""

import openai
import pytest

from batch_assets_tests.local.batch_server.support import Lab, row, rows, wait_until


def held(lab: Lab, total: int, after: int) -> openai.types.Batch:
    """A batch that has run some of its rows and waits."""
    lab.configure(timing={"hold_after_rows": after})
    batch = lab.create(rows(total))
    wait_until(lambda: _completed(lab, batch) == after)
    return batch


def _completed(lab: Lab, batch: openai.types.Batch) -> int:
    counts = lab.client.batches.retrieve(batch.id).request_counts
    return counts.completed if counts else 0


def test_cancelling_keeps_what_ran_and_lists_what_did_not(lab: Lab) -> None:
    batch = held(lab, total=10, after=4)
    lab.configure(timing={"hold_after_rows": 4, "cancel_seconds": 0.2})
    cancelling = lab.client.batches.cancel(batch.id)
    assert cancelling.status == "cancelling"
    assert cancelling.cancelling_at is not None
    assert lab.client.batches.cancel(batch.id).status == "cancelling"

    done = lab.until(batch, "cancelled")
    assert done.cancelled_at is not None
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 10, "completed": 4, "failed": 0}
    ran = {line["custom_id"] for line in lab.lines(done.output_file_id)}
    assert ran == {"r1", "r2", "r3", "r4"}
    left = lab.lines(done.error_file_id)
    assert {line["custom_id"] for line in left} == {f"r{n}" for n in range(5, 11)}
    assert {line["error"]["code"] for line in left} == {"batch_cancelled"}
    assert [line["response"] for line in left] == [None] * 6
    assert len(list(lab.server.ledger().entries(batch_id=batch.id))) == 4


def test_a_batch_cancelled_in_validation_has_no_files(lab: Lab) -> None:
    lab.configure(timing={"validation_seconds": 60})
    batch = lab.create(rows(2))
    lab.client.batches.cancel(batch.id)
    done = lab.until(batch, "cancelled")
    assert (done.output_file_id, done.error_file_id, done.in_progress_at) == (None, None, None)


def test_an_ended_batch_cannot_be_cancelled(lab: Lab) -> None:
    done = lab.run([row("r1")])
    with pytest.raises(openai.ConflictError, match="Cannot cancel a batch with status 'completed'"):
        lab.client.batches.cancel(done.id)


def test_expiry_keeps_what_ran_and_lists_what_did_not(lab: Lab) -> None:
    batch = held(lab, total=5, after=2)
    lab.configure(timing={"hold_after_rows": 2, "clock_offset_seconds": 86_401})
    done = lab.until(batch, "expired")
    assert done.expired_at is not None
    assert done.completed_at is None
    assert len(lab.lines(done.output_file_id)) == 2
    left = lab.lines(done.error_file_id)
    assert {(line["error"]["code"], line["response"]) for line in left} == {("batch_expired", None)}
    assert done.request_counts is not None
    assert done.request_counts.completed + done.request_counts.failed < done.request_counts.total


def test_a_large_batch_expires_whole(lab: Lab) -> None:
    lab.configure(timing={"completion_window_seconds": 0.3, "hold_after_rows": 0})
    done = lab.until(lab.create(rows(2_500)), "expired")
    assert done.output_file_id is None
    assert len(lab.lines(done.error_file_id)) == 2_500


def test_a_batch_is_forced_to_expire(lab: Lab) -> None:
    batch = held(lab, total=3, after=1)
    assert lab.control("POST", f"batches/{batch.id}/expire").status_code == 200
    done = lab.until(batch, "expired")
    assert len(lab.lines(done.output_file_id)) == 1
    assert lab.control("POST", f"batches/{batch.id}/expire").status_code == 409


def test_a_batch_is_forced_to_fail(lab: Lab) -> None:
    batch = held(lab, total=3, after=1)
    error = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
    assert lab.control("POST", f"batches/{batch.id}/fail", json=error).status_code == 200
    done = lab.client.batches.retrieve(batch.id)
    assert (done.status, lab.errors(done)) == ("failed", [("token_limit_exceeded", None)])
    assert done.failed_at is not None
    assert len(list(lab.server.ledger().entries(batch_id=batch.id))) == 1, "what ran is billed"


def test_only_known_batches_are_forced(lab: Lab) -> None:
    assert lab.control("POST", "batches/batch_unknown/fail").status_code == 404
    batch = held(lab, total=1, after=0)
    refused = lab.control("POST", f"batches/{batch.id}/fail", json={"colour": "red"})
    assert refused.status_code == 400
    assert lab.client.batches.retrieve(batch.id).status == "in_progress"


@pytest.mark.parametrize("end_as", ["expired", "cancelled"])
def test_a_rule_ends_the_batches_that_it_matches(lab: Lab, end_as: str) -> None:
    lab.configure(
        batches=[{"metadata": {"fate": "short"}, "end_as": end_as, "after_rows": 3, "count": 1}]
    )
    spared = lab.create(rows(5), metadata={"fate": "long"})
    struck = lab.create(rows(5), metadata={"fate": "short", "more": "labels"})
    again = lab.create(rows(5), metadata={"fate": "short"})
    assert lab.until(spared, "completed").error_file_id is None
    ended = lab.until(struck, end_as)
    assert len(lab.lines(ended.output_file_id)) == 3
    assert len(lab.lines(ended.error_file_id)) == 2
    lab.until(again, "completed")


def test_a_batch_that_stalls_goes_on_for_nobody_and_holds_nobody_up(lab: Lab) -> None:
    lab.configure(batches=[{"end_as": "stalled", "after_rows": 2, "count": 1}])
    stalled = lab.create(rows(5))
    wait_until(lambda: _completed(lab, stalled) == 2)
    lab.until(lab.create(rows(5)), "completed")
    assert lab.client.batches.retrieve(stalled.id).status == "in_progress"
    lab.client.batches.cancel(stalled.id)
    done = lab.until(stalled, "cancelled")
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 5, "completed": 2, "failed": 0}


def test_a_rule_fails_a_batch_in_validation(lab: Lab) -> None:
    lab.configure(batches=[{"end_as": "failed", "code": "surprise", "message": "Out of luck."}])
    failed = lab.run(rows(2))
    assert (failed.status, lab.errors(failed)) == ("failed", [("surprise", None)])
