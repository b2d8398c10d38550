"""What the schedule starts a run for, and what it says when there is nothing to do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from batch_assets import schedules
from batch_assets.domain.budgets import ALL_COMPANIES, Budget, Period
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.policy import Cooldown
from batch_assets.openai_batch.operations import Operation
from batch_assets.settings import load_settings
from batch_assets.store.breakers import Breakers
from batch_assets.store.budgets import StoredBudgets
from batch_assets.store.registry import Registry
from batch_assets.wiring import account_of, connect
from batch_assets_tests.factories import make_company, make_external_batch, make_requests
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.history import make_past
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.ticks.support import (
    Answer,
    CountingDatabase,
    History,
    skipped,
    started,
    tick_at,
)

REASON = "batch_assets/reason"
RETRY = """
    INSERT INTO batch_assets.retry
        (request_id, company_id, attempts, failure_kind, code, reason, failed_at, retry_at)
    VALUES ('r', 'c', 1, 'transient', 'timeout', 'r', now(), now() + CAST(:put_off AS interval))
"""
ALERT = """
    INSERT INTO batch_assets.alert (name, is_raised, severity, summary, since)
    VALUES ('error_rate', :is_raised, 'ERROR', 's', now())
"""


def tick(ago: timedelta = timedelta(minutes=2), *, failed: bool = False) -> Answer:
    """The schedule's tick so long after the last run."""
    now = datetime.now(UTC)
    history = History()
    history.end(failed=failed, at=now - ago)
    return schedules.evaluate_processing(tick_at(now, history))


def claimed(desk: Desk) -> None:
    desk.claimed()
    desk.do("UPDATE batch_assets.batch SET lease_expires_at = now() - interval '1 s'")


def in_flight(desk: Desk) -> None:
    desk.submitted()


def ended(desk: Desk) -> None:
    batch, _ = desk.submitted()
    desk.end(batch)


def with_files(desk: Desk) -> None:
    desk.submitted()
    desk.do(
        "UPDATE batch_assets.batch SET state = 'finalized', finalized_at = now(), ended_at = now(),"
        " input_file_id = 'file-1'"
    )


def put_off(desk: Desk) -> None:
    desk.do(RETRY, put_off="1 hour")


def retry_due(desk: Desk) -> None:
    desk.do(RETRY, put_off="-1 second")


def livedash_batch(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        make_external_batch(connection, make_company(connection))


def due(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        make_requests(connection, make_company(connection), 10)


def left_due(desk: Desk) -> None:
    due(desk)
    desk.queries.notice_pending(100)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (claimed, "a submission was cut short"),
        (in_flight, "batches are in flight"),
        (ended, "results are to be read"),
        (with_files, "files of finished batches are to be deleted"),
        (put_off, "failed requests wait for their retry date"),
        (retry_due, "failed requests are to be tried again"),
        (
            livedash_batch,
            "LiveDash has batches that are not watched; LiveDash's own batch timers run",
        ),
        (due, "a company is due"),
        (left_due, "a company is due"),
    ],
)
def test_what_a_run_would_do_now_starts_one(
    desk: Desk, make: Callable[[Desk], None], why: str
) -> None:
    make(desk)
    assert started(tick()).tags[REASON] == why


@pytest.mark.parametrize("is_raised", [True, False])
def test_a_change_of_an_alert_is_work_until_it_is_delivered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, is_raised: bool
) -> None:
    desk.do(ALERT, is_raised=is_raised)
    skipped(tick())
    monkeypatch.setenv("BATCH_ALERT_WEBHOOK_URL", "https://example.com/hook")
    assert started(tick()).tags[REASON] == "an alert is to be delivered"
    desk.do(
        "INSERT INTO batch_assets.alert_delivery (receiver, alert, since, delivered_at, is_open)"
        " SELECT 'webhook', a.name, a.since, now(), a.is_raised FROM batch_assets.alert AS a"
    )
    skipped(tick())


def unconfirmed(desk: Desk) -> str:
    desk.do("UPDATE batch_assets.installation SET confirmed_at = NULL")
    return "Nothing has been submitted from this database yet"


def cooling(desk: Desk) -> str:
    Registry(desk.engine, 900).cool_account(Cooldown(600, 600, "insufficient_quota"))
    return "The API refuses the account (insufficient_quota)"


def broken(desk: Desk) -> str:
    failure = Failure(FailureKind.TRANSIENT, "timeout", "no answer in time")
    Breakers(desk.engine).count(Operation.UPLOAD, failure, a_policy(breaker_failures=1), None)
    return "The API is not asked to take files now"


