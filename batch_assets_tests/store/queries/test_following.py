"""Requests that ask the same: one is bought, and the others have its answer."""

from datetime import timedelta
from typing import Any

import pytest

from batch_assets.store.conservation import Conservation
from batch_assets.store.sessions import Followers
from batch_assets_tests.factories import (
    make_company,
    make_external_batch,
    make_request,
    make_session,
)
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import (
    COST,
    PERMANENT,
    TRANSIENT,
    Desk,
    completed,
    failed,
    terms,
)


def asked(desk: Desk, times: int) -> tuple[str, list[str]]:
    """A company with one session and so many requests for it, oldest first, all noticed."""
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        ids = [
            make_request(connection, session_id, age=timedelta(minutes=times - n))
            for n in range(times)
        ]
    desk.queries.notice_pending(100)
    return company_id, ids


def sent(desk: Desk, company_id: str) -> str:
    """What waits for the company is sent and has ended; the batch."""
    (claimed,) = desk.claim(company_id).batches
    desk.upload(claimed.lease)
    desk.submit(claimed)
    desk.end(desk.in_flight(claimed.id))
    return claimed.id


def leaders(desk: Desk) -> dict[str, str]:
    return dict(desk.column_pairs("SELECT request_id, leader_id FROM batch_assets.follower"))


def assert_conserved(desk: Desk) -> None:
    audit = Conservation(desk.engine).all_rows()
    assert audit.is_clean, audit.numbers


def test_one_waits_and_the_others_follow_it_in_no_batch(desk: Desk) -> None:
    company_id, (first, *others) = asked(desk, 3)
    assert desk.intake() == {first}
    assert leaders(desk) == dict.fromkeys(others, first)
    assert desk.statuses(others) == {"BATCHING_IN_PROGRESS"}
    assert {desk.request(one).batchId for one in others} == {None}
    (backlog,) = desk.queries.pending_by_company([company_id])
    assert backlog.requests == 1, "they are no backlog"
    (statistics,) = desk.queries.statistics()
    assert (statistics.waiting, statistics.follows, statistics.in_batch) == (1, 2, 0)
    assert_conserved(desk)


@pytest.mark.parametrize(
    "other", [{"processing_type": "summary"}, {"model": "gpt-4.1"}], ids=["type", "model"]
)
def test_what_asks_for_something_else_follows_nothing(desk: Desk, other: dict[str, Any]) -> None:
    with desk.engine.begin() as connection:
        session_id = make_session(connection, make_company(connection))
        ids = [make_request(connection, session_id), make_request(connection, session_id, **other)]
    desk.queries.notice_pending(100)
    assert desk.intake() == set(ids)
    assert leaders(desk) == {}


def test_one_that_comes_while_the_first_is_in_a_batch_follows_it(desk: Desk) -> None:
    batch, ids = desk.submitted(1)
    with desk.engine.begin() as connection:
        again = make_request(connection, desk.session_id(ids[0]))
    desk.queries.notice_pending(100)
    assert leaders(desk) == {again: ids[0]}
    assert desk.claim(desk.batch(batch.id).company_id).batches == ()


def test_all_have_the_answer_of_the_first_at_no_cost(desk: Desk) -> None:
    company_id, (first, *others) = asked(desk, 3)
    batch = desk.take(sent(desk, company_id))
    written = desk.write(batch.lease, [completed(first)])
    assert written is not None
    assert (written.completed, written.shared) == (1, 2)
    assert written.shared_saved_eur == pytest.approx(2 * COST.eur)
    for one in others:
        request, attempt = desk.request(one), desk.attempt(one)
        assert (request.processingStatus, request.success) == ("PROCESSING_COMPLETE", True)
        assert (request.totalTokens, request.totalCostEur) == (0, 0)
        assert (attempt.shares_answer_of, attempt.batch_id) == (first, batch.id)
        assert (attempt.outcome, attempt.cost_eur) == ("completed", 0)
    assert desk.finalize(batch.lease) == 0
    assert desk.batch(batch.id).completed == 1, "the others were never in it"
    status = desk.analysis_status(first)
    assert status is not None
    assert status.status == "COMPLETED"
    assert leaders(desk) == {}
    assert_conserved(desk)


