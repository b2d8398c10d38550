"""Recovering: what a run left open is looked up on the server, never repeated."""

from typing import Any

import pytest

from batch_assets import analysis
from batch_assets.domain.errors import ApiError, BatchAssetsError
from batch_assets.domain.records import RemoteBatch
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.spool import Spool
from batch_assets.stages.remote_ids import file_name, metadata_of
from batch_assets_tests.stages.support import API_KEY, AT_ONCE, Lab, call_rule, refusal, wait_until

DROPPED = {"kind": "drop", "work": "done"}


def lost_create(lab: Lab, count: int = 2) -> tuple[str, list[str]]:
    """A batch that the server has, though its answer was lost; its id and its requests."""
    _, ids = lab.company(count)
    lab.configure(calls=[call_rule("batches.create", DROPPED)])
    lab.submit()
    lab.configure()
    (batch_id,) = lab.batches("uploaded")
    return batch_id, ids


def lost_upload(lab: Lab, count: int = 2) -> tuple[str, list[str]]:
    """A batch whose file the server has, though its answer was lost."""
    _, ids = lab.company(count)
    lab.configure(calls=[call_rule("files.create", DROPPED)])
    lab.submit()
    lab.configure()
    (batch_id,) = lab.batches("claimed")
    return batch_id, ids


def create_remotely(lab: Lab, batch_id: str, file_id: str) -> str:
    """A batch on the server that carries our id; the server's own id."""
    installation_id = lab.desk.holder.installation_id
    remote = lab.pipeline.api.create_batch(file_id, metadata_of(installation_id, batch_id), 3_600)
    return remote.id


def test_nothing_unresolved_asks_the_server_nothing(lab: Lab) -> None:
    lab.configure(calls=[call_rule("*", refusal(500))])
    report = lab.recover()
    assert (report.taken_over, report.adopted, report.released, report.external) == (0, 0, 0, 0)


def test_a_batch_whose_answer_was_lost_is_adopted_and_read(lab: Lab) -> None:
    batch_id, ids = lost_create(lab)
    report = lab.recover()
    assert (report.taken_over, report.adopted, report.absent) == (1, 1, 0)
    row = lab.desk.batch(batch_id)
    (remote,) = lab.remote_batches()
    assert (row.state, row.openai_batch_id, row.lease_owner) == ("submitted", remote.id, None)
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 2}
    assert lab.times_billed(ids) == [1, 1]


def test_a_batch_is_taken_over_only_once_its_lease_has_run_out(lab: Lab) -> None:
    lab.company(1)
    (batch,) = lab.claim()
    assert lab.recover().taken_over == 0
    lab.desk.lapse(batch.id)
    assert lab.recover().taken_over == 1


def test_each_unresolved_batch_is_settled_by_itself(lab: Lab) -> None:
    created, ids = lost_create(lab)
    _, others = lab.company(2)
    (never_sent,) = lab.claim()
    lab.desk.lapse(never_sent.id)
    report = lab.recover()
    assert (report.taken_over, report.adopted, report.absent) == (2, 1, 1)
    assert lab.desk.batch(created).state == "submitted"
    assert lab.desk.batch(never_sent.id).state == "claimed"
    lab.finish()
    assert lab.times_billed(ids + others) == [1] * 4


def test_an_absent_batch_is_released_after_two_listings_and_the_grace(lab: Lab) -> None:
    patient = lab.under(absence_grace_seconds=600)
    batch_id, ids = lost_upload(lab)
    assert len(lab.remote_files()) == 1
    first = patient.recover()
    assert (first.absent, first.released, first.files_deleted) == (1, 0, 1)
    assert lab.remote_files() == []
    second = patient.recover()
    assert (second.absent, second.released) == (1, 0), "the grace is not over"
    lab.desk.do(
        "UPDATE batch_assets.batch SET absent_since = absent_since - interval '601 seconds'"
    )
    third = patient.recover()
    assert (third.absent, third.released) == (0, 1)
    assert lab.desk.batch(batch_id).state == "released"
    assert lab.bucket_counts() == {"waiting": 2}
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_one_listing_proves_nothing_even_without_a_grace(lab: Lab) -> None:
    lost_upload(lab)
    assert lab.under(absence_grace_seconds=0).recover().released == 0


def test_a_list_that_lags_behind_is_looked_at_again(lab: Lab) -> None:
    patient = lab.under(absence_grace_seconds=600)
    batch_id, ids = lost_create(lab)
    lab.configure(quirks={"batch_list_lag_seconds": 3_600})
    assert patient.recover().absent == 1
    lab.configure()
    report = patient.recover()
    assert (report.adopted, report.released) == (1, 0)
    lab.read_to_the_end()
    assert lab.times_billed(ids) == [1, 1]
    assert lab.desk.batch(batch_id).state == "finalized"