def hour_is_full(desk: Desk) -> str:
    desk.submitted()
    account = account_of(connect(load_settings()))
    desk.do(
        "UPDATE batch_assets.batch"
        " SET state = 'finalized', finalized_at = now(), ended_at = now(),"
        " files_deleted_at = now(), account = :account",
        account=account,
    )
    desk.do(
        "INSERT INTO batch_assets.allowance (account, model, most, refused_at)"
        " VALUES (:account, '', 1, now())",
        account=account,
    )
    return "Batches an hour: 1 of 1 are created: no other batch is created before 20"


@pytest.mark.parametrize("hold", [unconfirmed, cooling, broken, hour_is_full])
def test_what_is_due_and_cannot_be_sent_is_no_work_until_it_can(
    desk: Desk, hold: Callable[[Desk], str]
) -> None:
    why = hold(desk)
    left_due(desk)
    said = skipped(tick())
    assert "what is due can not be sent yet" in said
    assert why in said
    assert started(tick(timedelta(minutes=31))).tags[REASON] == "no run has ended for a while"
    for table in ("allowance", "breaker", "account_cooldown"):
        desk.do(f"DELETE FROM batch_assets.{table}")
    desk.do("UPDATE batch_assets.installation SET confirmed_at = now()")
    assert started(tick()).tags[REASON] == "a company is due"


def test_what_only_a_run_can_settle_is_work(desk: Desk) -> None:
    left_due(desk)
    # A database that was started anew after something was submitted from it.
    batch, _ = desk.submitted()
    desk.do(
        "UPDATE batch_assets.batch SET state = 'finalized', finalized_at = now(), ended_at = now(),"
        " files_deleted_at = now() WHERE id = :id",
        id=batch.id,
    )
    (known,) = desk.column("SELECT i.incarnation FROM batch_assets.installation AS i")
    doubt = "UPDATE batch_assets.installation SET incarnation = :known, doubt = :doubt"
    desk.do(doubt, known="another", doubt="unread")
    assert Registry(desk.engine, 900).installation().hold_reason is not None
    assert started(tick()).tags[REASON] == "a company is due"
    desk.do(doubt, known=known, doubt=None)


def test_with_nothing_to_do_it_says_what_was_looked_at_and_when_the_next_run_comes(
    desk: Desk,
) -> None:
    with desk.engine.begin() as connection:
        make_requests(connection, make_company(connection), 9)
    soon = datetime.now(UTC) + timedelta(minutes=28)
    assert skipped(tick()).startswith(
        "Nothing to do: nothing is in flight, to be read, to be tried again or to be deleted, no "
        "company is due, and no alert is to be delivered. Unless that changes, the next run starts "
        f"after {soon:%Y-%m-%d %H:%M}:"
    )


def test_dead_letters_alone_can_wait(desk: Desk) -> None:
    desk.do(
        "INSERT INTO batch_assets.dead_letter"
        " (request_id, company_id, attempts, failure_kind, code, reason, dead_at)"
        " VALUES ('r', 'c', 1, 'permanent', 'x', 'r', now())"
    )
    skipped(tick())


def test_now_and_then_a_run_is_started_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped(tick(timedelta(minutes=29)))
    assert started(tick(timedelta(minutes=30))).tags[REASON] == "no run has ended for a while"
    monkeypatch.setenv("BATCH_IDLE_RUN_MINUTES", "5")
    skipped(tick(timedelta(minutes=4)))
    started(tick(timedelta(minutes=5)))
    monkeypatch.setenv("BATCH_IDLE_RUN_MINUTES", "0")
    started(tick(timedelta(0)))


def test_what_a_failed_run_has_left_is_not_known(desk: Desk) -> None:
    assert started(tick(failed=True)).tags[REASON] == "the last run has failed"


def test_what_cannot_be_seen_is_not_taken_for_nothing(desk: Desk, unreachable: str) -> None:
    answer = started(tick())
    assert answer.tags[REASON] == "what there is to do could not be seen"
    assert unreachable not in str(answer)


def held_by_a_budget(desk: Desk) -> None:
    budget_of(desk, 0)
    left_due(desk)


@pytest.mark.parametrize(
    ("make", "statements"),
    [(None, 2), (in_flight, 1), (left_due, 5), (held_by_a_budget, 6)],
)
def test_it_asks_two_statements_and_more_only_of_what_is_due(
    desk: Desk, make: Callable[[Desk], None] | None, statements: int
) -> None:
    if make is not None:
        make(desk)
    now = datetime.now(UTC)
    history = History()
    history.end(failed=False, at=now - timedelta(minutes=2))
    database = CountingDatabase(load_settings(), desk.engine)
    schedules.evaluate_processing(tick_at(now, history, database))
    assert database.tally.statements == statements


