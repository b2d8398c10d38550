"""Scenes of the operations that write; see `scenes`."""

from collections.abc import Callable
from typing import Any

from batch_assets.domain.batches import BatchOutcomes, SubmittedBatch, UploadedBatch
from batch_assets.domain.records import Lease
from batch_assets.store.protocol import Spent
from batch_assets_tests.factories import make_external_batch, make_requests
from batch_assets_tests.store.queries.support import (
    POLICY,
    Desk,
    completed,
    failed,
    remote_batch,
    terms,
)
from batch_assets_tests.store.strategy.scene import Scene


def notice_pending(desk: Desk) -> Scene:
    company_id, _ = desk.company()
    with desk.engine.begin() as connection:
        ids = make_requests(connection, company_id, 3)

    def judge(answer: Any) -> None:
        assert (answer, desk.intake()) == (3, set(ids))

    return lambda queries: queries.notice_pending(100), judge


def claim(desk: Desk) -> Scene:
    company_id, ids = desk.company(3)
    holder = desk.holder

    def judge(answer: Any) -> None:
        (batch,) = answer.batches
        assert desk.statuses(ids) == {"BATCHING_IN_PROGRESS"}
        assert desk.column("SELECT id FROM batch_assets.batch") == [batch.id]
        assert desk.value("SELECT count(*) FROM batch_assets.attempt") == 3
        assert desk.intake() == set()

    return lambda queries: queries.claim([company_id], terms(), holder, Spent()), judge


def renew(desk: Desk) -> Scene:
    batch, _ = desk.claimed()
    desk.lapse(batch.id)

    def judge(answer: Any) -> None:
        assert answer == {batch.id}
        assert desk.queries.take_unresolved(desk.holder, 10) == []

    return lambda queries: queries.renew([batch.lease, Lease("other", 1)], 900), judge


def expire(desk: Desk) -> Scene:
    batch, _ = desk.claimed()

    def judge(answer: Any) -> None:
        assert answer is None
        assert len(desk.queries.take_unresolved(desk.holder, 10)) == 1

    return lambda queries: queries.expire([batch.lease]), judge


def record_uploads(desk: Desk) -> Scene:
    batch, ids = desk.claimed()
    upload = UploadedBatch(batch.lease, "file-1", 1_000, dropped=(ids[0],))

    def judge(answer: Any) -> None:
        assert answer == {batch.id}
        assert desk.batch(batch.id).state == "uploaded"
        assert desk.statuses(ids[:1]) == {"PENDING_BATCHING"}
        assert desk.statuses(ids[1:]) == {"BATCHING_IN_PROGRESS"}

    return lambda queries: queries.record_uploads([upload], 900), judge


def record_submissions(desk: Desk) -> Scene:
    batch, _ = desk.uploaded()
    submission = SubmittedBatch(batch.lease, remote_batch(batch.id))

    def judge(answer: Any) -> None:
        assert answer == {batch.id}
        assert desk.batch(batch.id).state == "submitted"
        assert desk.livedash_batch(batch.id).status == "UPLOADING"

    return lambda queries: queries.record_submissions([submission]), judge


def release(desk: Desk) -> Scene:
    batch, ids = desk.claimed()

    def judge(answer: Any) -> None:
        assert answer == 3
        assert desk.batch(batch.id).state == "released"
        assert desk.statuses(ids) == {"PENDING_BATCHING"}

    return lambda queries: queries.release([batch.lease]), judge


def record_statuses(desk: Desk) -> Scene:
    batch, _ = desk.submitted()
    word = remote_batch(batch.id)

    def judge(answer: Any) -> None:
        assert desk.batch(batch.id).state == "ended"

    return lambda queries: queries.record_statuses([(batch, word)], frozenset({batch.id})), judge


