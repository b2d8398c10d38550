"""The end of a batch: rows that are left, files that are left."""

from dataclasses import replace

import pytest

from batch_assets.domain.records import RowOutcome
from batch_assets_tests.store.queries.support import Desk, completed, failed


def test_open_rows_are_those_without_an_outcome(desk: Desk) -> None:
    batch, ids = desk.ended(4)
    outcomes = [completed(ids[0]), failed(ids[1]), RowOutcome(ids[2])]
    desk.write(batch.lease, outcomes)
    assert desk.queries.open_rows([batch.id], 10) == [(batch.id, ids[3])]
    other, others = desk.ended(3)
    assert desk.queries.open_rows([other.id], 2) == [(other.id, row) for row in sorted(others)[:2]]
    both = sorted([(batch.id, ids[3]), *((other.id, row) for row in others)])
    assert desk.queries.open_rows([other.id, batch.id], 10) == both
    assert desk.queries.open_rows([other.id, batch.id], 3) == both[:3]
    assert desk.queries.open_rows([], 10) == []


def test_finalizing_lets_the_rest_wait_again(desk: Desk) -> None:
    batch, (done, left, deleted) = desk.ended(3)
    desk.write(batch.lease, [completed(done)])
    desk.delete_session(deleted)
    assert desk.finalize(batch.lease) == 1
    ours = desk.batch(batch.id)
    assert (ours.state, ours.lease_owner, ours.returned) == ("finalized", None, 1)
    assert desk.livedash_batch(batch.id).status == "PROCESSED"
    assert desk.livedash_batch(batch.id).processedAt is not None
    assert desk.intake() == {left}
    assert desk.value("SELECT count(*) FROM batch_assets.attempt WHERE outcome IS NULL") == 0
    assert desk.finalize(batch.lease) is None


@pytest.mark.parametrize(("status", "livedash"), [("failed", "FAILED"), ("cancelled", "CANCELLED")])
def test_livedash_keeps_the_word_for_a_batch_with_nothing_to_read(
    desk: Desk, status: str, livedash: str
) -> None:
    batch, _ = desk.ended(status=status, output_file_id=None)
    assert desk.finalize(batch.lease) == 3
    assert desk.livedash_batch(batch.id).status == livedash


def test_rows_of_a_batch_come_with_their_type(desk: Desk) -> None:
    batch, (known, deleted, _) = desk.ended()
    second, (other, *_) = desk.claimed()
    desk.delete_session(deleted)
    asked = [(batch.id, row) for row in (known, deleted, other, "stranger")]
    found = desk.queries.rows_of([*asked, (second.id, other), (second.id, known)])
    assert found == {
        (batch.id, known): "full_analysis",
        (batch.id, deleted): None,
        (second.id, other): "full_analysis",
    }
    assert desk.queries.rows_of([]) == {}


def test_batches_are_settled_together_and_each_keeps_its_own_count(desk: Desk) -> None:
    first, (done, *left) = desk.ended(3)
    second, _ = desk.ended(2)
    lost, _ = desk.ended(2)
    desk.write(first.lease, [completed(done)])
    stale = replace(lost.lease, fence=lost.lease.fence - 1)
    finalized = desk.queries.finalize([second.lease, stale, first.lease])
    assert finalized == {first.id: len(left), second.id: 2}
    assert [desk.batch(batch.id).returned for batch in (first, second, lost)] == [2, 2, 0]
    assert [desk.batch(batch.id).state for batch in (first, second, lost)] == [
        "finalized",
        "finalized",
        "ended",
    ]
    assert desk.queries.finalize([]) == {}


def test_files_of_settled_batches_are_left_over_until_they_are_deleted(desk: Desk) -> None:
    first, _ = desk.ended(error_file_id="file-err")
    second, _ = desk.ended(status="failed", output_file_id=None)
    unsettled, _ = desk.ended()
    for batch in (first, second):
        desk.finalize(batch.lease)
    left = {one.batch_id: set(one.file_ids) for one in desk.queries.leftovers(10)}
    assert left == {
        first.id: {f"file-{first.id}", f"file-out-{first.id}", "file-err"},
        second.id: {f"file-{second.id}"},
    }
    assert [one.batch_id for one in desk.queries.leftovers(1)] == [first.id]
    desk.queries.record_deleted([first.id, second.id])
    assert desk.queries.leftovers(10) == []
    assert desk.batch(unsettled.id).files_deleted_at is None


def test_the_file_of_a_released_batch_is_left_over_too(desk: Desk) -> None:
    uploaded, _ = desk.uploaded()
    never_uploaded, _ = desk.claimed()
    desk.queries.release([uploaded.lease, never_uploaded.lease])
    (left,) = desk.queries.leftovers(10)
    assert (left.batch_id, left.file_ids) == (uploaded.id, (f"file-{uploaded.id}",))
    desk.queries.record_deleted([uploaded.id])
    assert desk.queries.leftovers(10) == []


def test_files_that_another_installation_made_are_not_ours_to_delete(desk: Desk) -> None:
    batch, _ = desk.ended()
    desk.finalize(batch.lease)
    desk.do("UPDATE batch_assets.installation SET id = 'another'")
    assert desk.queries.leftovers(10) == []
