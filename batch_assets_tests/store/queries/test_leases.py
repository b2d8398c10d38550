"""Leases and fencing: an owner that was frozen and wakes changes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from batch_assets.domain.batches import BatchOutcomes, SubmittedBatch, UploadedBatch
from batch_assets.domain.records import Lease
from batch_assets.store.protocol import Queries
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import Desk, completed, remote_batch

Move = Callable[[Queries, Lease, str], object]


def test_a_lease_is_renewed_on_the_databases_clock(desk: Desk) -> None:
    batch, _ = desk.claimed()
    desk.lapse(batch.id)
    assert desk.queries.renew([batch.lease], 600) == {batch.id}
    left = desk.value(
        "SELECT extract(epoch FROM lease_expires_at - clock_timestamp())::float8"
        " FROM batch_assets.batch"
    )
    assert left == pytest.approx(600, abs=10)


def test_only_leases_that_are_held_are_renewed(desk: Desk) -> None:
    held, _ = desk.claimed()
    taken_over, _ = desk.claimed()
    desk.lapse(taken_over.id)
    desk.queries.take_unresolved(desk.holder, 10)
    given_up, _ = desk.claimed()
    desk.queries.expire([given_up.lease])
    leases = [held.lease, taken_over.lease, given_up.lease, Lease("no such batch", 1)]
    assert desk.queries.renew(leases, 600) == {held.id}


def test_an_expired_lease_is_free_at_once(desk: Desk) -> None:
    batch, _ = desk.claimed()
    assert desk.queries.take_unresolved(desk.holder, 10) == []
    desk.queries.expire([batch.lease])
    (taken,) = desk.queries.take_unresolved(desk.holder, 10)
    assert taken.lease == Lease(batch.id, 2)


def test_a_stale_owner_cannot_expire_the_lease_of_the_next(desk: Desk) -> None:
    batch, _ = desk.claimed()
    desk.lapse(batch.id)
    desk.queries.take_unresolved(desk.holder, 10)
    before = desk.everything()
    desk.queries.expire([batch.lease])
    assert desk.everything() == before


STALE_BEFORE_SUBMISSION: dict[str, Move] = {
    "record_uploads": lambda queries, lease, _: queries.record_uploads(
        [UploadedBatch(lease, "file-late", 1)], 900
    ),
    "record_uploads with dropped rows": lambda queries, lease, row: queries.record_uploads(
        [UploadedBatch(lease, "file-late", 1, (row,))], 900
    ),
    "record_submissions": lambda queries, lease, _: queries.record_submissions(
        [SubmittedBatch(lease, remote_batch("late"))]
    ),
    "release": lambda queries, lease, _: queries.release([lease]),
    "record_absences": lambda queries, lease, _: queries.record_absences([lease], "account-1"),
    "renew": lambda queries, lease, _: queries.renew([lease], 900),
}


@pytest.mark.parametrize("move", STALE_BEFORE_SUBMISSION)
def test_a_stale_lease_moves_nothing_before_the_submission(desk: Desk, move: str) -> None:
    batch, (row, *_) = desk.claimed()
    desk.lapse(batch.id)
    desk.queries.take_unresolved(desk.holder, 10)
    before = desk.everything()
    assert not STALE_BEFORE_SUBMISSION[move](desk.queries, batch.lease, row)
    assert desk.everything() == before


STALE_AFTER_THE_END: dict[str, Move] = {
    "write_results": lambda queries, lease, row: queries.write_results(
        [BatchOutcomes(lease, [completed(row)], 1)], a_policy()
    ),
    "finalize": lambda queries, lease, _: queries.finalize([lease]),
}


@pytest.mark.parametrize("move", STALE_AFTER_THE_END)
def test_a_stale_lease_moves_nothing_after_the_end(desk: Desk, move: str) -> None:
    batch, (row, *_) = desk.ended()
    desk.lapse(batch.id)
    desk.take(batch.id)
    before = desk.everything()
    assert STALE_AFTER_THE_END[move](desk.queries, batch.lease, row) == {}
    assert desk.everything() == before


@pytest.mark.parametrize("move", STALE_BEFORE_SUBMISSION)
def test_a_batch_that_was_submitted_is_moved_back_by_no_lease(desk: Desk, move: str) -> None:
    batch, (row, *_) = desk.submitted()
    lease = Lease(batch.id, batch.fence)
    before = desk.everything()
    assert not STALE_BEFORE_SUBMISSION[move](desk.queries, lease, row)
    assert desk.everything() == before


def test_the_servers_word_on_a_batch_of_another_fence_is_not_kept(desk: Desk) -> None:
    batch, _ = desk.submitted()
    before = desk.everything()
    stale = replace(batch, fence=batch.fence + 1)
    word = replace(remote_batch(batch.id), status="completed", output_file_id="file-x")
    assert desk.queries.record_statuses([(stale, word)], frozenset({batch.id})) == 0
    assert desk.everything() == before


def test_an_unresolved_batch_is_taken_by_one(desk: Desk) -> None:
    batches = [desk.claimed(1)[0] for _ in range(6)]
    for batch in batches:
        desk.lapse(batch.id)
    with ThreadPoolExecutor(3) as pool:
        answers = pool.map(lambda _: desk.queries.take_unresolved(desk.holder, 4), range(3))
        taken = [one.id for answer in answers for one in answer]
    assert len(taken) == len(set(taken))
    taken += [one.id for one in desk.queries.take_unresolved(desk.holder, 10)]
    assert sorted(taken) == sorted(batch.id for batch in batches)


def test_an_ended_batch_is_taken_by_one(desk: Desk) -> None:
    made = []
    for _ in range(6):
        batch, _ = desk.submitted(1)
        desk.end(batch)
        made.append(batch.id)
    with ThreadPoolExecutor(3) as pool:
        answers = pool.map(lambda _: desk.queries.take_ended(desk.holder, 4), range(3))
        taken = [one.id for answer in answers for one in answer]
    assert len(taken) == len(set(taken))
    taken += [one.id for one in desk.queries.take_ended(desk.holder, 10)]
    assert sorted(taken) == sorted(made)


def test_an_ended_batch_is_taken_again_once_its_lease_is_free(desk: Desk) -> None:
    batch, _ = desk.ended()
    assert desk.queries.take_ended(desk.holder, 10) == []
    desk.queries.expire([batch.lease])
    assert [one.lease for one in desk.queries.take_ended(desk.holder, 10)] == [Lease(batch.id, 3)]


def test_the_oldest_are_taken_first(desk: Desk) -> None:
    first, second = desk.claimed(1)[0], desk.claimed(1)[0]
    desk.queries.expire([first.lease, second.lease])
    assert [one.id for one in desk.queries.take_unresolved(desk.holder, 1)] == [first.id]
    both = [desk.submitted(1)[0] for _ in range(2)]
    for batch in reversed(both):
        desk.end(batch)
    assert [one.id for one in desk.queries.take_ended(desk.holder, 1)] == [both[0].id]
