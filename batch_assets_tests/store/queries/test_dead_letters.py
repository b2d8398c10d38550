"""Dead letters are listed in pages, read with what was tried, and put back when asked."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from batch_assets.domain.lookups import Criteria
from batch_assets.store import lookups
from batch_assets.store.conservation import Conservation
from batch_assets.store.lookups import DeadLetters
from batch_assets.store.protocol import Queries
from batch_assets_tests.factories import make_request, make_session
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.conftest import IMPLEMENTATIONS
from batch_assets_tests.store.queries.support import PERMANENT, Desk, failed

ONE_TRY = a_policy(max_attempts=1)


@pytest.fixture(params=["optimized"])
def queries(request: pytest.FixtureRequest, engine: Engine) -> Queries:
    """There is one implementation of dead letters, and the others' rows are the same on both."""
    return IMPLEMENTATIONS[request.param](engine)


@pytest.fixture
def letters(engine: Engine) -> DeadLetters:
    return DeadLetters(engine)


def dead(desk: Desk, count: int = 3) -> tuple[str, list[str]]:
    """A company with so many dead letters, each an hour older than the one before."""
    batch, ids = desk.ended(count)
    desk.write(batch.lease, [failed(request_id, PERMANENT) for request_id in ids])
    for number, request_id in enumerate(ids):
        desk.do(
            "UPDATE batch_assets.dead_letter SET dead_at = now() - :age WHERE request_id = :id",
            age=timedelta(hours=number),
            id=request_id,
        )
    return batch.company_id, ids


def external(desk: Desk, company_id: str, count: int = 1) -> list[str]:
    """Requests of a company that failed through LiveDash itself."""
    with desk.engine.begin() as connection:
        session_id = make_session(connection, company_id)
        return [
            make_request(connection, session_id, status="PROCESSING_FAILED") for _ in range(count)
        ]


def test_they_are_listed_newest_first_page_after_page(desk: Desk, letters: DeadLetters) -> None:
    company_id, ids = dead(desk, 5)
    dead(desk, 1)
    first = letters.page(Criteria(company_id=company_id), 2)
    assert [letter.request_id for letter in first.letters] == ids[:2]
    assert first.total == 5
    second = letters.page(Criteria(company_id=company_id), 4, after=first.letters[-1])
    assert [letter.request_id for letter in second.letters] == ids[2:]
    letter = first.letters[0]
    assert (letter.company, letter.code, letter.failure_kind) == (
        "Zorggroep Oost",
        "refused",
        "permanent",
    )


def test_they_are_chosen_by_company_code_kind_and_age(desk: Desk, letters: DeadLetters) -> None:
    _, ids = dead(desk)
    desk.do("UPDATE batch_assets.dead_letter SET code = 'other' WHERE request_id = :id", id=ids[0])
    hour_ago = datetime.now(UTC) - timedelta(minutes=90)

    def found(criteria: Criteria) -> set[str]:
        return {letter.request_id for letter in letters.page(criteria, 10).letters}

    assert found(Criteria(code="other")) == {ids[0]}
    assert found(Criteria(kind="transient")) == set()
    assert found(Criteria(older_than=hour_ago)) == {ids[2]}
    assert found(Criteria(newer_than=hour_ago)) == set(ids[:2])
    assert found(Criteria(request_ids=ids[1:], code="refused")) == set(ids[1:])
    assert found(Criteria(company_id="nobody")) == set()


def test_one_is_read_with_all_that_was_tried(desk: Desk, letters: DeadLetters) -> None:
    batch, ids = desk.ended(1)
    desk.write(batch.lease, [failed(ids[0], paid=True)], policy=ONE_TRY)
    history = letters.read(ids[0])
    assert history is not None
    assert history.status == "PROCESSING_FAILED"
    assert history.dead_letter is not None
    assert (history.dead_letter.code, history.dead_letter.attempts) == ("server_error", 1)
    (attempt,) = history.attempts
    assert (attempt.batch_id, attempt.outcome, attempt.counted) == (batch.id, "failed", True)
    assert attempt.code == "server_error"
    assert attempt.cost_eur > 0
    assert attempt.ended_at is not None
    assert letters.read("nobody") is None


