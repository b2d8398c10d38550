"""Each thing that may not fit, made by hand in a real database, is named."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from batch_assets.domain.conservation import BUCKETS, Look, Violation
from batch_assets.store.conservation import Conservation
from batch_assets.store.protocol import Queries
from batch_assets_tests.factories import make_external_batch, make_request, make_session
from batch_assets_tests.store.queries.conftest import IMPLEMENTATIONS
from batch_assets_tests.store.queries.support import (
    PERMANENT,
    Desk,
    completed,
    failed,
)


@pytest.fixture(params=["optimized"])
def queries(request: pytest.FixtureRequest, engine: Engine) -> Queries:
    """Made by hand, what does not fit is the same on both; what fits is tried with each."""
    return IMPLEMENTATIONS[request.param](engine)


SET_REQUEST = 'UPDATE public."AIProcessingRequest" SET {} WHERE id = :id'
HOUR = 3_600.0


def kinds(look: Look) -> dict[str, list[str]]:
    return {str(found.kind): list(found.ids) for found in look.violations}


def looks(desk: Desk) -> tuple[Look, Look]:
    """What is seen of the open rows, and of all."""
    conservation = Conservation(desk.engine)
    return conservation.open_rows(HOUR), conservation.all_rows().look


def set_request(desk: Desk, request_id: str, what: str) -> None:
    desk.do(SET_REQUEST.format(what), id=request_id)


def failed_row(desk: Desk) -> str:
    """A row that is to be retried."""
    batch, ids = desk.ended(3)
    desk.write(batch.lease, [failed(ids[0])])
    return ids[0]


def dead_row(desk: Desk) -> str:
    batch, ids = desk.ended(3)
    desk.write(batch.lease, [failed(ids[0], PERMANENT)])
    return ids[0]


def in_no_batch(desk: Desk) -> str:
    _, ids = desk.submitted()
    set_request(desk, ids[0], '"batchId" = NULL')
    desk.do("UPDATE batch_assets.attempt SET outcome = 'unanswered', ended_at = now()")
    desk.do(
        "UPDATE batch_assets.attempt SET outcome = NULL, ended_at = NULL WHERE request_id <> :id",
        id=ids[0],
    )
    return ids[0]


def without_attempt(desk: Desk) -> str:
    batch, ids = desk.submitted()
    desk.do("DELETE FROM batch_assets.attempt WHERE request_id = :id", id=ids[1])
    desk.do("UPDATE batch_assets.batch SET requests = 2 WHERE id = :id", id=batch.id)
    return ids[1]


def without_row(desk: Desk) -> str:
    _, ids = desk.uploaded()
    set_request(desk, ids[2], """"processingStatus" = 'PENDING_BATCHING', "batchId" = NULL""")
    return ids[2]


def open_in_finished(desk: Desk) -> str:
    batch, ids = desk.ended()
    desk.write(batch.lease, [completed(request_id) for request_id in ids])
    assert desk.finalize(batch.lease) == 0
    desk.do(
        "UPDATE batch_assets.attempt SET outcome = NULL, ended_at = NULL WHERE request_id = :id",
        id=ids[0],
    )
    desk.do("UPDATE batch_assets.batch SET completed = 2")
    return ids[0]


def of_another_company(desk: Desk) -> str:
    _, ids = desk.submitted()
    other, _ = desk.company()
    desk.do(
        'UPDATE public."Session" SET "companyId" = :company WHERE id = :id',
        company=other,
        id=desk.session_id(ids[0]),
    )
    return ids[0]


def waiting_in_batch(desk: Desk) -> str:
    batch, ids = desk.ended()
    desk.write(batch.lease, [completed(request_id) for request_id in ids])
    desk.finalize(batch.lease)
    set_request(desk, ids[1], "\"processingStatus\" = 'PENDING_BATCHING'")
    return ids[1]


def without_entry(desk: Desk) -> str:
    request_id = dead_row(desk)
    desk.do("DELETE FROM batch_assets.dead_letter")
    return request_id


def put_off_without_entry(desk: Desk) -> str:
    request_id = failed_row(desk)
    desk.do("DELETE FROM batch_assets.retry")
    return request_id


def retry_and_follows(desk: Desk) -> str:
    request_id = failed_row(desk)
    desk.do(
        "INSERT INTO batch_assets.follower (request_id, company_id, leader_id, requested_at)"
        " SELECT f.request_id, f.company_id, r.id, now() FROM batch_assets.retry AS f"
        ' JOIN public."AIProcessingRequest" AS r ON r."processingStatus"'
        " = 'BATCHING_IN_PROGRESS' AND r.id <> f.request_id LIMIT 1"
    )
    return request_id


def follower(desk: Desk) -> str:
    """A row that follows one that is in a batch."""
    _, ids = desk.submitted(1)
    with desk.engine.begin() as connection:
        again = make_request(connection, desk.session_id(ids[0]))
    desk.queries.notice_pending(10)
    return again


def follower_overtaken(desk: Desk) -> str:
    request_id = follower(desk)
    set_request(desk, request_id, "\"processingStatus\" = 'PROCESSING_COMPLETE'")
    return request_id


def leader_lost(desk: Desk) -> str:
    request_id = follower(desk)
    desk.do("UPDATE batch_assets.follower SET leader_id = 'nobody'")
    return request_id


def retry_and_dead(desk: Desk) -> str:
    request_id = failed_row(desk)
    desk.do(
        "INSERT INTO batch_assets.dead_letter"
        " (request_id, company_id, attempts, failure_kind, code, reason)"
        " SELECT request_id, company_id, 1, 'permanent', 'x', 'x' FROM batch_assets.retry"
    )
    return request_id


def counters(desk: Desk) -> str:
    batch, ids = desk.ended()
    desk.write(batch.lease, [completed(ids[0])])
    desk.do("UPDATE batch_assets.batch SET completed = 2")
    return batch.id


def missing_attempt(desk: Desk) -> str:
    batch, ids = desk.ended()
    desk.write(batch.lease, [completed(request_id) for request_id in ids])
    desk.finalize(batch.lease)
    desk.do("UPDATE batch_assets.batch SET requests = 4")
    return batch.id


def retry_overtaken(desk: Desk) -> str:
    request_id = failed_row(desk)
    set_request(desk, request_id, "\"processingStatus\" = 'PROCESSING_COMPLETE'")
    return request_id


def dead_overtaken(desk: Desk) -> str:
    request_id = dead_row(desk)
    set_request(desk, request_id, """"processingStatus" = 'PENDING_BATCHING', "batchId" = NULL""")
    return request_id


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (Violation.IN_BATCH_WITHOUT_BATCH, in_no_batch),
        (Violation.IN_BATCH_WITHOUT_ATTEMPT, without_attempt),
        (Violation.ATTEMPT_WITHOUT_ROW, without_row),
        (Violation.OPEN_IN_FINISHED_BATCH, open_in_finished),
        (Violation.OF_ANOTHER_COMPANY, of_another_company),
        (Violation.WAITING_IN_BATCH, waiting_in_batch),
        (Violation.FAILED_WITHOUT_ENTRY, without_entry),
        (Violation.RETRY_AND_DEAD, retry_and_dead),
        (Violation.BATCH_COUNTERS, counters),
        (Violation.BATCH_COUNTERS, missing_attempt),
        (Violation.RETRY_OVERTAKEN, retry_overtaken),
        (Violation.DEAD_OVERTAKEN, dead_overtaken),
        (Violation.IN_BATCH_WITHOUT_BATCH, put_off_without_entry),
        (Violation.RETRY_AND_FOLLOWS, retry_and_follows),
        (Violation.FOLLOWER_OVERTAKEN, follower_overtaken),
        (Violation.LEADER_LOST, leader_lost),
    ],
)
def test_what_does_not_fit_is_named(
    desk: Desk, kind: Violation, make: Callable[[Desk], str]
) -> None:
    offender = make(desk)
    of_open, of_all = looks(desk)
    for look in (of_all,) if kind is Violation.WAITING_IN_BATCH else (of_open, of_all):
        found = kinds(look)
        assert found.get(str(kind)) == [offender], found
        assert look.numbers[kind] == 1
        # Those that go together are the only ones that are seen twice. By hand only requests were
        # moved, and not what the stages of their sessions say.
        together = {"in_batch_without_attempt", "open_in_finished_batch", "dead_overtaken"}
        stages = {"stage_without_request", "request_without_stage"}
        assert found.keys() <= {str(kind), *together, *stages}


def test_a_stage_that_nothing_will_finish_is_seen_by_the_audit_alone(desk: Desk) -> None:
    _, (row, *_) = desk.submitted()
    company_id, _ = desk.company()
    with desk.engine.begin() as connection:
        left = make_session(connection, company_id)
    desk.do(
        'INSERT INTO public."SessionProcessingStatus" (id, "sessionId", stage, status)'
        " VALUES ('p', :id, 'AI_ANALYSIS', 'IN_PROGRESS')",
        id=left,
    )
    desk.do(
        'UPDATE public."SessionProcessingStatus" SET status = \'PENDING\' WHERE "sessionId" = :id',
        id=desk.session_id(row),
    )
    of_open, of_all = looks(desk)
    assert kinds(of_open) == {}
    assert kinds(of_all) == {
        "stage_without_request": [left],
        "request_without_stage": [desk.session_id(row)],
    }
    assert not of_all.has_errors


def test_what_livedash_has_left_is_seen_by_the_audit_alone(desk: Desk) -> None:
    company_id, ids = desk.company(2)
    with desk.engine.begin() as connection:
        make_external_batch(connection, company_id, status="PROCESSED", request_ids=ids[:1])
        make_external_batch(connection, company_id, status="IN_PROGRESS", request_ids=ids[1:])
    of_open, of_all = looks(desk)
    assert kinds(of_open) == {}
    assert kinds(of_all)["left_by_livedash"] == ids[:1]
    assert not of_all.has_errors


@pytest.mark.parametrize("queries", IMPLEMENTATIONS, indirect=True)
def test_a_life_of_every_kind_fits(desk: Desk) -> None:
    desk.company(2)
    desk.claimed()
    desk.uploaded()
    released, _ = desk.uploaded()
    desk.queries.release([released.lease])
    desk.submitted()
    batch, ids = desk.ended(6)
    desk.delete_session(ids[4])
    desk.delete_session(ids[5])
    desk.write(
        batch.lease,
        [completed(ids[0]), failed(ids[1]), failed(ids[2], PERMANENT), completed(ids[4])],
    )
    for look in looks(desk):
        assert look.is_clean, kinds(look)
    assert desk.finalize(batch.lease) is not None
    with desk.engine.begin() as connection:
        company_id = desk.batch(batch.id).company_id
        make_request(connection, make_session(connection, company_id), status="PROCESSING_FAILED")
    for look in looks(desk):
        assert look.is_clean, kinds(look)

    audit = Conservation(desk.engine).all_rows()
    assert audit.is_clean
    assert audit.adds_up
    totals = audit.totals
    assert (totals.complete, totals.retry, totals.dead, totals.failed_elsewhere) == (1, 1, 1, 1)
    assert totals.rows == sum(getattr(totals, bucket) for bucket in BUCKETS) == audit.rows
    (company,) = [one for one in audit.companies if one.company_id == company_id]
    assert company.rows == 5


def test_what_was_finished_long_ago_is_left_to_the_audit(desk: Desk) -> None:
    request_id = open_in_finished(desk)
    desk.do("UPDATE batch_assets.batch SET finalized_at = now() - interval '2 hours'")
    of_open, of_all = looks(desk)
    assert kinds(of_open) == {}
    assert of_open.seen["batches"] == 0
    assert kinds(of_all) == {"open_in_finished_batch": [request_id]}


def test_a_row_in_no_bucket_or_in_two_shows_in_the_sums(desk: Desk) -> None:
    waiting_in_batch(desk)
    retry_and_follows(desk)
    audit = Conservation(desk.engine).all_rows()
    assert not audit.adds_up
    assert [one.in_buckets - one.rows for one in audit.not_adding_up].count(1) == 1
    assert [one.in_buckets - one.rows for one in audit.not_adding_up].count(-1) == 1
    assert audit.numbers["companies_not_adding_up"] == 2


def test_many_are_counted_and_twenty_named(desk: Desk) -> None:
    _, ids = desk.submitted(25)
    desk.do('UPDATE public."AIProcessingRequest" SET "batchId" = NULL')
    look = Conservation(desk.engine).open_rows(HOUR)
    found = {one.kind: one for one in look.violations}
    assert found[Violation.IN_BATCH_WITHOUT_BATCH].count == 25
    assert list(found[Violation.IN_BATCH_WITHOUT_BATCH].ids) == sorted(ids)[:20]


def test_every_number_is_there_each_time(desk: Desk) -> None:
    idle, audited = looks(desk)
    assert set(idle.numbers) == {
        *("rows_in_batch", "open_attempts", "batches", "retries", "followers", "dead_letters"),
        *map(str, Violation),
    }
    assert set(audited.numbers) - set(idle.numbers) == {"intake_leftovers", "entries_of_deleted"}
    assert set(idle.numbers.values()) == {0}
