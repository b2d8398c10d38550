"""Batches on their way to the server and on it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from batch_assets.domain.batches import SubmittedBatch, UploadedBatch
from batch_assets.domain.records import BatchErrorLine
from batch_assets_tests.store.queries.support import Desk, remote_batch


def test_an_upload_is_recorded_with_the_file(desk: Desk) -> None:
    batch, ids = desk.claimed(3)
    desk.lapse(batch.id)
    upload = UploadedBatch(batch.lease, "file-1", 4_711)
    assert desk.queries.record_uploads([upload], 600) == {batch.id}
    ours, theirs = desk.batch(batch.id), desk.livedash_batch(batch.id)
    assert (ours.state, ours.input_file_id, ours.input_bytes) == ("uploaded", "file-1", 4_711)
    assert (ours.requests, ours.lease_owner) == (3, desk.holder.owner)
    assert ours.lease_expires_at > ours.uploaded_at
    assert (theirs.status, theirs.inputFileId) == ("UPLOADING", "file-1")
    assert theirs.openaiBatchId == f"unsent:{batch.id}"
    assert desk.statuses(ids) == {"BATCHING_IN_PROGRESS"}


def test_rows_that_did_not_go_into_the_file_wait_again(desk: Desk) -> None:
    batch, (dropped, stays) = desk.claimed(2)
    desk.queries.record_uploads([UploadedBatch(batch.lease, "file-1", 1, (dropped,))], 600)
    row = desk.request(dropped)
    assert (row.processingStatus, row.batchId) == ("PENDING_BATCHING", None)
    assert desk.attempt(dropped).outcome == "released"
    assert desk.attempt(stays).outcome is None
    assert desk.intake() == {dropped}
    assert desk.batch(batch.id).requests == 1
    status = desk.analysis_status(dropped)
    assert status is not None
    assert status.status == "IN_PROGRESS", "it is open: LiveDash must not make another request"


@pytest.mark.parametrize("uploaded", [True, False], ids=["uploaded", "claimed"])
def test_a_submission_is_recorded_and_ends_the_lease(desk: Desk, uploaded: bool) -> None:
    batch, _ = desk.uploaded() if uploaded else desk.claimed()
    submission = SubmittedBatch(batch.lease, remote_batch(batch.id))
    assert desk.queries.record_submissions([submission]) == {batch.id}
    ours, theirs = desk.batch(batch.id), desk.livedash_batch(batch.id)
    assert (ours.state, ours.openai_batch_id) == ("submitted", f"batch_{batch.id}")
    assert (ours.input_file_id, ours.server_status) == (f"file-{batch.id}", "validating")
    assert (ours.lease_owner, ours.lease_expires_at) == (None, None)
    assert (theirs.status, theirs.openaiBatchId) == ("UPLOADING", f"batch_{batch.id}")
    assert theirs.inputFileId == f"file-{batch.id}"


def test_a_submission_is_recorded_once(desk: Desk) -> None:
    batch, _ = desk.uploaded()
    submission = SubmittedBatch(batch.lease, remote_batch(batch.id))
    desk.queries.record_submissions([submission])
    before = desk.everything()
    assert desk.queries.record_submissions([submission]) == set()
    assert desk.everything() == before


@pytest.mark.parametrize("uploaded", [True, False], ids=["uploaded", "claimed"])
def test_a_release_lets_every_row_wait_again_for_nothing(desk: Desk, uploaded: bool) -> None:
    batch, ids = desk.uploaded() if uploaded else desk.claimed()
    assert desk.queries.release([batch.lease]) == 3
    assert desk.batch(batch.id).state == "released"
    theirs = desk.livedash_batch(batch.id)
    assert (theirs.status, theirs.completedAt) == ("CANCELLED", None)
    assert desk.statuses(ids) == {"PENDING_BATCHING"}
    assert desk.intake() == set(ids)
    assert {desk.attempt(row).outcome for row in ids} == {"released"}
    assert not any(desk.attempt(row).counted for row in ids)
    assert desk.queries.release([batch.lease]) == 0


def test_a_released_row_keeps_its_place_in_the_queue(desk: Desk) -> None:
    batch, (row, *_) = desk.claimed()
    desk.queries.release([batch.lease])
    requested = desk.value(
        "SELECT requested_at FROM batch_assets.intake WHERE request_id = :id", id=row
    )
    assert requested == desk.request(row).requestedAt


def test_a_release_leaves_alone_what_livedash_moved(desk: Desk) -> None:
    batch, (done, deleted, open_row) = desk.claimed(3)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_COMPLETE\''
        " WHERE id = :id",
        id=done,
    )
    desk.delete_session(deleted)
    assert desk.queries.release([batch.lease]) == 1
    assert desk.statuses([done]) == {"PROCESSING_COMPLETE"}
    assert desk.intake() == {open_row}


def test_batches_in_flight_are_those_that_were_submitted_oldest_first(desk: Desk) -> None:
    first, _ = desk.submitted()
    second, _ = desk.submitted()
    desk.uploaded()
    desk.ended()
    assert [batch.id for batch in desk.queries.batches_in_flight(10)] == [first.id, second.id]
    assert [batch.id for batch in desk.queries.batches_in_flight(1)] == [first.id]
    assert (first.openai_batch_id, first.server_status) == (f"batch_{first.id}", "validating")
    assert (first.model, first.fence) == ("gpt-4o-mini", 1)


@pytest.mark.parametrize(
    "word", ["in_progress", "finalizing", "cancelling", "scheduling", "completed"]
)
def test_a_word_that_is_no_end_is_kept_and_hidden_from_livedash(desk: Desk, word: str) -> None:
    batch, ids = desk.submitted()
    remote = replace(remote_batch(batch.id), status=word)
    assert desk.queries.record_statuses([(batch, remote)], frozenset()) == 1
    assert (desk.batch(batch.id).state, desk.batch(batch.id).server_status) == ("submitted", word)
    assert desk.livedash_batch(batch.id).status == "UPLOADING"
    assert desk.statuses(ids) == {"BATCHING_IN_PROGRESS"}


def test_a_word_that_says_nothing_new_writes_nothing(desk: Desk) -> None:
    batch, _ = desk.submitted()
    before = desk.everything()
    assert desk.queries.record_statuses([(batch, remote_batch(batch.id))], frozenset()) == 0
    assert desk.everything() == before


def test_the_time_of_a_word_is_that_of_its_first_hearing(desk: Desk) -> None:
    batch, _ = desk.submitted()
    before = desk.batch(batch.id).server_status_since
    running = replace(remote_batch(batch.id), status="in_progress")
    desk.queries.record_statuses([(batch, running)], frozenset())
    since = desk.batch(batch.id).server_status_since
    assert since > before
    with_file = replace(running, error_file_id="file-errors")
    assert desk.queries.record_statuses([(batch, with_file)], frozenset()) == 1
    assert desk.batch(batch.id).server_status_since == since


@pytest.mark.parametrize(
    ("status", "output", "livedash"),
    [
        ("completed", "file-out", "PROCESSED"),
        ("expired", "file-out", "PROCESSED"),
        ("cancelled", "file-out", "PROCESSED"),
        ("expired", None, "FAILED"),
        ("failed", None, "FAILED"),
        ("cancelled", None, "CANCELLED"),
    ],
)
def test_an_end_is_kept_with_files_and_errors_and_told_once_every_row_has_left(
    desk: Desk, status: str, output: str | None, livedash: str
) -> None:
    batch, ids = desk.submitted()
    errors = (BatchErrorLine("invalid_json_line", 3), BatchErrorLine("model_not_found"))
    at = datetime(2100, 1, 1, 12, tzinfo=UTC) if status == "completed" else None
    changes = {"status": status, "output_file_id": output, "completed_at": at}
    desk.end(batch, errors=errors * 2, **changes)
    ours, theirs = desk.batch(batch.id), desk.livedash_batch(batch.id)
    assert (ours.state, ours.server_status, ours.output_file_id) == ("ended", status, output)
    assert ours.server_errors == ["invalid_json_line", "model_not_found"]
    assert ours.server_error_lines == [3, 0]
    assert (theirs.status, theirs.outputFileId) == ("UPLOADING", output)
    assert theirs.completedAt == at, "the server's completed_at, as LiveDash has it"
    assert desk.statuses(ids) == {"BATCHING_IN_PROGRESS"}
    taken = desk.take(batch.id)
    assert taken.server_errors == errors
    assert (taken.is_ours, taken.output_file_id) == (True, output)
    desk.finalize(taken.lease)
    theirs = desk.livedash_batch(batch.id)
    assert (theirs.status, theirs.completedAt) == (livedash, at)


def test_an_end_is_kept_once(desk: Desk) -> None:
    batch, _ = desk.submitted()
    desk.end(batch)
    before = desk.everything()
    word = replace(remote_batch(batch.id), status="failed")
    assert desk.queries.record_statuses([(batch, word)], frozenset({batch.id})) == 0
    assert desk.everything() == before


def test_completed_without_its_files_yet_is_still_in_flight(desk: Desk) -> None:
    batch, _ = desk.submitted()
    word = replace(remote_batch(batch.id), status="completed")
    desk.queries.record_statuses([(batch, word)], frozenset())
    assert desk.batch(batch.id).state == "submitted"
    assert desk.in_flight(batch.id).server_status == "completed"