def test_a_requeued_one_waits_and_has_all_its_tries_again(desk: Desk, letters: DeadLetters) -> None:
    batch, ids = desk.ended(1)
    desk.write(batch.lease, [failed(ids[0])], policy=ONE_TRY)
    desk.finalize(batch.lease)
    assert desk.dead_letter(ids[0]).attempts == 1

    moved = letters.requeue(Criteria(request_ids=ids))

    assert (moved.requeued, moved.external, moved.overtaken) == (1, 0, 0)
    row = desk.request(ids[0])
    assert (row.processingStatus, row.batchId, row.completedAt) == ("PENDING_BATCHING", None, None)
    assert desk.intake() == set(ids)
    assert desk.attempt(ids[0]).counted is False
    assert letters.page(Criteria(), 10).total == 0
    assert Conservation(desk.engine).all_rows().is_clean
    # One failure of two that are allowed: it is to be retried.
    (again,) = desk.claim(batch.company_id).batches
    desk.upload(again.lease)
    desk.submit(again)
    desk.end(desk.in_flight(again.id))
    desk.write(desk.take(again.id).lease, [failed(ids[0])], policy=a_policy(max_attempts=2))
    assert desk.retry(ids[0]).attempts == 1


def test_what_livedash_has_changed_loses_only_our_entry(desk: Desk, letters: DeadLetters) -> None:
    _, ids = dead(desk)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_COMPLETE\''
        " WHERE id = :id",
        id=ids[0],
    )
    desk.delete_session(ids[1])
    moved = letters.requeue(Criteria())
    assert (moved.requeued, moved.overtaken) == (1, 2)
    assert desk.request(ids[0]).processingStatus == "PROCESSING_COMPLETE"
    assert desk.attempt(ids[0]).counted is True
    assert desk.intake() == {ids[2]}
    assert letters.page(Criteria(), 10).total == 0


def test_what_failed_elsewhere_is_moved_only_when_asked(desk: Desk, letters: DeadLetters) -> None:
    company_id, _ = dead(desk, 1)
    retried, _ = desk.ended(1)
    (other,) = external(desk, retried.company_id)
    asked = external(desk, company_id, 3)
    assert letters.requeue(Criteria(company_id=company_id)).external == 0
    assert [
        (group.company_id, group.requests)
        for group in letters.external_groups(Criteria(company_id=company_id))
    ] == [(company_id, 3)]
    moved = letters.requeue(Criteria(company_id=company_id), external=True)
    assert (moved.requeued, moved.external) == (0, 3)
    assert set(asked) <= desk.intake()
    assert desk.request(other).processingStatus == "PROCESSING_FAILED"
    assert letters.requeue(Criteria(request_ids=[other]), external=True).external == 1


def test_sets_are_bounded_and_all_are_moved(
    desk: Desk, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "ROWS_AT_A_TIME", 2)
    company_id, ids = dead(desk, 5)
    asked = external(desk, company_id, 5)
    moved = letters.requeue(Criteria(company_id=company_id), external=True)
    assert (moved.requeued, moved.external) == (5, 5)
    assert desk.intake() == {*ids, *asked}


def test_wrong_ids_are_told_from_each_other(desk: Desk, letters: DeadLetters) -> None:
    company_id, ids = dead(desk, 1)
    (waiting,) = desk.more(company_id, 1)
    (outside,) = external(desk, company_id)
    batch, (retried,) = desk.ended(1)
    desk.write(batch.lease, [failed(retried)])
    asked = [*ids, waiting, outside, retried, "nobody"]
    wrong = letters.not_to_requeue(asked, external=False)
    assert dict(wrong) == {
        waiting: "PENDING_BATCHING",
        outside: "PROCESSING_FAILED",
        retried: "retry",
        "nobody": "",
    }
    assert outside not in dict(letters.not_to_requeue(asked, external=True))
