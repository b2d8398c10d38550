"""What LiveDash's columns may hold and Python or a sum cannot: the affair of that row alone."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from batch_assets.store.registry import Registry
from batch_assets_tests.factories import (
    make_company,
    make_external_batch,
    make_request,
    make_requests,
    make_session,
)
from batch_assets_tests.odd_values import TIMES
from batch_assets_tests.store.queries.support import FINDINGS, Desk, completed

LAST = datetime.max.replace(tzinfo=UTC)
FIRST = datetime.min.replace(tzinfo=UTC)
LONG = "".join(chr(random.Random(n).randrange(0x4E00, 0x9FFF)) for n in range(800))
"""An id that LiveDash's index just takes, and that nothing makes shorter."""


@pytest.mark.parametrize(
    ("moment", "read"),
    [
        ("infinity", LAST),
        ("20000-01-01 00:00+00", LAST),
        ("294276-12-31 23:59:59.999999+00", LAST),
        ("-infinity", FIRST),
        ("0044-03-15 12:00+00 BC", FIRST),
        ("0001-01-01 00:00+14", FIRST),
        ("2026-01-02 03:04+05", datetime(2026, 1, 1, 22, 4, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_any_moment_can_be_read(engine: Engine, zone: str, moment: str, read: datetime) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL timezone = '{zone}'")
        query = text("SELECT CAST(:moment AS timestamptz), ARRAY[CAST(:moment AS timestamptz)]")
        found = connection.execute(query, {"moment": moment}).one()
    assert tuple(found) == (read, [read])


def test_a_request_from_before_all_time_is_noticed_however_late_it_comes(desk: Desk) -> None:
    company_id, (usual,) = desk.company(1)
    (late,) = desk.more(company_id, 1)
    desk.do("DELETE FROM batch_assets.intake WHERE request_id = :id", id=late)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "requestedAt" = \'-infinity\' WHERE id = :id',
        id=late,
    )
    assert desk.queries.notice_pending(100) == 1
    assert desk.intake() == {usual, late}


@pytest.mark.parametrize("moment", TIMES[:6])
def test_a_session_does_not_end_when_nobody_can_say(desk: Desk, moment: str) -> None:
    batch, (row, other) = desk.ended(2)
    before = desk.session(row).endTime
    desk.do(
        'UPDATE public."Message" SET timestamp = CAST(:moment AS timestamptz)'
        ' WHERE "sessionId" = :id AND "order" = 1',
        moment=moment,
        id=desk.session_id(row),
    )
    desk.write(batch.lease, [completed(row, FINDINGS), completed(other, FINDINGS)])
    assert desk.session(row).endTime == before
    assert desk.session(row).messagesSent == 2
    assert desk.statuses([row, other]) == {"PROCESSING_COMPLETE"}


@pytest.mark.parametrize("moment", TIMES)
def test_an_external_batch_of_any_date_is_as_old_as_can_be(
    desk: Desk, registry: Registry, moment: str
) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 1)
        batch_id = make_external_batch(connection, company_id, request_ids=ids)
    desk.do(
        'UPDATE public."AIBatchRequest" SET "createdAt" = CAST(:moment AS timestamptz)',
        moment=moment,
    )
    assert registry.snapshot().has_unwatched
    assert registry.installation().external_batches == 0
    desk.queries.adopt_external()
    in_flight = desk.in_flight(batch_id)
    assert FIRST <= in_flight.submitted_at <= datetime.now(UTC)
    desk.do("UPDATE batch_assets.batch SET claimed_at = claimed_at - interval '1 day'")
    assert registry.installation().external_batches == 0
    desk.end(in_flight)
    taken = desk.take(batch_id)
    desk.write(taken.lease, [completed(ids[0])])
    desk.finalize(taken.lease)
    assert desk.statuses(ids) == {"PROCESSING_COMPLETE"}


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "-Infinity", "-0.001", "3.4e38"])
def test_a_price_that_is_none_does_not_count(
    desk: Desk, cost: str, caplog: pytest.LogCaptureFixture
) -> None:
    for model, own in (("broken", cost), ("whole", "0.001")):
        desk.do(
            'INSERT INTO public."AIModel" (id, name, provider, "isActive", "updatedAt")'
            " VALUES (CAST(:model AS text), :model, 'openai', true, now())",
            model=model,
        )
        desk.do(
            'INSERT INTO public."AIModelPricing" (id, "aiModelId", "promptTokenCost",'
            ' "completionTokenCost", "effectiveFrom", "effectiveUntil")'
            " VALUES (CAST(:model AS text), :model, 0.001, CAST(:cost AS real),"
            " '-infinity', 'infinity')",
            model=model,
            cost=own,
        )
    assert desk.queries.model_prices().keys() == {"whole"}
    assert "LiveDash's price of 'broken' is none" in caplog.text


