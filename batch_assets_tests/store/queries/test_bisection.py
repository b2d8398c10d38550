"""Bisection of a refused batch: claimed by groups, and cleared once a group was taken."""

from batch_assets.domain.batches import ClaimedBatch, EndedBatch, UploadedBatch
from batch_assets.store.bisection import Bisection, RefusedRow, Split
from batch_assets_tests.store.queries.support import PERMANENT, Desk, completed, failed


def refused(desk: Desk, count: int) -> tuple[EndedBatch, list[str]]:
    """A batch that validation refused, with its lease taken."""
    return desk.ended(count, status="failed", output_file_id=None)


def split(desk: Desk, batch: EndedBatch, *halves: list[str]) -> None:
    groups = {f"{batch.id}.1/{number}": half for number, half in enumerate(halves, start=1)}
    parts = Split(batch.lease, groups, is_suspected=False)
    assert Bisection(desk.engine).split([parts], most=100) == {batch.id: True}


def suspected(desk: Desk, count: int) -> tuple[EndedBatch, list[str]]:
    """Waiting requests of which the first two are one group and the others another."""
    batch, ids = refused(desk, count)
    split(desk, batch, ids[:2], ids[2:])
    assert desk.finalize(batch.lease) == count
    return batch, ids


def rows(desk: Desk, batch: ClaimedBatch) -> list[str]:
    """The requests of a batch in the order of their positions."""
    return desk.column(
        "SELECT request_id FROM batch_assets.attempt WHERE batch_id = :id ORDER BY position",
        id=batch.id,
    )


def groups(desk: Desk) -> list[tuple[str, str]]:
    return desk.column_pairs(
        "SELECT request_id, bisection_group FROM batch_assets.bisection_request ORDER BY 1"
    )


def end(desk: Desk, batch: ClaimedBatch, status: str) -> EndedBatch:
    desk.upload(batch.lease)
    desk.submit(batch)
    desk.end(desk.in_flight(batch.id), status=status, output_file_id=None)
    return desk.take(batch.id)


def test_positions_are_those_of_the_conversations(desk: Desk) -> None:
    batch, ids = desk.claimed(3)
    assert rows(desk, batch) == ids
    positions = "SELECT position FROM batch_assets.attempt ORDER BY request_id"
    assert desk.column(positions) == [1, 2, 3]
    desk.do(
        "UPDATE batch_assets.attempt SET position = 3 - position WHERE request_id = ANY(:ids)",
        ids=ids[:2],
    )
    read = [one.request_id for one in desk.queries.conversations([batch.id])]
    assert read == [ids[1], ids[0], ids[2]], "by position, whatever the dates"


def test_batches_of_before_are_read_by_date(desk: Desk) -> None:
    batch, ids = desk.claimed(3)
    desk.do("UPDATE batch_assets.attempt SET position = NULL")
    assert [one.request_id for one in desk.queries.conversations([batch.id])] == ids


def test_each_lot_is_claimed_apart(desk: Desk) -> None:
    root, ids = suspected(desk, 5)
    more = desk.more(root.company_id, 2)
    claimed = {tuple(rows(desk, one)): one for one in desk.claim(root.company_id).batches}
    assert claimed.keys() == {tuple(ids[:2]), tuple(ids[2:]), tuple(more)}
    of = {
        key: (row.root_batch_id, row.bisection_group)
        for key, batch in claimed.items()
        for row in [desk.batch(batch.id)]
    }
    assert of == {
        tuple(ids[:2]): (root.id, f"{root.id}.1/1"),
        tuple(ids[2:]): (root.id, f"{root.id}.1/2"),
        tuple(more): (None, None),
    }
    assert len(groups(desk)) == 5, "until the batches are finalized"


def test_a_lot_that_was_never_sent_is_claimed_again(desk: Desk) -> None:
    root, ids = suspected(desk, 4)
    before = groups(desk)
    desk.queries.release([batch.lease for batch in desk.claim(root.company_id).batches])
    assert groups(desk) == before
    again = [rows(desk, batch) for batch in desk.claim(root.company_id).batches]
    assert sorted(again) == sorted([ids[:2], ids[2:]])


