"""What ticks see of the database: what is due, newly or still, and what is in flight."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from batch_assets.domain.breakers import BreakerState
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.store.breakers import Breakers
from batch_assets.store.original import OriginalQueries
from batch_assets.store.strategy import choose_queries
from batch_assets.store.watching import InFlight, LeftToDo, NewlyDue, Watching
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import Desk

POLICY = a_policy(min_batch_requests=10, max_wait_seconds=1_800)
YOUNG = timedelta(minutes=1)
OLD = timedelta(minutes=31)


@pytest.fixture
def desk(emptied_engine: Engine) -> Desk:
    return Desk(emptied_engine, choose_queries(emptied_engine, optimized=True))


def see(desk: Desk, later: timedelta = timedelta(0)) -> NewlyDue:
    return Watching(desk.engine).newly_due(POLICY.due_rule, datetime.now(UTC) + later)


def left(desk: Desk, later: timedelta = timedelta(0), **receivers: str) -> LeftToDo:
    now = datetime.now(UTC) + later
    return Watching(desk.engine).left_to_do(POLICY.due_rule, now, receivers, "an account")


def arrive(desk: Desk, count: int, company_id: str | None = None, **options: object) -> str:
    """Requests that nobody has noticed yet."""
    with desk.engine.begin() as connection:
        company_id = company_id or make_company(connection)
        make_requests(connection, company_id, count, **options)  # type: ignore[arg-type]
    return company_id


def notice(desk: Desk) -> None:
    """What each run does, and here it does nothing else."""
    desk.queries.notice_pending(100_000)


def test_nothing_waits(desk: Desk) -> None:
    assert see(desk) == NewlyDue()
    notice(desk)
    assert see(desk) == NewlyDue()


def test_a_company_is_due_with_its_tenth_request(desk: Desk) -> None:
    company_id = arrive(desk, 9, age=YOUNG)
    found = see(desk)
    assert (found.companies, found.fingerprint, found.waiting_companies) == (0, None, 1)
    assert found.next_due_at == pytest.approx(
        datetime.now(UTC) + timedelta(minutes=29), abs=timedelta(seconds=5)
    )
    arrive(desk, 1, company_id)
    found = see(desk)
    assert (found.companies, found.large_companies, found.requests) == (1, 1, 10)


@pytest.mark.parametrize("date", ["infinity", "-infinity", "20000-01-01", "4000-01-01 BC"])
def test_a_date_that_no_driver_knows_stops_no_tick(desk: Desk, date: str) -> None:
    arrive(desk, 10)
    desk.do(f'UPDATE public."AIProcessingRequest" SET "requestedAt" = \'{date}\'')
    assert see(desk).companies == 1
    notice(desk)
    assert see(desk).companies == 0


def test_the_same_backlog_has_the_same_fingerprint_however_it_grows(desk: Desk) -> None:
    company_id = arrive(desk, 10, age=YOUNG)
    first = see(desk).fingerprint
    arrive(desk, 5, company_id)
    assert see(desk).fingerprint == first is not None
    arrive(desk, 10)
    assert see(desk).fingerprint != first


def test_noticed_requests_count_but_do_not_make_a_company_due_twice(desk: Desk) -> None:
    company_id = arrive(desk, 6, age=YOUNG)
    notice(desk)
    arrive(desk, 4, company_id)
    assert see(desk).companies == 1
    notice(desk)
    # A run has looked at these ten and has left them.
    assert see(desk).companies == 0
    arrive(desk, 30, company_id)
    assert see(desk).companies == 0


def test_a_company_is_due_once_its_oldest_request_is_old(desk: Desk) -> None:
    arrive(desk, 1, age=YOUNG)
    notice(desk)
    assert see(desk).companies == 0
    found = see(desk, later=timedelta(minutes=30))
    assert (found.companies, found.large_companies, found.requests) == (1, 0, 0)
    assert found.fingerprint == see(desk, later=timedelta(minutes=40)).fingerprint


def test_an_old_request_that_a_run_has_left_is_not_newly_due(desk: Desk) -> None:
    company_id = arrive(desk, 1, age=OLD)
    assert see(desk).companies == 1
    notice(desk)
    found = see(desk)
    assert (found.companies, found.waiting_companies, found.next_due_at) == (0, 1, None)
    arrive(desk, 1, company_id, age=OLD - timedelta(minutes=26))
    assert see(desk).companies == 0


def test_after_the_original_the_fingerprint_alone_tells_a_backlog_that_was_left(
    desk: Desk,
) -> None:
    # It notes no date up to which it has noticed what waits.
    large, old = arrive(desk, 10, age=YOUNG), arrive(desk, 1, age=OLD)
    OriginalQueries(desk.engine).notice_pending(100)
    assert desk.column("SELECT DISTINCT company_id FROM batch_assets.intake ORDER BY 1") == sorted(
        [large, old]
    )
    found = see(desk)
    assert (found.companies, found.large_companies) == (1, 0)
    assert see(desk).fingerprint == found.fingerprint


def test_a_suspended_company_is_never_due(desk: Desk) -> None:
    company_id = arrive(desk, 20, age=YOUNG)
    desk.do("UPDATE public.\"Company\" SET status = 'SUSPENDED'")
    assert see(desk) == NewlyDue()
    notice(desk)
    assert see(desk, later=timedelta(hours=1)) == NewlyDue()
    desk.do("UPDATE public.\"Company\" SET status = 'ACTIVE' WHERE id = :id", id=company_id)
    assert see(desk, later=timedelta(hours=1)).companies == 1


def test_what_rests_is_not_due_and_is_named(desk: Desk) -> None:
    company_id = arrive(desk, 20, age=OLD)
    arrive(desk, 9, company_id, model="gpt-4.1", age=YOUNG)
    desk.do(
        "INSERT INTO batch_assets.model_cooldown (model, until, reason)"
        " VALUES ('gpt-4o-mini', clock_timestamp() + interval '5 minutes', 'full')"
    )
    found = see(desk)
    assert (found.companies, found.waiting_companies) == (0, 1)
    assert found.models_in_cooldown == ("gpt-4o-mini",)
    assert found.cooling_until is not None
    found = see(desk, later=timedelta(minutes=6))
    assert (found.companies, found.large_companies, found.requests) == (1, 1, 29)


def test_requests_in_a_batch_and_finished_ones_are_not_seen(desk: Desk) -> None:
    _batch, ids = desk.claimed(12)
    assert see(desk) == NewlyDue()
    desk.do('UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_FAILED\'')
    assert ids
    assert see(desk) == NewlyDue()


def test_no_more_than_the_newest_rows_are_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch_assets.store.watching.NEWEST_ROWS", 5)
    arrive(desk, 30, age=YOUNG)
    assert see(desk).requests == 10


def test_nothing_is_left_to_do(desk: Desk) -> None:
    assert left(desk) == LeftToDo()
    arrive(desk, 9, age=YOUNG)
    assert left(desk) == LeftToDo()
    notice(desk)
    assert left(desk) == LeftToDo()
    assert left(desk, later=timedelta(minutes=29)).is_due


def test_what_is_due_is_left_until_it_is_sent(desk: Desk) -> None:
    company_id = arrive(desk, 6, age=YOUNG)
    notice(desk)
    arrive(desk, 4, company_id)
    assert left(desk).is_due
    notice(desk)
    # It is not newly due any more.
    assert left(desk).is_due
    desk.claim(company_id)
    assert not left(desk).is_due


def test_what_is_late_or_put_back_is_seen_whatever_its_date(desk: Desk) -> None:
    notice(desk)
    arrive(desk, 1, age=timedelta(days=40))
    assert see(desk).companies == 0
    assert left(desk).is_due


@pytest.mark.parametrize("date", ["infinity", "-infinity", "20000-01-01", "4000-01-01 BC"])
def test_such_a_date_does_not_keep_a_tick_from_looking(desk: Desk, date: str) -> None:
    arrive(desk, 9)
    desk.do(f'UPDATE public."AIProcessingRequest" SET "requestedAt" = \'{date}\'')
    assert not left(desk).is_due
    arrive(desk, 1, desk.column('SELECT id FROM public."Company"')[0])
    assert left(desk).is_due


def test_neither_a_suspended_company_nor_a_cooldown_is_work(desk: Desk) -> None:
    arrive(desk, 20, age=OLD)
    desk.do("UPDATE public.\"Company\" SET status = 'SUSPENDED'")
    arrive(desk, 20, model="gpt-4.1", age=OLD)
    desk.do(
        "INSERT INTO batch_assets.model_cooldown (model, until, reason)"
        " VALUES ('gpt-4.1', clock_timestamp() + interval '5 minutes', 'full')"
    )
    assert not left(desk).is_due
    notice(desk)
    assert not left(desk).is_due
    assert left(desk, later=timedelta(minutes=6)).is_due


def test_what_livedash_has_answered_itself_is_not_work(desk: Desk) -> None:
    arrive(desk, 20, age=OLD)
    desk.do('UPDATE public."AIProcessingRequest" SET "completedAt" = now()')
    assert left(desk) == LeftToDo()


def test_more_that_is_new_than_is_read_is_work(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch_assets.store.watching.NEWEST_ROWS", 10)
    for _ in range(2):
        arrive(desk, 5, age=YOUNG)
    assert left(desk).is_due
    notice(desk)
    assert not left(desk).is_due


def test_what_is_put_off_and_what_somebody_is_to_hear_is_work(desk: Desk) -> None:
    desk.do(
        "INSERT INTO batch_assets.retry"
        " (request_id, company_id, attempts, failure_kind, code, reason, failed_at, retry_at)"
        " VALUES ('r', 'c', 1, 'transient', 'timeout', 'r', now(), now() + interval '1 hour')"
    )
    assert left(desk) == LeftToDo(has_put_off=True)
    desk.do("DELETE FROM batch_assets.retry")
    desk.do(
        "INSERT INTO batch_assets.alert (name, is_raised, severity, summary, since)"
        " VALUES ('error_rate', true, 'ERROR', 's', now())"
    )
    assert left(desk) == LeftToDo()
    assert left(desk, webhook="f") == LeftToDo(has_alerts=True)
    desk.do("UPDATE batch_assets.alert SET is_raised = false, since = now()")
    assert left(desk) == LeftToDo()
    assert left(desk, webhook="f") == LeftToDo(has_alerts=True)
    desk.do(
        "INSERT INTO batch_assets.alert_delivery (receiver, alert, since, delivered_at)"
        " SELECT 'webhook', a.name, a.since, now() FROM batch_assets.alert AS a"
    )
    assert left(desk, webhook="f") == LeftToDo()


def test_batches_in_flight_and_the_breakers(desk: Desk) -> None:
    watching = Watching(desk.engine)
    assert watching.in_flight() == InFlight()
    batch, _ = desk.submitted()
    desk.claimed()
    Breakers(desk.engine).count(
        "list_batches",
        Failure(FailureKind.TRANSIENT, "timeout", "no answer in time"),
        replace(POLICY, breaker_failures=1),
        None,
    )
    found = watching.in_flight()
    assert (found.batches, found.oldest_at) == (1, batch.submitted_at)
    assert [breaker.state for breaker in found.breakers] == [BreakerState.OPEN]


def test_those_among_some_ids_that_are_in_flight(desk: Desk) -> None:
    watching = Watching(desk.engine)
    batch, _ = desk.submitted()
    ended, _ = desk.submitted()
    desk.end(ended)
    ids = ["batch_unknown", ended.openai_batch_id, batch.openai_batch_id]
    assert watching.in_flight_among(ids) == [batch.openai_batch_id]
    assert watching.in_flight_among([]) == []