def take_ended(desk: Desk) -> Scene:
    batch, _ = desk.submitted()
    desk.end(batch)
    holder = desk.holder

    def judge(answer: Any) -> None:
        assert [one.id for one in answer] == [batch.id]
        assert desk.batch(batch.id).fence == answer[0].lease.fence == batch.fence + 1

    return lambda queries: queries.take_ended(holder, 10), judge


def write_results(desk: Desk) -> Scene:
    batch, ids = desk.ended()
    outcomes = BatchOutcomes(batch.lease, [completed(ids[0]), failed(ids[1])], refused=1)

    def judge(answer: Any) -> None:
        assert (answer[batch.id].completed, answer[batch.id].retry) == (1, 1)
        assert answer[batch.id].refused.total() == 0
        assert desk.statuses(ids[:1]) == {"PROCESSING_COMPLETE"}
        assert desk.statuses(ids[1:2]) == {"BATCHING_IN_PROGRESS"}
        assert desk.statuses(ids[2:]) == {"BATCHING_IN_PROGRESS"}
        row = desk.batch(batch.id)
        assert (row.completed, row.failed, row.refused) == (1, 1, 1)
        assert desk.value('SELECT count(*) FROM public."SessionQuestion"') == 2

    return lambda queries: queries.write_results([outcomes], POLICY), judge


def finalize(desk: Desk) -> Scene:
    batch, ids = desk.ended()

    def judge(answer: Any) -> None:
        assert answer == {batch.id: 3}
        assert desk.batch(batch.id).state == "finalized"
        assert desk.livedash_batch(batch.id).status == "PROCESSED"
        assert desk.intake() == set(ids)

    return lambda queries: queries.finalize([batch.lease]), judge


def record_deleted(desk: Desk) -> Scene:
    batch, _ = desk.ended()
    desk.queries.finalize([batch.lease])

    def judge(answer: Any) -> None:
        assert desk.batch(batch.id).files_deleted_at is not None

    return lambda queries: queries.record_deleted([batch.id]), judge


def requeue_due(desk: Desk) -> Scene:
    batch, ids = desk.ended()
    outcomes = BatchOutcomes(batch.lease, [failed(one) for one in ids])
    desk.queries.write_results([outcomes], POLICY)
    desk.do("UPDATE batch_assets.retry SET retry_at = now()")

    def judge(answer: Any) -> None:
        assert (answer, desk.intake()) == (3, set(ids))
        assert desk.statuses(ids) == {"PENDING_BATCHING"}

    return lambda queries: queries.requeue_due(100), judge


def take_unresolved(desk: Desk) -> Scene:
    batch, _ = desk.claimed()
    desk.lapse(batch.id)
    holder = desk.holder

    def judge(answer: Any) -> None:
        assert [one.lease for one in answer] == [Lease(batch.id, 2)]
        assert desk.batch(batch.id).fence == 2

    return lambda queries: queries.take_unresolved(holder, 10), judge


def record_absences(desk: Desk) -> Scene:
    batch, _ = desk.claimed()

    def judge(answer: Any) -> None:
        assert desk.batch(batch.id).absences == 1

    return lambda queries: queries.record_absences([batch.lease], "account-1"), judge


def adopt_external(desk: Desk) -> Scene:
    company_id, ids = desk.company(2)
    with desk.engine.begin() as connection:
        batch_id = make_external_batch(connection, company_id, request_ids=ids)

    def judge(answer: Any) -> None:
        assert answer == 1
        assert desk.batch(batch_id).state == "submitted"
        assert desk.value("SELECT count(*) FROM batch_assets.attempt") == 2

    return lambda queries: queries.adopt_external(), judge


WRITING: dict[str, Callable[[Desk], Scene]] = {
    scene.__name__: scene
    for scene in (
        notice_pending,
        claim,
        renew,
        expire,
        record_uploads,
        record_submissions,
        release,
        record_statuses,
        take_ended,
        write_results,
        finalize,
        record_deleted,
        requeue_due,
        take_unresolved,
        record_absences,
        adopt_external,
    )
}
