"""Ended batches that are put down and looked at again, with what was seen of them."""

from dataclasses import replace

import pytest

from batch_assets.domain.records import Lease, RemoteBatch
from batch_assets.store.readings import NextLook, Readings
from batch_assets.store.registry import Registry
from batch_assets_tests.store.queries.support import Desk, completed, failed

REMOTE = RemoteBatch(id="batch_1", status="completed", input_file_id="file-in", completed=2)


def look(lease: Lease, seconds: float = 0.0, *, is_incomplete: bool = True) -> NextLook:
    return NextLook(lease, seconds, is_incomplete, output_bytes=100, error_bytes=None)


def test_a_batch_that_was_put_down_is_taken_when_its_time_comes(desk: Desk) -> None:
    batch, _ = desk.ended(2)
    readings, registry = Readings(desk.engine), Registry(desk.engine, 900)
    readings.look_later([look(batch.lease, 600)])
    assert not registry.snapshot().has_ended
    assert desk.queries.take_ended(desk.holder, 10) == []
    desk.do("UPDATE batch_assets.batch SET poll_at = clock_timestamp()")
    assert registry.snapshot().has_ended
    (again,) = desk.queries.take_ended(desk.holder, 10)
    assert (again.polls, again.output_bytes, again.error_bytes) == (1, 100, None)
    assert again.incomplete_seconds == pytest.approx(0, abs=5)
    assert batch.incomplete_seconds is None


def test_the_grace_counts_from_the_first_incomplete_reading(desk: Desk) -> None:
    batch, _ = desk.ended(2)
    readings = Readings(desk.engine)
    readings.look_later([look(batch.lease, is_incomplete=False)])
    assert desk.batch(batch.id).incomplete_since is None
    readings.look_later([look(batch.lease)])
    first = desk.batch(batch.id).incomplete_since
    readings.look_later([look(batch.lease)])
    readings.look_later([look(batch.lease, is_incomplete=False)])
    assert desk.batch(batch.id).incomplete_since == first
    assert desk.batch(batch.id).polls == 4


def test_what_the_server_shows_now_is_kept_in_both_rows(desk: Desk) -> None:
    batch, _ = desk.ended(2, output_file_id=None)
    assert not batch.never_ran
    shown = batch.as_now(replace(REMOTE, output_file_id="file-out", error_file_id="file-err"))
    Readings(desk.engine).see_again([shown])
    row = desk.batch(batch.id)
    assert (row.output_file_id, row.error_file_id, row.server_answered) == (
        "file-out",
        "file-err",
        2,
    )
    told = 'SELECT "outputFileId", "errorFileId" FROM public."AIBatchRequest"'
    assert desk.column_pairs(told) == [("file-out", "file-err")]


def test_what_was_shown_once_stays_and_of_another_file_nothing_was_received(desk: Desk) -> None:
    batch = replace(desk.ended(2)[0], output_bytes=7, server_answered=2)
    less = batch.as_now(replace(REMOTE, completed=0))
    assert (less.output_file_id, less.output_bytes) == (batch.output_file_id, 7)
    assert less.server_answered == 2
    other = batch.as_now(replace(REMOTE, output_file_id="file-other"))
    assert (other.output_file_id, other.output_bytes) == ("file-other", None)


def test_whoever_lost_the_lease_changes_nothing(desk: Desk) -> None:
    batch, _ = desk.ended(2)
    desk.lapse(batch.id)
    desk.take(batch.id)
    before = desk.batch(batch.id)
    readings = Readings(desk.engine)
    readings.look_later([look(batch.lease)])
    readings.see_again([batch.as_now(replace(REMOTE, error_file_id="file-err"))])
    readings.note_completeness([(batch.lease, True)])
    assert desk.batch(batch.id) == before


def test_what_was_read_before_is_known(desk: Desk) -> None:
    batch, ids = desk.ended(4)
    desk.write(batch.lease, [completed(ids[0]), failed(ids[1])])
    desk.lapse(batch.id)
    again = desk.take(batch.id)
    assert (again.answered, again.returned) == (2, 0)


def test_results_that_are_not_all_accounted_for_keep_their_files(desk: Desk) -> None:
    whole, _ = desk.ended(1)
    cut, _ = desk.ended(1)
    readings = Readings(desk.engine)
    readings.note_completeness([(whole.lease, False), (cut.lease, True)])
    desk.finalize(whole.lease)
    desk.finalize(cut.lease)
    files = {one.batch_id: one.file_ids for one in desk.queries.leftovers(10)}
    assert files[cut.id] == (cut.input_file_id,)
    assert set(files[whole.id]) == {whole.input_file_id, whole.output_file_id}
