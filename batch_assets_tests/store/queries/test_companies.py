"""Companies, prices and statistics."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from batch_assets.domain.records import RowOutcome
from batch_assets_tests.factories import (
    make_company,
    make_external_batch,
    make_request,
    make_requests,
    make_session,
)
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import (
    COST,
    PERMANENT,
    USAGE,
    Desk,
    completed,
    failed,
)

HOUR = timedelta(hours=1)


def test_only_active_companies_are_found_by_id(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        active = [make_company(connection, name=f"Company {number}") for number in range(3)]
        for status in ("SUSPENDED", "TRIAL", "ARCHIVED"):
            make_company(connection, status=status)
    found = desk.queries.active_companies()
    assert [company.id for company in found] == sorted(active)
    assert {company.name for company in found} == {"Company 0", "Company 1", "Company 2"}


def price(desk: Desk, model: str, prompt: float, starts: str, ends: str | None = None) -> None:
    with desk.engine.begin() as connection:
        connection.execute(
            text(
                'INSERT INTO public."AIModel" (id, name, provider, "isActive", "updatedAt")'
                " SELECT m.name, m.name, 'openai', true, now()"
                " FROM (SELECT CAST(:model AS text)) AS m (name) ON CONFLICT DO NOTHING"
            ),
            {"model": model},
        )
        connection.execute(
            text(
                'INSERT INTO public."AIModelPricing" (id, "aiModelId", "promptTokenCost",'
                ' "completionTokenCost", "effectiveFrom", "effectiveUntil")'
                " VALUES (gen_random_uuid()::text, :model, :prompt, :prompt * 4,"
                " now() + CAST(:starts AS interval), now() + CAST(:ends AS interval))"
            ),
            {"model": model, "prompt": prompt, "starts": starts, "ends": ends},
        )


def test_a_price_counts_while_it_is_in_effect(desk: Desk) -> None:
    price(desk, "past", 1.0, "-2 days", "-1 day")
    price(desk, "future", 1.0, "1 day")
    price(desk, "present", 1.0, "-2 days", "1 day")
    price(desk, "open", 2.0, "-2 days")
    found = desk.queries.model_prices()
    assert {model: one.synchronous.prompt for model, one in found.items()} == {
        "present": 1.0,
        "open": 2.0,
    }
    assert found["open"].synchronous.completion == 8.0
    assert found["open"].batch.prompt == 1.0
    assert found["open"].source == "livedash"


def test_of_prices_that_overlap_the_later_one_counts(desk: Desk) -> None:
    price(desk, "m", 3.0, "-1 day")
    price(desk, "m", 1.0, "-3 days")
    price(desk, "m", 2.0, "-2 days")
    assert desk.queries.model_prices()["m"].synchronous.prompt == 3.0


def test_each_request_is_counted_in_one_bucket(desk: Desk) -> None:
    due = a_policy(retry_base_seconds=0)
    batch, (done, later, dead, _open, never_ran) = desk.ended(5)
    outcomes = [completed(done), failed(later), failed(dead, PERMANENT), RowOutcome(never_ran)]
    desk.write(batch.lease, outcomes, policy=due)
    with desk.engine.begin() as connection:
        session_id = make_session(connection, batch.company_id)
        for _ in range(2):
            make_request(connection, session_id, status="PROCESSING_FAILED")
        make_session(connection, batch.company_id)
    (found,) = desk.queries.statistics()
    assert (found.company_id, found.name, found.status) == (
        batch.company_id,
        "Zorggroep Oost",
        "ACTIVE",
    )
    assert found.sessions == 6
    assert (found.waiting, found.in_batch, found.complete) == (1, 1, 1)
    assert (found.retry, found.dead, found.failed_elsewhere) == (1, 1, 2)
    assert found.prompt_tokens == USAGE.prompt_tokens
    assert found.completion_tokens == USAGE.completion_tokens
    assert found.cost_eur == pytest.approx(COST.eur)
    assert found.synchronous_cost_eur == pytest.approx(COST.synchronous_eur)


def test_the_largest_company_comes_first_and_none_is_left_out(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        empty = make_company(connection, status="SUSPENDED")
        small, large = make_company(connection), make_company(connection, status="ARCHIVED")
        make_requests(connection, small, 1)
        make_requests(connection, large, 2)
    found = desk.queries.statistics()
    assert [company.company_id for company in found] == [large, small, empty]
    assert (found[2].sessions, found[2].cost_eur) == (0, 0.0)


@pytest.mark.parametrize("rounds", [1, 2])
def test_buckets_add_up_when_livedash_resets_what_had_failed(desk: Desk, rounds: int) -> None:
    policy = a_policy(retry_base_seconds=0, max_attempts=5)
    company_id, (row,) = desk.company(1, age=HOUR)
    for failure in [PERMANENT, None][:rounds]:
        (claimed,) = desk.claim(company_id, policy=policy).batches
        desk.upload(claimed.lease)
        desk.submit(claimed)
        desk.end(desk.in_flight(claimed.id))
        batch = desk.take(claimed.id)
        outcome = failed(row, failure) if failure else failed(row)
        desk.write(batch.lease, [outcome], policy=policy)
        desk.do(
            'UPDATE public."AIProcessingRequest"'
            ' SET "processingStatus" = \'PENDING_BATCHING\', "batchId" = NULL'
        )
        desk.queries.notice_pending(10)
    (claimed,) = desk.claim(company_id, policy=policy).batches
    desk.upload(claimed.lease)
    desk.submit(claimed)
    desk.end(desk.in_flight(claimed.id))
    desk.write(desk.take(claimed.id).lease, [failed(row)], policy=policy)
    (found,) = desk.queries.statistics()
    assert found.retry + found.dead + found.failed_elsewhere + found.waiting == 1
    assert found.retry == 1


def test_external_batches_count_where_their_requests_are(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 3)
        make_external_batch(connection, company_id, request_ids=ids[:2])
    (found,) = desk.queries.statistics()
    assert (found.waiting, found.in_batch) == (1, 2)