@pytest.mark.parametrize("others_end", ["in_progress", "completed"])
def test_a_second_batch_of_one_intent_is_cancelled_if_it_still_runs(
    lab: Lab, others_end: str
) -> None:
    batch_id, _ = lost_create(lab)
    wait_until(lambda: {one.status for one in lab.remote_batches()} == {"completed"})
    (first,) = lab.remote_batches()
    if others_end == "in_progress":
        lab.configure(timing={"hold_after_rows": 0})
    second = create_remotely(lab, batch_id, lab.desk.batch(batch_id).input_file_id)
    wait_until(lambda: lab.pipeline.api.retrieve(second).status == others_end)
    report = lab.recover()
    assert (report.adopted, report.orphans.duplicates) == (1, 1)
    assert report.orphans.duplicates_cancelled == int(others_end == "in_progress")
    assert lab.desk.batch(batch_id).openai_batch_id == first.id
    (kept,) = lab.desk.rows("SELECT * FROM batch_assets.duplicate_batch")
    assert (kept.openai_batch_id, kept.batch_id) == (second, batch_id)
    assert kept.estimated_cost_eur == lab.desk.batch(batch_id).estimated_cost_eur > 0
    assert (kept.cancelled_at is not None) == (others_end == "in_progress")
    if others_end == "in_progress":
        wait_until(lambda: lab.pipeline.api.retrieve(second).status == "cancelled")
    lab.configure()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 2}


def test_a_duplicate_that_cannot_be_cancelled_does_not_stop_the_adoption(lab: Lab) -> None:
    lab.configure(timing={"hold_after_rows": 0})
    _, _ = lab.company(1)
    (batch,) = lab.claim()
    files = [upload(lab, batch.id, f"{number}.jsonl") for number in range(2)]
    for file_id in files:
        create_remotely(lab, batch.id, file_id)
    lab.desk.queries.expire([batch.lease])
    lab.configure(
        timing={"hold_after_rows": 0},
        calls=[call_rule("batches.cancel", refusal(500, headers=AT_ONCE))],
    )
    report = lab.recover()
    assert (report.adopted, report.orphans.duplicates, report.orphans.duplicates_cancelled) == (
        1,
        1,
        0,
    )
    assert lab.desk.batch(batch.id).state == "submitted"
    assert lab.desk.value("SELECT cancelled_at FROM batch_assets.duplicate_batch") is None


def test_a_batch_that_appears_after_its_intent_was_given_up_is_cancelled(lab: Lab) -> None:
    """A create that the server acted on long after everybody stopped waiting for it."""
    lab.company(2)
    (late,) = lab.claim()
    file_id = upload(lab, late.id, "late.jsonl")
    lab.desk.queries.release([late.lease])
    lab.configure(timing={"hold_after_rows": 0})
    remote = create_remotely(lab, late.id, file_id)
    (again,) = lab.claim()
    lab.desk.lapse(again.id)
    report = lab.recover()
    assert (report.adopted, report.absent, report.orphans.duplicates_cancelled) == (0, 1, 1)
    wait_until(lambda: lab.pipeline.api.retrieve(remote).status == "cancelled")
    (kept,) = lab.desk.rows("SELECT * FROM batch_assets.duplicate_batch")
    assert (kept.openai_batch_id, kept.batch_id) == (remote, late.id)
    lab.configure()
    lab.finish()
    assert lab.bucket_counts() == {"complete": 2}


def test_a_second_upload_of_one_intent_is_deleted(lab: Lab) -> None:
    batch_id, _ = lost_create(lab)
    recorded = lab.desk.batch(batch_id).input_file_id
    name = file_name(lab.desk.holder.installation_id, batch_id)
    stray = upload(lab, batch_id, name)
    report = lab.recover()
    assert (report.adopted, report.orphans.orphans_deleted) == (1, 1)
    left = lab.all_file_ids()
    assert recorded in left
    assert stray not in left


def upload(lab: Lab, batch_id: str, name: str) -> str:
    """A real input file for a claimed batch, uploaded by hand; its id."""
    with Spool(lab.pipeline.spool_dir) as spool:
        with spool.input_file() as file:
            for conversation in lab.desk.queries.conversations([batch_id]):
                file.add(conversation.request_id, analysis.request_json(conversation))
        return lab.pipeline.api.upload(file.path, name)


def test_a_running_batch_is_preferred_to_one_that_failed(lab: Lab) -> None:
    lab.company(1)
    (batch,) = lab.claim()
    file_id = upload(lab, batch.id, "input.jsonl")
    lab.configure(batches=[{"end_as": "failed", "count": 1}])
    failed = create_remotely(lab, batch.id, file_id)
    wait_until(lambda: lab.pipeline.api.retrieve(failed).status == "failed")
    good = create_remotely(lab, batch.id, file_id)
    lab.desk.queries.expire([batch.lease])
    lab.configure()
    report = lab.recover()
    assert (report.adopted, report.orphans.duplicates) == (1, 0), "a refused batch costs nothing"
    assert lab.desk.batch(batch.id).openai_batch_id == good
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 1}