def test_followers_of_any_date_keep_their_order(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        session_id = make_session(connection, make_company(connection))
        ids = [make_request(connection, session_id) for _ in "123"]
    for request_id, moment in zip(ids, ("infinity", "-infinity", "20000-01-01"), strict=True):
        desk.do(
            'UPDATE public."AIProcessingRequest" SET "requestedAt" = CAST(:moment AS timestamptz)'
            " WHERE id = :id",
            moment=moment,
            id=request_id,
        )
    desk.queries.notice_pending(100)
    assert desk.intake() == {ids[1]}
    followers = desk.column("SELECT request_id FROM batch_assets.follower ORDER BY 1")
    assert followers == sorted([ids[0], ids[2]])


@contextmanager
def constrained(desk: Desk, table: str, check: str) -> Iterator[None]:
    """A CHECK written by hand, which rows from before it do not keep."""
    desk.do(f'ALTER TABLE public."{table}" ADD CONSTRAINT by_hand CHECK ({check}) NOT VALID')
    try:
        yield
    finally:
        desk.do(f'ALTER TABLE public."{table}" DROP CONSTRAINT by_hand')


def test_a_row_that_cannot_be_moved_waits_and_the_others_go(desk: Desk) -> None:
    company_id, (first, odd, last) = desk.company(3)
    empty_id, (unsendable,) = desk.company(1, messages=())
    alone_id, (alone,) = desk.company(1)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "promptTokens" = -1 WHERE id = ANY(:ids)',
        ids=[odd, unsendable, alone],
    )
    with constrained(desk, "AIProcessingRequest", '"promptTokens" >= 0'):
        claim = desk.claim(company_id, empty_id, alone_id)
    (batch,) = claim.batches
    assert (batch.requests, desk.batch(batch.id).requests) == (2, 2)
    assert claim.held == {"LiveDash's database refuses to change them": 3}
    assert (claim.failed, claim.remaining) == ({}, ())
    assert desk.intake() == {odd, unsendable, alone}
    sent = list(desk.queries.conversations([batch.id]))
    assert [one.request_id for one in sent] == [first, last]
    assert desk.column("SELECT position FROM batch_assets.attempt ORDER BY 1") == [1, 2]
    assert desk.value('SELECT count(*) FROM public."AIBatchRequest"') == 1
    assert sum(batch.requests for batch in desk.claim(company_id, empty_id, alone_id).batches) == 2


def test_a_row_that_cannot_be_noticed_keeps_no_other_from_it(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection, company_id=LONG + "c")
        usual, odd = (make_request(connection, make_session(connection, company_id)) for _ in "12")
    desk.do('UPDATE public."AIProcessingRequest" SET id = :long WHERE id = :id', long=LONG, id=odd)
    other_id, (other,) = desk.company(1)
    assert desk.intake() == {usual, other}
    assert "refuses to let 1 requests" in caplog.text
    assert sum(one.requests for one in desk.claim(company_id, other_id).batches) == 2