def test_a_lot_that_was_taken_is_cleared(desk: Desk) -> None:
    root, ids = suspected(desk, 4)
    first, second = desk.claim(root.company_id).batches
    ended = end(desk, first, "expired")
    desk.write(ended.lease, [completed(rows(desk, first)[0])])
    assert desk.finalize(ended.lease) == 1
    assert [request_id for request_id, _ in groups(desk)] == sorted(rows(desk, second))
    assert len(ids) == 4


def test_of_a_refused_lot_only_what_has_ended_is_cleared(desk: Desk) -> None:
    root, ids = suspected(desk, 4)
    (batch,) = [one for one in desk.claim(root.company_id).batches if rows(desk, one) == ids[:2]]
    ended = end(desk, batch, "failed")
    desk.write(ended.lease, [failed(ids[0], PERMANENT)])
    assert desk.finalize(ended.lease) == 1
    assert dict(groups(desk)) == {
        ids[1]: f"{root.id}.1/1",
        **dict.fromkeys(ids[2:], f"{root.id}.1/2"),
    }


def test_a_part_of_a_lot_keeps_the_batch_with_which_it_began(desk: Desk) -> None:
    root, ids = suspected(desk, 4)
    batches = {tuple(rows(desk, one)): one for one in desk.claim(root.company_id).batches}
    ended = end(desk, batches[tuple(ids[2:])], "failed")
    split(desk, ended, [ids[2]], [ids[3]])
    desk.finalize(ended.lease)
    assert dict(groups(desk))[ids[3]] == f"{ended.id}.1/2"
    (_, _) = again = desk.claim(root.company_id).batches
    assert {desk.batch(batch.id).root_batch_id for batch in again} == {root.id}


def test_suspects_that_were_deleted_are_forgotten(desk: Desk) -> None:
    _, ids = suspected(desk, 3)
    desk.delete_session(ids[0])
    other, others = refused(desk, 2)
    split(desk, other, others[:1], others[1:])
    assert sorted(request_id for request_id, _ in groups(desk)) == sorted([*ids[1:], *others])


def test_lines_are_the_positions_of_what_went_into_the_file(desk: Desk) -> None:
    batch, ids = desk.claimed(4)
    upload = UploadedBatch(batch.lease, "file-in", 1_000, (ids[1],))
    assert desk.queries.record_uploads([upload], 900) == {batch.id}
    desk.submit(batch)
    desk.end(desk.in_flight(batch.id), status="failed", output_file_id=None)
    lease = desk.take(batch.id).lease
    desk.write(lease, [failed(ids[2])])
    assert Bisection(desk.engine).rows_of([batch.id]) == {
        batch.id: [
            RefusedRow(ids[0], 1, is_open=True),
            RefusedRow(ids[2], 2, is_open=False),
            RefusedRow(ids[3], 3, is_open=True),
        ]
    }


def test_lines_are_not_known_when_a_row_was_lost_on_the_way(desk: Desk) -> None:
    batch, ids = desk.claimed(4)
    upload = UploadedBatch(batch.lease, "file-in", 1_000, (ids[1],), is_whole=False)
    assert desk.queries.record_uploads([upload], 900) == {batch.id}
    assert desk.batch(batch.id).requests == 3
    assert {row.line for row in Bisection(desk.engine).rows_of([batch.id])[batch.id]} == {None}


def test_lines_are_not_known_of_a_batch_that_was_adopted_or_is_of_before(desk: Desk) -> None:
    adopted, _ = desk.claimed(2)
    desk.submit(adopted)
    old, _ = desk.submitted(2)
    desk.do("UPDATE batch_assets.attempt SET position = NULL WHERE batch_id = :batch", batch=old.id)
    found = Bisection(desk.engine).rows_of([adopted.id, old.id])
    assert {row.line for some in found.values() for row in some} == {None}
