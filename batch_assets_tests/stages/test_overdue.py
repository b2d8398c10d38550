"""Batches that run on after the time limit are cancelled; what ran of them is kept."""

import pytest

from batch_assets_tests.stages.support import AT_ONCE, Lab, call_rule, refusal, wait_until


def running(lab: Lab, rows_done: int = 0, count: int = 3) -> tuple[str, list[str]]:
    """A batch that runs and has stopped after so many rows; its id and its requests."""
    lab.configure(timing={"hold_after_rows": rows_done})
    _, ids = lab.company(count)
    lab.submit()
    (batch_id,) = lab.batches("submitted")
    wait_until(lambda: [one.status for one in lab.remote_batches()] == ["in_progress"])
    return batch_id, ids


def age(lab: Lab, hours: int) -> None:
    lab.desk.do(
        "UPDATE batch_assets.batch AS b"
        " SET submitted_at = b.submitted_at - make_interval(hours => :hours)",
        hours=hours,
    )


def test_a_batch_is_left_alone_until_its_time_is_up(lab: Lab) -> None:
    batch_id, _ = running(lab)
    age(lab, 23)
    late = lab.poll().late
    assert (late.overdue, late.overdue_cancelled) == (0, 0)
    assert lab.desk.batch(batch_id).cancelled_at is None


def test_what_ran_is_kept_and_the_rest_is_sent_again(lab: Lab) -> None:
    batch_id, ids = running(lab, rows_done=2, count=3)
    age(lab, 25)
    late = lab.poll().late
    assert (late.overdue, late.overdue_cancelled) == (1, 1)
    row = lab.desk.batch(batch_id)
    assert (row.state, row.cancelled_at is not None) == ("submitted", True)
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 2, "waiting": 1}
    lab.configure()
    lab.finish()
    assert lab.bucket_counts() == {"complete": 3}
    assert lab.times_billed(ids) == [1, 1, 1]


def test_a_batch_that_cannot_be_cancelled_is_tried_again(lab: Lab) -> None:
    batch_id, _ = running(lab)
    age(lab, 25)
    refused = refusal(500, headers=AT_ONCE)
    lab.configure(timing={"hold_after_rows": 0}, calls=[call_rule("batches.cancel", refused)])
    late = lab.poll().late
    assert (late.overdue, late.overdue_cancelled) == (1, 0)
    assert lab.desk.batch(batch_id).cancelled_at is None
    lab.configure(timing={"hold_after_rows": 0})
    assert lab.poll().late.overdue_cancelled == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE batch_assets.batch SET installation_id = NULL",
        "UPDATE batch_assets.batch SET installation_id = 'the original'",
    ],
    ids=["of LiveDash", "of the database that this is a copy of"],
)
def test_batches_of_others_are_never_cancelled(lab: Lab, change: str) -> None:
    running(lab)
    age(lab, 25)
    lab.desk.do(change)
    assert lab.poll().late.overdue == 0
    assert [one.status for one in lab.remote_batches()] == ["in_progress"]


def test_nothing_is_cancelled_from_a_copy(lab: Lab) -> None:
    running(lab)
    age(lab, 25)
    lab.desk.do("UPDATE batch_assets.installation SET system_identifier = '1'")
    late = lab.poll().late
    assert (late.overdue, late.overdue_cancelled) == (1, 0)
    assert [one.status for one in lab.remote_batches()] == ["in_progress"]


def test_one_that_the_server_does_not_know_is_named_and_stays(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id, _ = running(lab)
    age(lab, 25)
    lab.desk.do("UPDATE batch_assets.batch SET openai_batch_id = 'batch_of_another_key'")
    late = lab.poll().late
    assert (late.overdue, late.overdue_cancelled) == (1, 0)
    assert f"Batch {batch_id} (batch_of_another_key)" in caplog.text
    assert f"`batch-assets abandon {batch_id}` gives it up" in caplog.text
    assert lab.batches("submitted") == [batch_id]
