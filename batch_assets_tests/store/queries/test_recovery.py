"""What other runs, and LiveDash itself, have left open."""

from dataclasses import replace
from datetime import timedelta

import pytest

from batch_assets.domain.policy import Caps
from batch_assets_tests.factories import make_company, make_external_batch, make_requests
from batch_assets_tests.store.queries.support import POLICY, Desk, completed


def test_an_unresolved_batch_is_taken_over_with_what_is_known_of_it(desk: Desk) -> None:
    claimed, _ = desk.claimed()
    uploaded, _ = desk.uploaded()
    desk.queries.expire([claimed.lease, uploaded.lease])
    first, second = desk.queries.take_unresolved(desk.holder, 10)
    assert (first.id, first.input_file_id) == (claimed.id, None)
    assert (second.id, second.input_file_id) == (uploaded.id, f"file-{uploaded.id}")
    assert (first.absences, first.absent_since) == (0, None)
    assert first.account == second.account == desk.holder.account
    assert first.sought_at == desk.batch(claimed.id).sought_at
    assert first.claimed_at == desk.batch(claimed.id).claimed_at
    assert desk.batch(claimed.id).lease_owner == desk.holder.owner


def test_what_runs_has_ended_or_is_held_is_not_taken_over(desk: Desk) -> None:
    desk.claimed()
    desk.submitted()
    desk.ended()
    finalized, _ = desk.ended()
    desk.finalize(finalized.lease)
    released, _ = desk.claimed()
    desk.queries.release([released.lease])
    assert desk.queries.take_unresolved(desk.holder, 10) == []


def test_batches_of_another_installation_are_not_taken_over(desk: Desk) -> None:
    batch, _ = desk.claimed()
    desk.queries.expire([batch.lease])
    desk.do("UPDATE batch_assets.installation SET id = 'a copy of it'")
    assert desk.queries.take_unresolved(desk.holder, 10) == []


def test_absences_are_counted_from_the_first_and_free_the_lease(desk: Desk) -> None:
    batch, _ = desk.claimed()
    desk.queries.expire([batch.lease])
    (first,) = desk.queries.take_unresolved(desk.holder, 10)
    desk.queries.record_absences([first.lease], "account-1")
    since = desk.batch(batch.id).absent_since
    (second,) = desk.queries.take_unresolved(desk.holder, 10)
    assert (second.absences, second.absent_since) == (1, since)
    assert second.sought_at == first.sought_at
    desk.queries.record_absences([second.lease], "account-2")
    (third,) = desk.queries.take_unresolved(desk.holder, 10)
    assert (third.absences, third.absent_since, third.account) == (2, since, "account-2")


@pytest.mark.parametrize("status", ["VALIDATING", "IN_PROGRESS", "FINALIZING", "COMPLETED"])
def test_livedashs_own_batches_are_watched_from_now_on(desk: Desk, status: str) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection, status="SUSPENDED")
        ids = make_requests(connection, company_id, 2)
        batch_id = make_external_batch(
            connection, company_id, status=status, request_ids=ids, age=timedelta(hours=3)
        )
    assert desk.queries.adopt_external() == 1
    assert desk.queries.adopt_external() == 0
    ours = desk.batch(batch_id)
    assert (ours.state, ours.installation_id, ours.model) == ("submitted", None, None)
    theirs = desk.livedash_batch(batch_id)
    assert (ours.openai_batch_id, ours.input_file_id) == (theirs.openaiBatchId, theirs.inputFileId)
    assert ours.requests == 2
    assert theirs.status == status
    in_flight = desk.in_flight(batch_id)
    assert in_flight.submitted_at == theirs.createdAt
    assert desk.queries.open_rows([batch_id], 10) == [(batch_id, row) for row in sorted(ids)]


@pytest.mark.parametrize("status", ["PENDING", "UPLOADING", "PROCESSED", "FAILED", "CANCELLED"])
def test_external_batches_that_do_not_run_are_none_of_ours(desk: Desk, status: str) -> None:
    with desk.engine.begin() as connection:
        make_external_batch(connection, make_company(connection), status=status)
    assert desk.queries.adopt_external() == 0


def test_our_own_batches_are_not_external(desk: Desk) -> None:
    desk.submitted()
    desk.ended()
    assert desk.queries.adopt_external() == 0


def test_an_external_batch_is_read_to_the_end_but_its_files_stay(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        first, second = make_requests(connection, company_id, 2)
        batch_id = make_external_batch(connection, company_id, request_ids=[first, second])
    desk.queries.adopt_external()
    desk.end(desk.in_flight(batch_id))
    batch = desk.take(batch_id)
    assert (batch.is_ours, batch.model) == (False, None)
    desk.write(batch.lease, [completed(first)])
    assert desk.finalize(batch.lease) == 1
    assert desk.request(first).processingStatus == "PROCESSING_COMPLETE"
    assert desk.intake() == {second}
    assert desk.livedash_batch(batch_id).status == "PROCESSED"
    assert desk.queries.leftovers(10) == []


def test_an_external_batch_uses_up_none_of_our_allowances_and_caps(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 2)
        make_external_batch(connection, company_id, request_ids=ids)
    desk.queries.adopt_external()
    other, _ = desk.company(1)
    policy = replace(POLICY, default_token_allowance=600, caps=Caps(day_requests=1))
    assert len(desk.claim(other, policy=policy).batches) == 1