def test_one_whose_model_was_changed_is_held_by_that_as_soon_as_it_takes_the_place(
    desk: Desk,
) -> None:
    company_id, (first, second) = asked(desk, 2)
    desk.do('DELETE FROM public."Message"')
    desk.do("UPDATE public.\"AIProcessingRequest\" SET model = 'gpt-4.1' WHERE id = :id", id=second)
    desk.do(
        "INSERT INTO batch_assets.model_cooldown (model, until, reason)"
        " VALUES ('gpt-4.1', clock_timestamp() + interval '1 hour', 'token_limit_exceeded')"
    )
    claim = desk.claim(company_id)
    assert (claim.batches, claim.rejected) == ((), {"no_messages": 1})
    assert desk.dead_letter(first).code == "no_messages"
    assert desk.intake() == {second}
    assert claim.held == {"model gpt-4.1 is in cooldown: token_limit_exceeded": 1}


def test_when_the_first_is_dead_the_oldest_of_the_others_takes_its_place(desk: Desk) -> None:
    company_id, (first, second, third) = asked(desk, 3)
    batch = desk.take(sent(desk, company_id))
    desk.write(batch.lease, [failed(first, PERMANENT)])
    desk.finalize(batch.lease)
    assert desk.dead_letter(first).code == PERMANENT.code
    assert (desk.intake(), leaders(desk)) == ({second}, {third: second})
    status = desk.analysis_status(first)
    assert status is not None
    assert status.status == "IN_PROGRESS", "one of them is open"
    assert_conserved(desk)

    again = desk.take(sent(desk, company_id))
    desk.write(again.lease, [completed(second)])
    assert desk.statuses([second, third]) == {"PROCESSING_COMPLETE"}
    assert desk.attempt(third).shares_answer_of == second


def test_the_first_stays_so_while_it_is_retried_or_its_batch_is_released(desk: Desk) -> None:
    company_id, (first, second) = asked(desk, 2)
    (claimed,) = desk.claim(company_id).batches
    desk.queries.release([claimed.lease])
    desk.queries.notice_pending(100)
    assert (desk.intake(), leaders(desk)) == ({first}, {second: first})
    batch = desk.take(sent(desk, company_id))
    desk.write(batch.lease, [failed(first, TRANSIENT)])
    desk.queries.notice_pending(100)
    Followers(desk.engine).heal()
    assert leaders(desk) == {second: first}
    assert_conserved(desk)


def test_one_that_can_never_be_sent_leaves_its_place_to_the_next(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id, messages=0)
        first, second = (
            make_request(connection, session_id, age=timedelta(minutes=n)) for n in (2, 1)
        )
    desk.queries.notice_pending(100)
    assert desk.claim(company_id).rejected == {"no_messages": 1}
    assert (desk.intake(), leaders(desk)) == ({second}, {})
    assert desk.claim(company_id).rejected == {"no_messages": 1}
    assert desk.statuses([first, second]) == {"PROCESSING_FAILED"}
    assert_conserved(desk)