@pytest.mark.parametrize("call", ["batches.list", "files.list", "files.delete"])
def test_a_server_that_cannot_be_asked_proves_nothing(lab: Lab, call: str) -> None:
    batch_id, ids = lost_upload(lab)
    lab.configure(calls=[call_rule(call, refusal(400))])
    for _ in range(3):
        with pytest.raises(ApiError):
            lab.recover()
    row = lab.desk.batch(batch_id)
    assert (row.state, row.absences, row.lease_owner) == ("claimed", 0, None)
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_a_listing_that_breaks_off_proves_nothing(lab: Lab) -> None:
    batch_id, _ = lost_create(lab)
    cut = {"kind": "truncate", "after_bytes": 20, "framing": "silent"}
    lab.configure(calls=[call_rule("batches.list", cut)])
    with pytest.raises(ApiError):
        lab.recover()
    assert lab.desk.batch(batch_id).absences == 0


def test_only_what_is_ours_is_touched(lab: Lab) -> None:
    batch_id, _ = lost_upload(lab)
    stranger = upload(lab, batch_id, "somebody-elses.jsonl")
    unknown = upload(lab, batch_id, f"batch-assets_{lab.desk.holder.installation_id}_other.jsonl")
    lab.configure(timing={"hold_after_rows": 0})
    remote = create_remotely(lab, "an intent that nobody knows", stranger)
    assert [lab.recover().orphans.unknown, lab.recover().taken_over] == [2, 0]
    assert "confirm --copy" in str(lab.pipeline.registry.installation().hold_reason)
    files = lab.all_file_ids()
    assert {stranger, unknown} <= files
    assert lab.pipeline.api.retrieve(remote).status in {"validating", "in_progress"}
    assert lab.bucket_counts() == {"in_batch": 2}
    lab.pipeline.registry.make_home("me", as_copy=False)
    assert [lab.recover().absent, lab.recover().released] == [1, 1]
    assert {stranger, unknown} <= lab.all_file_ids()
    assert lab.bucket_counts() == {"waiting": 2}


def test_nothing_is_touched_from_a_copy(lab: Lab) -> None:
    batch_id, _ = lost_upload(lab)
    lab.desk.do("UPDATE batch_assets.installation SET system_identifier = '1'")
    before = lab.desk.everything()
    for _ in range(2):
        assert lab.recover().taken_over == 0
    assert lab.desk.everything() == before
    (file,) = lab.remote_files()
    lab.pipeline.registry.make_home("me", as_copy=True)
    assert lab.recover().taken_over == 0
    assert lab.desk.batch(batch_id).state == "released"
    assert file.id in lab.all_file_ids()


def test_a_moved_database_carries_on_with_what_it_had(lab: Lab) -> None:
    batch_id, ids = lost_create(lab)
    lab.desk.do("UPDATE batch_assets.installation SET database_name = 'before the move'")
    assert lab.recover().taken_over == 0
    lab.pipeline.registry.make_home("me", as_copy=False)
    assert lab.recover().adopted == 1
    lab.read_to_the_end()
    assert lab.desk.batch(batch_id).state == "finalized"
    assert lab.times_billed(ids) == [1, 1]


def test_nobody_answers_and_nothing_changes(lab: Lab) -> None:
    batch_id, _ = lost_create(lab)
    with BatchApi(API_KEY, "http://127.0.0.1:9/v1") as api, pytest.raises(ApiError):
        lab.using(api).recover()
    row = lab.desk.batch(batch_id)
    assert (row.state, row.absences, row.lease_owner) == ("uploaded", 0, None)
    assert lab.recover().adopted == 1


def test_what_the_original_had_not_submitted_waits_again_in_a_copy(lab: Lab) -> None:
    _, ids = lab.company(3)
    claimed = lab.claim()
    lab.pipeline.queries.expire([batch.lease for batch in claimed])
    lab.pipeline.registry.make_home("me", as_copy=True)
    assert lab.bucket_counts() == {"waiting": 3}
    assert lab.desk.column('SELECT status::text FROM public."AIBatchRequest"') == ["CANCELLED"]
    lab.finish()
    assert lab.times_billed(ids) == [1, 1, 1]


def test_what_is_being_sent_is_not_left_to_another_database(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be bought by the run that sends it, and once more as it waits again."""
    _, ids = lab.company(3)
    create = BatchApi.create_batch

    def create_meanwhile(api: BatchApi, *arguments: Any) -> RemoteBatch:
        before = lab.desk.everything()
        with pytest.raises(BatchAssetsError, match="when no run is active, after"):
            lab.pipeline.registry.make_home("me", as_copy=True)
        assert lab.desk.everything() == before
        return create(api, *arguments)

    monkeypatch.setattr(BatchApi, "create_batch", create_meanwhile)
    assert lab.submit().batches == 1
    lab.pipeline.registry.make_home("me", as_copy=True)
    lab.finish()
    assert lab.times_billed(ids) == [1, 1, 1]
