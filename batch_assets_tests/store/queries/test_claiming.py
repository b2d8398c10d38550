"""Claiming: from waiting rows to a committed intent."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from batch_assets.store.protocol import Spent
from batch_assets_tests.factories import make_request, make_session
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import Desk, terms


def members(desk: Desk, batch_id: str) -> Sequence[str]:
    return desk.column(
        'SELECT id FROM public."AIProcessingRequest" WHERE "batchId" = :id ORDER BY id',
        id=batch_id,
    )


def test_a_claim_is_written_everywhere_before_it_returns(desk: Desk) -> None:
    company_id, ids = desk.company(3)
    claim = desk.claim(company_id)
    (batch,) = claim.batches

    assert (batch.company_id, batch.model, batch.requests) == (company_id, "gpt-4o-mini", 3)
    assert (claim.rejected, claim.held, claim.remaining) == ({}, {}, ())
    assert members(desk, batch.id) == sorted(ids)
    assert desk.statuses(ids) == {"BATCHING_IN_PROGRESS"}
    assert desk.intake() == set()
    assert {desk.attempt(request_id).outcome for request_id in ids} == {None}
    status = desk.analysis_status(ids[0])
    assert status is not None
    assert (status.status, status.completedAt) == ("IN_PROGRESS", None)

    ours = desk.batch(batch.id)
    holder = desk.holder
    assert (ours.state, ours.fence, ours.lease_owner) == ("claimed", 1, holder.owner)
    assert (ours.run_id, ours.installation_id) == (holder.run_id, holder.installation_id)
    assert (ours.requests, ours.estimated_tokens) == (3, batch.tokens)
    assert ours.estimated_cost_eur == pytest.approx(batch.cost_eur)
    assert (ours.lease_expires_at - ours.claimed_at).total_seconds() == pytest.approx(900, abs=5)

    theirs = desk.livedash_batch(batch.id)
    assert (theirs.companyId, theirs.status) == (company_id, "PENDING")
    assert theirs.openaiBatchId == theirs.inputFileId == f"unsent:{batch.id}"


def test_the_oldest_go_first_and_a_full_company_is_visited_again(desk: Desk) -> None:
    company_id, young = desk.company(3, age=timedelta(minutes=1))
    old = desk.more(company_id, 2, age=timedelta(hours=1))
    claim = desk.claim(company_id, policy=a_policy(max_batch_requests=2))
    assert [members(desk, batch.id) for batch in claim.batches] == [
        sorted(old),
        sorted(young[:2]),
        sorted(young[2:]),
    ]
    assert claim.remaining == ()


def test_a_claim_stops_after_its_number_of_batches_and_names_the_rest(desk: Desk) -> None:
    first, second, third = (desk.company(2)[0] for _ in range(3))
    claim = desk.claim(first, second, third, policy=a_policy(batches_per_claim=1))
    assert [batch.company_id for batch in claim.batches] == [first]
    assert claim.remaining == (second, third)


def test_models_are_claimed_apart(desk: Desk) -> None:
    company_id, small = desk.company(2, model="gpt-4o-mini")
    large = desk.more(company_id, 2, model="gpt-4.1")
    batches = {batch.model: batch for batch in desk.claim(company_id).batches}
    assert members(desk, batches["gpt-4o-mini"].id) == sorted(small)
    assert members(desk, batches["gpt-4.1"].id) == sorted(large)


def test_companies_never_share_a_batch(desk: Desk) -> None:
    first, ids_of_first = desk.company(2)
    second, ids_of_second = desk.company(3)
    batches = {batch.company_id: batch for batch in desk.claim(first, second).batches}
    assert members(desk, batches[first].id) == sorted(ids_of_first)
    assert members(desk, batches[second].id) == sorted(ids_of_second)
    assert desk.livedash_batch(batches[second].id).companyId == second


def test_a_wrong_intake_row_brings_no_request_into_another_companys_batch(desk: Desk) -> None:
    first, (own,) = desk.company(1)
    _, (foreign,) = desk.company(1)
    desk.do("UPDATE batch_assets.intake SET company_id = :company", company=first)
    (batch,) = desk.claim(first).batches
    assert members(desk, batch.id) == [own]
    assert desk.statuses([foreign]) == {"PENDING_BATCHING"}


@pytest.mark.parametrize("status", ["SUSPENDED", "TRIAL", "ARCHIVED"])
def test_a_company_that_stopped_being_active_after_the_survey_is_not_claimed(
    desk: Desk, status: str
) -> None:
    company_id, ids = desk.company(10)
    assert [backlog.requests for backlog in desk.queries.pending_by_company([company_id])] == [10]
    desk.do(
        'UPDATE public."Company" SET status = CAST(:status AS public."CompanyStatus")',
        status=status,
    )
    claim = desk.claim(company_id)
    assert (claim.batches, claim.remaining) == ((), ())
    assert desk.statuses(ids) == {"PENDING_BATCHING"}


def test_a_suspended_companys_bad_rows_are_not_touched_either(desk: Desk) -> None:
    company_id, ids = desk.company(1, messages=0)
    desk.do("UPDATE public.\"Company\" SET status = 'SUSPENDED'")
    assert desk.claim(company_id).rejected == {}
    assert desk.statuses(ids) == {"PENDING_BATCHING"}


def test_what_another_transaction_holds_is_skipped_not_waited_for(desk: Desk) -> None:
    company_id, (locked, free) = desk.company(2)
    with desk.engine.begin() as other:
        other.execute(
            text('SELECT FROM public."AIProcessingRequest" WHERE id = :id FOR UPDATE'),
            {"id": locked},
        )
        (batch,) = desk.claim(company_id).batches
    assert members(desk, batch.id) == [free]
    assert desk.intake() == {locked}


def test_what_livedash_took_back_since_it_was_noticed_is_not_claimed(desk: Desk) -> None:
    company_id, (taken, stays) = desk.company(2)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_COMPLETE\''
        " WHERE id = :id",
        id=taken,
    )
    (batch,) = desk.claim(company_id).batches
    assert members(desk, batch.id) == [stays]
    assert desk.statuses([taken]) == {"PROCESSING_COMPLETE"}


def test_what_can_never_be_sent_becomes_a_dead_letter_with_its_reason(desk: Desk) -> None:
    company_id, (empty,) = desk.company(1, messages=0)
    (good,) = desk.more(company_id, 1)
    claim = desk.claim(company_id)
    assert claim.rejected == {"no_messages": 1}
    assert [batch.requests for batch in claim.batches] == [1]
    assert desk.statuses([good]) == {"BATCHING_IN_PROGRESS"}

    row = desk.request(empty)
    assert (row.processingStatus, row.success, row.batchId) == ("PROCESSING_FAILED", False, None)
    assert row.errorMessage == "The session has no messages."
    assert row.completedAt is not None
    status = desk.analysis_status(empty)
    assert status is not None
    assert (status.status, status.errorMessage) == ("FAILED", row.errorMessage)
    assert dict(desk.column_pairs("SELECT request_id, code FROM batch_assets.dead_letter")) == {
        empty: "no_messages",
    }
    assert desk.intake() == set()


def test_a_resting_model_is_passed_over_until_its_time_is_up(desk: Desk) -> None:
    company_id, _ = desk.company(2, model="gpt-4o-mini")
    desk.more(company_id, 1, model="gpt-4.1")
    desk.do(
        "INSERT INTO batch_assets.model_cooldown (model, until, reason)"
        " VALUES ('gpt-4o-mini', clock_timestamp() + interval '1 hour', 'token_limit_exceeded')"
    )
    assert [batch.model for batch in desk.claim(company_id).batches] == ["gpt-4.1"]
    desk.do(
        "UPDATE batch_assets.model_cooldown SET until = clock_timestamp() - interval '1 second'"
    )
    assert [batch.model for batch in desk.claim(company_id).batches] == ["gpt-4o-mini"]


def test_requests_of_a_resting_model_are_counted_as_held(desk: Desk) -> None:
    company_id, _ = desk.company(2)
    desk.do(
        "INSERT INTO batch_assets.model_cooldown (model, until, reason)"
        " VALUES ('gpt-4o-mini', clock_timestamp() + interval '1 hour', 'token_limit_exceeded')"
    )
    claim = desk.claim(company_id)
    assert claim.batches == ()
    assert claim.held == {"model gpt-4o-mini is in cooldown: token_limit_exceeded": 2}


def test_what_has_to_wait_does_not_stop_what_lies_behind_it(desk: Desk) -> None:
    company_id, _ = desk.company(4, model="gpt-4.1", age=timedelta(hours=1))
    behind = desk.more(company_id, 2, model="gpt-4o-mini")
    policy = a_policy(max_batch_requests=2, token_allowances={"gpt-4.1": 1_100})
    claim = desk.claim(company_id, policy=policy)
    assert [(batch.model, batch.requests) for batch in claim.batches] == [
        ("gpt-4.1", 2),
        ("gpt-4o-mini", 2),
    ]
    assert desk.statuses(behind) == {"BATCHING_IN_PROGRESS"}


def test_what_is_held_is_counted_once_however_often_its_company_is_visited(desk: Desk) -> None:
    company_id, _ = desk.company(2, model="gpt-4.1", age=timedelta(hours=1))
    desk.more(company_id, 4, model="gpt-4o-mini")
    policy = a_policy(max_batch_requests=3, token_allowances={"gpt-4.1": 600})
    claim = desk.claim(company_id, policy=policy)
    assert sum(batch.requests for batch in claim.batches) == 5
    assert claim.held == {"model gpt-4.1 is in cooldown: its token allowance is used up": 1}


def test_tokens_that_are_enqueued_already_count_for_all_companies(desk: Desk) -> None:
    first, _ = desk.company(1)
    second, _ = desk.company(1)
    policy = a_policy(default_token_allowance=600)
    assert len(desk.claim(first, policy=policy).batches) == 1
    claim = desk.claim(second, policy=policy)
    assert claim.batches == ()
    assert claim.held == {"model gpt-4o-mini is in cooldown: its token allowance is used up": 1}


def test_an_ended_batch_frees_its_tokens(desk: Desk) -> None:
    policy = a_policy(default_token_allowance=600)
    company_id, _ = desk.company(1)
    desk.ended(1)
    assert len(desk.claim(company_id, policy=policy).batches) == 1


def test_two_requests_of_one_session_are_claimed_together(desk: Desk) -> None:
    company_id, _ = desk.company()
    with desk.engine.begin() as connection:
        session_id = make_session(connection, company_id)
        ids = [
            make_request(connection, session_id, processing_type=kind)
            for kind in ("summary", "categorization")
        ]
    desk.queries.notice_pending(10)
    (batch,) = desk.claim(company_id).batches
    assert members(desk, batch.id) == sorted(ids)


def test_nothing_is_claimed_for_nobody(desk: Desk) -> None:
    claim = desk.queries.claim([], terms(), desk.holder, Spent())
    assert (claim.batches, claim.remaining) == ((), ())


def test_a_request_that_livedash_reset_leaves_its_dead_letter_behind(desk: Desk) -> None:
    company_id, (request_id,) = desk.company(1, messages=0)
    desk.claim(company_id)
    session_id = desk.session_id(request_id)
    desk.do(
        'INSERT INTO public."Message" (id, "sessionId", role, content, "order")'
        " VALUES ('m', :session, 'user', 'Hoi', 0)",
        session=session_id,
    )
    desk.do('UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\'')
    desk.queries.notice_pending(10)
    assert len(desk.claim(company_id).batches) == 1
    assert desk.value("SELECT count(*) FROM batch_assets.dead_letter") == 0