def test_a_dead_letter_that_follows_is_one_no_more(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id, messages=0)
        first, second = (
            make_request(connection, session_id, age=timedelta(minutes=n)) for n in (2, 1)
        )
    desk.queries.notice_pending(100)
    assert [desk.claim(company_id).rejected for _ in range(2)] == [{"no_messages": 1}] * 2
    desk.do('UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\'')
    desk.queries.notice_pending(100)
    assert (desk.intake(), leaders(desk)) == ({first}, {second: first})
    dead = "SELECT request_id FROM batch_assets.dead_letter WHERE request_id = :id"
    assert desk.column(dead, id=second) == []


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ('DELETE FROM public."AIProcessingRequest" WHERE id = :id', "PENDING_BATCHING"),
        (
            'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_COMPLETE\','
            " success = true WHERE id = :id",
            "PROCESSING_COMPLETE",
        ),
        (
            'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_FAILED\''
            " WHERE id = :id",
            "PENDING_BATCHING",
        ),
    ],
    ids=["deleted", "answered by LiveDash", "failed by LiveDash"],
)
def test_what_somebody_else_does_to_the_first_is_healed(
    desk: Desk, what: str, expected: str
) -> None:
    _, (first, second, third) = asked(desk, 3)
    desk.do(what, id=first)
    Followers(desk.engine).heal()
    assert desk.statuses([second]) == {expected}
    is_answered = expected == "PROCESSING_COMPLETE"
    assert leaders(desk) == ({} if is_answered else {third: second})
    status = desk.analysis_status(second)
    assert status is not None
    assert status.status == ("COMPLETED" if is_answered else "IN_PROGRESS")


def test_two_that_are_in_the_intake_all_the_same_are_not_both_claimed(desk: Desk) -> None:
    company_id, (first, second) = asked(desk, 2)
    desk.do("DELETE FROM batch_assets.follower")
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\''
        " WHERE id = :id",
        id=second,
    )
    desk.do(
        "INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)"
        ' SELECT r.id, :company, r.model, r."requestedAt"'
        ' FROM public."AIProcessingRequest" AS r WHERE r.id = :id',
        id=second,
        company=company_id,
    )
    at_once = terms(a_policy(min_batch_requests=1))
    (packing,) = desk.queries.preview([company_id], at_once)
    assert [one.request_id for one in packing.followers] == [second]
    (claimed,) = desk.claim(company_id).batches
    assert claimed.requests == 1
    assert (desk.intake(), leaders(desk)) == (set(), {second: first})
    assert_conserved(desk)


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "PROCESSED", None])
def test_what_livedash_left_in_progress_is_nobodys_leader(desk: Desk, status: str | None) -> None:
    """Its check timer gives up a batch and leaves the rows; without the batch they are in none."""
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        left = make_request(connection, session_id, age=timedelta(days=3))
        make_external_batch(
            connection,
            company_id,
            status=status or "FAILED",
            request_ids=[left],
            age=timedelta(days=3),
        )
    if status is None:
        desk.do('DELETE FROM public."AIBatchRequest"')
    with desk.engine.begin() as connection:
        new = make_request(connection, session_id)
    desk.queries.notice_pending(100)
    assert desk.intake() == {new}


@pytest.mark.parametrize("waits", [False, True])
def test_a_leader_whom_nobody_will_end_any_more_is_lost(desk: Desk, waits: bool) -> None:
    """Its batch, LiveDash's own, has failed; or LiveDash died between two of its statements."""
    company_id, (first, second) = asked(desk, 2)
    with desk.engine.begin() as connection:
        make_external_batch(connection, company_id, status="FAILED", request_ids=[first])
    if waits:
        desk.do(
            'UPDATE public."AIProcessingRequest"'
            " SET \"processingStatus\" = 'PENDING_BATCHING' WHERE id = :id",
            id=first,
        )
    Followers(desk.engine).heal()
    desk.queries.notice_pending(100)
    assert second in desk.intake()
    assert leaders(desk) == {}


def test_an_end_that_a_released_batch_does_not_explain_is_livedashs(desk: Desk) -> None:
    batch, (row,) = desk.claimed(1)
    desk.queries.release([batch.lease])
    desk.do(
        'UPDATE public."AIProcessingRequest" SET success = true, "completedAt" = now()'
        " WHERE id = :id",
        id=row,
    )
    desk.queries.notice_pending(100)
    assert desk.claim(desk.batch(batch.id).company_id).batches == ()