def budget_of(desk: Desk, eur: float, company_id: str = ALL_COMPANIES) -> None:
    StoredBudgets(desk.engine).set([Budget(company_id, Period.DAY, eur)], "the tests")


def left_for(desk: Desk, name: str, count: int = 10) -> str:
    """A company of which so many wait that a run has noticed and left."""
    with desk.engine.begin() as connection:
        company_id = make_company(connection, name=name)
        make_requests(connection, company_id, count)
    desk.queries.notice_pending(100)
    return company_id


def spend(desk: Desk, eur: float) -> None:
    """Let a batch of another company, of today, have cost so much."""
    make_past(desk.engine, 1, age=0.0, seconds=0.0, cost_eur=eur)


def test_what_a_budget_holds_is_no_work_until_there_is_room(desk: Desk) -> None:
    left_for(desk, "Aarhus")
    spend(desk, 0.9999999)
    budget_of(desk, 1.0)
    # A little is left of it, which is less than any of them costs.
    said = skipped(tick())
    assert "what is due can not be sent yet" in said
    assert "All that is due is held: budget of all companies for 20" in said
    assert "goes on 20" in said
    assert started(tick(timedelta(minutes=31))).tags[REASON] == "no run has ended for a while"
    budget_of(desk, 2.0)
    assert started(tick()).tags[REASON] == "a company is due"
    budget_of(desk, 1.0)
    skipped(tick())
    # What it really cost turns out to be less than was estimated.
    desk.do("UPDATE batch_assets.batch SET cost_eur = 0.5 WHERE state = 'finalized'")
    assert started(tick()).tags[REASON] == "a company is due"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("BATCH_DAY_MAX_REQUESTS", "1"),
        ("BATCH_DAY_MAX_COST_EUR", "0.5"),
        ("BATCH_COMPANY_DAY_MAX_REQUESTS", "0"),
        ("BATCH_RUN_MAX_COST_EUR", "0.0000001"),
    ],
)
def test_what_a_cap_holds_is_no_work_until_another_day(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    left_for(desk, "Aarhus")
    spend(desk, 0.5)
    started(tick())
    monkeypatch.setenv(setting, value)
    assert "All that is due is held: " in skipped(tick())
    desk.do("UPDATE batch_assets.batch SET claimed_at = claimed_at - interval '1 day'")
    if "DAY" in setting and value != "0":
        assert started(tick()).tags[REASON] == "a company is due"
    else:
        skipped(tick())


def test_a_model_without_a_price_is_no_work_under_a_budget(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        make_requests(connection, make_company(connection), 10, model="unheard-of")
    desk.queries.notice_pending(100)
    started(tick())
    budget_of(desk, 1.0)
    assert "model unheard-of is in cooldown: it has no price" in skipped(tick())


@pytest.mark.parametrize("is_noticed", [True, False])
def test_others_are_not_kept_waiting_by_a_company_whose_budget_is_spent(
    desk: Desk, *, is_noticed: bool
) -> None:
    budget_of(desk, 0, left_for(desk, "Aarhus"))
    assert "budget of Aarhus is 0" in skipped(tick())
    with desk.engine.begin() as connection:
        make_requests(connection, make_company(connection, name="Bergen"), 10)
    if is_noticed:
        desk.queries.notice_pending(100)
    assert started(tick()).tags[REASON] == "a company is due"


def test_something_smaller_among_the_oldest_of_a_company_is_found(desk: Desk) -> None:
    left_for(desk, "Aarhus")
    budget_of(desk, 1e-3)
    long = (
        "UPDATE public.\"Message\" SET content = repeat('word ', 100000)"
        ' WHERE "sessionId" <> (SELECT max("sessionId") FROM public."Message") OR :every'
    )
    desk.do(long, every=False)
    assert started(tick()).tags[REASON] == "a company is due"
    desk.do(long, every=True)
    assert "for a whole day is less than one such request is estimated at" in skipped(tick())


def test_what_can_never_be_sent_is_work_for_one_run(desk: Desk) -> None:
    company_id = left_for(desk, "Aarhus")
    budget_of(desk, 0, company_id)
    skipped(tick())
    desk.do(
        'DELETE FROM public."Message" WHERE "sessionId" IN'
        ' (SELECT s.id FROM public."Session" AS s WHERE s."companyId" = :company_id)',
        company_id=company_id,
    )
    assert started(tick()).tags[REASON] == "a company is due"
