"""A batch that never ends, or cannot be read, is given up by force; its late answers are waste."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.errors import ApiError, BatchAssetsError
from batch_assets.domain.metrics import RunMetrics
from batch_assets.stages.abandoned import AbandonedReport
from batch_assets.stages.controls.abandon import AbandonReport, abandon_batch
from batch_assets.stages.controls.cancel import cancel_batch
from batch_assets.store.conservation import Conservation
from batch_assets.store.metrics import Metrics
from batch_assets.store.readings import AbandonedStanding
from batch_assets_tests.stages.support import AT_ONCE, Lab, call_rule, refusal, wait_until

FOR_EVER = 10_000_000
STUCK: dict[str, dict[str, Any]] = {
    "finalizing": {"timing": {"finalizing_seconds": FOR_EVER}},
    "cancelling": {"timing": {"hold_after_rows": 2, "cancel_seconds": FOR_EVER}},
    "in_progress": {
        "timing": {"hold_after_rows": 2},
        "calls": [call_rule("batches.cancel", refusal(409, headers=AT_ONCE))],
    },
}
"""A server on which batches stay in this status, whatever is asked of it."""


def stuck(lab: Lab, status: str, hours: int = 120) -> tuple[str, list[str]]:
    """A batch of three that has been in a status for so many hours, and its requests."""
    lab.configure(**STUCK[status])
    _, ids = lab.company(3)
    lab.submit()
    (batch_id,) = lab.batches("submitted")
    if status == "cancelling":
        wait_until(lambda: lab.poll().changed == 0 and sum(lab.times_billed(ids)) == 2)
        lab.pipeline.api.cancel(lab.desk.batch(batch_id).openai_batch_id)
    wait_until(lambda: [one.status for one in lab.remote_batches()] == [status])
    lab.poll()
    grow_old(lab, hours)
    return batch_id, ids


def grow_old(lab: Lab, hours: int) -> None:
    """Let everything that was seen of the batches be so much longer ago."""
    lab.desk.do(
        "UPDATE batch_assets.batch AS b"
        " SET submitted_at = b.submitted_at - make_interval(hours => :hours),"
        " cancelled_at = b.cancelled_at - make_interval(hours => :hours),"
        " ended_at = b.ended_at - make_interval(hours => :hours),"
        " server_status_since = b.server_status_since - make_interval(hours => :hours)",
        hours=hours,
    )


def abandon(lab: Lab, batch_id: str, *, dry_run: bool = False) -> AbandonReport:
    return abandon_batch(lab.pipeline, batch_id, "1h", str, force=True, dry_run=dry_run)


def refused(lab: Lab, batch_id: str) -> str:
    """The sentence with which it is refused; nothing has changed then."""
    before = lab.desk.everything()
    with pytest.raises(BatchAssetsError) as caught:
        abandon(lab, batch_id)
    assert lab.desk.everything() == before
    return str(caught.value)


def take(lab: Lab) -> list[EndedBatch]:
    holder = lab.pipeline.holder(lab.desk.holder.installation_id)
    return lab.pipeline.queries.take_ended(holder, 10)


def wasted(lab: Lab) -> float:
    return lab.pipeline.abandoned.standing().wasted_cost_eur


@pytest.mark.parametrize("status", STUCK)
def test_one_that_does_not_end_is_bought_again_and_its_late_answers_are_waste(
    lab: Lab, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id, ids = stuck(lab, status)
    assert lab.poll().late.stuck == 1
    assert f"`batch-assets abandon {batch_id} --force --dry-run` says" in caplog.text
    before = lab.desk.everything()
    foreseen = abandon(lab, batch_id, dry_run=True)
    assert lab.desk.everything() == before
    recorded = lab.desk.batch(batch_id)
    assert foreseen.duplicate_cost_eur == recorded.estimated_cost_eur > 0
    assert (
        f"3 requests wait again, to be bought again for about {foreseen.duplicate_cost_eur:.4f}"
        in (foreseen.sentence)
    )
    assert "is billed as well: up to as much again" in foreseen.sentence
    assert foreseen.sentence.endswith("Nothing was changed.")

    given_up = abandon(lab, batch_id).batch
    assert (given_up.state, given_up.server_status) == ("ended", "abandoned")
    assert lab.ingest().rows.returned == 3
    assert lab.desk.livedash_batch(batch_id).status == "CANCELLED"
    assert Conservation(lab.desk.engine).all_rows().is_clean
    assert "there is nothing to give up" in refused(lab, batch_id)
    assert lab.read_abandoned().abandoned_read == 0, "it has not ended as yet"
    lab.configure()
    lab.finish()
    assert lab.bucket_counts() == {"complete": 3}

    wait_until(lambda: lab.pipeline.api.retrieve(recorded.openai_batch_id).status != status)
    late = AbandonedReport()

    def is_read() -> bool:
        nonlocal late
        late = lab.read_abandoned(whenever=True)
        return late.abandoned_read == 1

    wait_until(is_read)
    billed_twice = lab.times_billed(ids).count(2)
    assert late.late_answers == billed_twice == sum(lab.times_billed(ids)) - 3 > 0
    of_each = lab.desk.value("SELECT max(cost_eur) FROM batch_assets.attempt")
    assert (
        late.wasted_abandoned_eur == wasted(lab) == pytest.approx(billed_twice * of_each, rel=0.1)
    )
    assert lab.bucket_counts() == {"complete": 3}, "no answer was written twice"
    lab.clean()
    remote = lab.pipeline.api.retrieve(recorded.openai_batch_id)
    assert {remote.input_file_id, remote.output_file_id} & {
        one.id for one in lab.pipeline.api.list_files()
    } == set()
    assert lab.read_abandoned(whenever=True) == AbandonedReport(), "read once"


@pytest.mark.parametrize("status", ["finalizing", "cancelling"])
def test_nothing_of_what_was_given_up_is_waited_for(lab: Lab, status: str) -> None:
    lab = lab.under(reading_grace_seconds=1_800, first_look_seconds=60)
    batch_id, _ = stuck(lab, status)
    abandon(lab, batch_id)
    lab.configure()
    wait_until(lambda: not lab.server.service.batches.running_ids())
    assert lab.ingest().finalized == 1
    assert lab.bucket_counts() == {"waiting": 3}


def test_the_waste_is_among_the_metrics_and_counts_for_the_day(lab: Lab) -> None:
    batch_id, ids = stuck(lab, "finalizing")
    abandon(lab, batch_id)
    lab.ingest()
    lab.configure()
    wait_until(lambda: [one.status for one in lab.remote_batches()] == ["completed"])
    late = lab.read_abandoned()
    assert (late.abandoned_read, late.late_answers) == (1, 3)
    known = RunMetrics("run-2", datetime.now(UTC), "auto")
    end = Metrics(lab.desk.engine).record(known, None, 60, lab.pipeline.api.account)
    assert end.metrics.money.day_cost_eur == pytest.approx(late.wasted_abandoned_eur)
    assert late.wasted_abandoned_eur > 0
    assert lab.pipeline.abandoned.standing() == AbandonedStanding(0, 3, late.wasted_abandoned_eur)
    lab.finish()
    assert lab.times_billed(ids) == [2, 2, 2]


def test_it_is_refused_until_it_has_stood_still_for_long(lab: Lab) -> None:
    batch_id, _ = stuck(lab, "finalizing", hours=3)
    said = refused(lab, batch_id)
    assert "has been finalizing on the server for 3 h" in said
    assert f"`batch-assets cancel {batch_id}` asks the server again to end it" in said
    assert "1 d from then on (BATCH_STUCK_HOURS)" in said
    assert abandon(lab.under(stuck_seconds=3_600), batch_id, dry_run=True).stuck


def test_one_that_runs_is_to_be_cancelled_first(lab: Lab) -> None:
    batch_id, _ = stuck(lab, "in_progress", hours=2)
    assert f"is in_progress on the server: `batch-assets cancel {batch_id}` ends it" in (
        refused(lab, batch_id)
    )
    assert "is in_progress on the server: " in refused(lab.under(stuck_seconds=0), batch_id)
    lab.configure(timing={"hold_after_rows": 2, "cancel_seconds": FOR_EVER})
    cancel_batch(lab.pipeline.registry, lab.pipeline.api, batch_id, dry_run=False)
    lab.desk.do("UPDATE batch_assets.batch SET server_status = 'validating'")
    assert "has been cancelling on the server for 0 s" in refused(lab, batch_id), "it has moved"
    grow_old(lab, 30)
    lab.desk.do("UPDATE batch_assets.batch SET server_status = 'cancelling'")
    assert "has been cancelling on the server for 1 d" in abandon(lab, batch_id, dry_run=True).stuck


def test_one_that_has_ended_is_read_and_not_given_up(lab: Lab) -> None:
    batch_id, ids = stuck(lab, "finalizing")
    lab.configure()
    wait_until(lambda: [one.status for one in lab.remote_batches()] == ["completed"])
    assert "is completed on the server: the next run reads it" in refused(lab, batch_id)
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 3}
    assert lab.times_billed(ids) == [1, 1, 1]


def test_one_of_which_the_server_never_says_anything_can_be_given_up(lab: Lab) -> None:
    batch_id, _ = stuck(lab, "finalizing", hours=2)
    unwell = refusal(500, headers=AT_ONCE)
    lab.configure(calls=[call_rule("batches.retrieve", unwell)])
    assert "is one of which the server says nothing" in refused(lab, batch_id)
    grow_old(lab, 48)
    assert abandon(lab, batch_id, dry_run=True).stuck.endswith(", 1 d after its time was up")
    lab.configure(calls=[call_rule("batches.retrieve", refusal(403))])
    with pytest.raises(ApiError, match="refuses the account"):
        abandon(lab, batch_id)


def test_a_word_of_ours_in_the_servers_mouth_does_not_count_as_given_up(lab: Lab) -> None:
    batch_id, _ = stuck(lab, "finalizing")
    lab.configure(
        timing={"finalizing_seconds": FOR_EVER}, quirks={"rename_status": {"finalizing": "lost"}}
    )
    lab.poll()
    assert lab.desk.batch(batch_id).server_status == "lost"
    assert abandon(lab, batch_id).batch.server_status == "abandoned"


def unreadable(lab: Lab) -> tuple[str, list[str]]:
    """A batch that has ended and of which no file can be downloaded."""
    lab.configure(calls=[call_rule("files.content", refusal(500, headers=AT_ONCE))])
    _, ids = lab.company(2)
    lab.submit()
    lab.poll_to_the_end()
    assert lab.ingest().postponed == 1
    (batch_id,) = lab.batches("ended")
    return batch_id, ids


def test_one_that_cannot_be_read_for_long_can_be_given_up(lab: Lab) -> None:
    batch_id, ids = unreadable(lab)
    grow_old(lab, 2)
    said = refused(lab, batch_id)
    assert "ended 2 h ago, and could not be read to its end: the next runs try that again" in said
    with pytest.raises(BatchAssetsError, match="has ended: the next runs read it"):
        abandon_batch(lab.pipeline, batch_id, "1h", str, dry_run=False)
    grow_old(lab, 30)
    assert "ended 1 d ago" in abandon(lab, batch_id, dry_run=True).sentence
    assert abandon(lab, batch_id).batch.server_status == "abandoned"
    assert lab.under(reading_grace_seconds=1_800).ingest().rows.returned == 2
    assert lab.read_abandoned().abandoned_read == 0
    lab.finish()
    assert lab.read_abandoned(whenever=True).late_answers == 2
    assert lab.times_billed(ids) == [2, 2]


def test_one_that_is_being_read_is_left_to_its_reader(lab: Lab) -> None:
    batch_id, _ = unreadable(lab)
    grow_old(lab, 30)
    (reading,) = take(lab)
    with pytest.raises(BatchAssetsError, match="or is being read"):
        abandon(lab, batch_id)
    lab.desk.do("UPDATE batch_assets.batch SET lease_expires_at = clock_timestamp()")
    abandon(lab, batch_id)
    queries = lab.pipeline.queries
    assert queries.renew([reading.lease], 60) == set(), "a reader that was frozen has lost it"
    assert queries.finalize([reading.lease]) == {}
    assert lab.ingest().rows.returned == 2


def test_what_was_read_before_is_paid_for_once(lab: Lab) -> None:
    batch_id, ids = stuck(lab, "finalizing")
    abandon(lab, batch_id)
    lab.ingest()
    lab.desk.do(
        "UPDATE batch_assets.attempt SET outcome = 'completed' WHERE request_id = :id", id=ids[0]
    )
    lab.configure()
    wait_until(lambda: [one.status for one in lab.remote_batches()] == ["completed"])
    late = lab.read_abandoned()
    assert (late.abandoned_read, late.late_answers) == (1, 2)


def test_files_that_come_late_or_in_parts_are_booked_as_they_come(lab: Lab) -> None:
    batch_id, _ = stuck(lab, "finalizing")
    abandon(lab, batch_id)
    lab.ingest()
    lab.configure(calls=[call_rule("files.content", {"kind": "truncate", "after_bytes": 900})])
    wait_until(lambda: [one.status for one in lab.remote_batches()] == ["completed"])
    first = lab.read_abandoned()
    assert first.abandoned_read == 0
    lab.configure()
    second = lab.read_abandoned(whenever=True)
    assert (second.abandoned_read, first.late_answers + second.late_answers) == (1, 3)
    assert first.wasted_abandoned_eur + second.wasted_abandoned_eur == pytest.approx(wasted(lab))


def test_looks_have_growing_pauses_and_an_end(lab: Lab) -> None:
    batch_id, _ = stuck(lab, "finalizing")
    abandon(lab, batch_id)
    lab.ingest()
    pauses = []
    for _ in range(8):
        assert lab.read_abandoned(whenever=True).abandoned_looked_at == 1
        pauses.append(
            lab.desk.value(
                "SELECT round(extract(epoch FROM poll_at - clock_timestamp()) / 60)::integer"
                " FROM batch_assets.abandoned_batch"
            )
        )
    assert pauses == [15, 30, 60, 120, 240, 480, 720, 720]
    lab.desk.do(
        "UPDATE batch_assets.abandoned_batch SET poll_at = clock_timestamp(),"
        " abandoned_at = abandoned_at - interval '31 days'"
    )
    assert lab.read_abandoned().abandoned_looked_at == 1, "the last look"
    assert lab.read_abandoned(whenever=True).abandoned_looked_at == 0


def test_nothing_is_cancelled_or_deleted_from_a_copy(lab: Lab) -> None:
    batch_id, _ = stuck(lab, "in_progress")
    lab.configure(timing={"hold_after_rows": 2})
    abandon(lab, batch_id)
    lab.ingest()
    lab.desk.do("UPDATE batch_assets.installation SET system_identifier = '1'")
    assert lab.read_abandoned() == AbandonedReport(), "what it is has to be said first"
    lab.desk.do(
        "UPDATE batch_assets.installation"
        " SET system_identifier = (SELECT system_identifier::text FROM pg_control_system())"
    )
    lab.desk.do("INSERT INTO batch_assets.unknown_batch (remote_id, batch_id) VALUES ('r', 'b')")
    assert lab.read_abandoned() == AbandonedReport(abandoned_looked_at=1)
    assert [one.status for one in lab.remote_batches()] == ["in_progress"]
    lab.configure()
    wait_until(lambda: [one.status for one in lab.remote_batches()] == ["completed"])
    (remote,) = lab.remote_batches()
    assert lab.read_abandoned(whenever=True).late_answers == 3
    assert remote.output_file_id in lab.all_file_ids()


def test_an_answer_of_the_server_that_comes_after_it_changes_nothing(lab: Lab) -> None:
    batch_id, _ = stuck(lab, "finalizing")
    (asked,) = lab.pipeline.queries.batches_in_flight(10)
    answer = replace(lab.pipeline.api.retrieve(asked.openai_batch_id), status="completed")
    abandon(lab, batch_id)
    before = lab.desk.everything()
    changed = lab.pipeline.queries.record_statuses([(asked, answer)], frozenset({batch_id}))
    assert (changed, lab.desk.everything()) == (0, before)


def test_cancel_and_abandon_name_each_other(lab: Lab) -> None:
    batch_id, _ = stuck(lab, "cancelling", hours=0)
    registry, api = lab.pipeline.registry, lab.pipeline.api
    with pytest.raises(BatchAssetsError) as caught:
        cancel_batch(registry, api, batch_id, dry_run=False)
    assert "If not within 15 min, cancel it again" in str(caught.value)
    assert f"`batch-assets abandon {batch_id} --force` gives it up" in str(caught.value)
    grow_old(lab, 1)
    assert f"`batch-assets cancel {batch_id}` asks the server again" in refused(lab, batch_id)
    again = cancel_batch(registry, api, batch_id, dry_run=False)
    assert again.server_status == "cancelling"
    assert f"`batch-assets abandon {batch_id} --force` gives it up" in again.sentence
    with pytest.raises(BatchAssetsError) as caught:
        abandon_batch(lab.pipeline, batch_id, "0m", str, dry_run=False)
    assert f"if it never ends, `batch-assets abandon {batch_id} --force`" in str(caught.value)
