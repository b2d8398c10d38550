"""What the alerts are judged by, as the database gives it, and how their states move."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.alerts.records import AlertState, Change, Fault, Outcome, Recent, Severity
from batch_assets.store.alerts import Alerts
from batch_assets_tests.factories import make_company, make_run_metric

HOUR = 3_600.0
HOOK, KEY = "webhook", "k1"
"""A receiver and its fingerprint."""
RAISED = Change("error_rate", True, Severity.WARN, "Too many.")
RESOLVED = Change("error_rate", False, Severity.WARN, "Few.")
OLD = Change("batch_age", True, Severity.WARN, "Old.")
WORSE = Change("error_rate", True, Severity.ERROR, "Far too many.")


@pytest.fixture
def engine(emptied_engine: Engine) -> Engine:
    return emptied_engine


@pytest.fixture
def alerts(engine: Engine) -> Alerts:
    return Alerts(engine)


def record(engine: Engine, minutes_ago: float = 0, **metrics: float | None) -> None:
    with engine.begin() as connection:
        make_run_metric(connection, metrics, age=timedelta(minutes=minutes_ago))


def do(engine: Engine, statement: str, **parameters: object) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), parameters)


def add_batch(engine: Engine, company_id: str, number: int, **columns: object) -> None:
    """A batch that was submitted six hours ago, and finalized just now unless `state` says so."""
    values = {
        "state": "finalized",
        "server_status": "completed",
        "completed": 10,
        "failed": 0,
        "cost_eur": 0.0,
        "errors": [],
        **columns,
    }
    ended = "clock_timestamp()" if values["state"] == "finalized" else "NULL"
    do(
        engine,
        f"""
        INSERT INTO batch_assets.batch (
            id, installation_id, company_id, model, state, requests, openai_batch_id,
            server_status, server_status_since, server_errors, completed, failed, cost_eur,
            submitted_at, ended_at, finalized_at
        )
        VALUES (
            'b' || :number, 'i', :company_id, 'gpt-4o-mini', :state, 10, 'batch_' || :number,
            :server_status, clock_timestamp(), :errors, :completed, :failed, :cost_eur,
            clock_timestamp() - interval '6 hours', {ended}, {ended}
        )
        """,
        number=number,
        company_id=company_id,
        **values,
    )


def test_without_runs_nothing_is_known(alerts: Alerts) -> None:
    recent = alerts.recent(HOUR)
    unknown = Recent(recent.judged_at, recent.installation_id, recent.database)
    assert recent == unknown
    assert recent.database.startswith("batch_assets_test_")
    assert abs(recent.judged_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_sums_are_over_the_window_and_gauges_are_the_newest_runs(
    alerts: Alerts, engine: Engine
) -> None:
    record(engine, 61, completed_requests=1_000, failed_batches=9, lookup_misses=1)
    record(engine, 25 * 60, lookup_hits=500)
    record(engine, 16, open_breakers=3, waiting_requests=77, completed_requests=5)
    record(engine, 14, open_breakers=1, failed_requests=3, ingest_seconds=2.0, lookup_hits=1)
    record(engine, 4, open_breakers=0, submitted_requests=10, submit_seconds=0.5, lookup_hits=1)
    record(
        engine,
        failed_batches=1,
        query_operations=7,
        query_fallbacks=2,
        ingest_seconds=60.0,
        waiting_requests=3,
        oldest_wait_seconds=8.0,
        dead_letters=4,
        oldest_in_flight_seconds=9.0,
        batches_in_flight=2,
        turnaround_batches=50,
        turnaround_p99_seconds=99.0,
        lookup_hit_rate_percent=98.5,
        day_cost_eur=1.25,
    )
    recent = alerts.recent(HOUR)
    assert (recent.runs, recent.failed_batches) == (4, 1)
    assert (recent.completed_requests, recent.failed_requests) == (5, 3)
    # The last run took a minute but moved nothing.
    assert (recent.moved_requests, recent.moving_seconds) == (18, 2.5)
    assert (recent.query_operations, recent.query_fallbacks) == (7, 2)
    assert (recent.open_breakers, recent.day_lookups) == (1, 3)
    assert (recent.waiting_requests, recent.oldest_wait_seconds, recent.dead_letters) == (3, 8, 4)
    assert (recent.batches_in_flight, recent.oldest_in_flight_seconds) == (2, 9)
    assert (recent.turnaround_batches, recent.turnaround_p99_seconds) == (50, 99)
    assert (recent.lookup_hit_rate_percent, recent.day_cost_eur) == (98.5, 1.25)


def test_runs_far_apart_say_nothing_of_the_lookup(alerts: Alerts, engine: Engine) -> None:
    for minutes in range(720, 0, -30):
        record(engine, minutes, lookup_misses=1)
    # Nobody knows of the first one whether another came before it.
    assert alerts.recent(HOUR).day_lookups == 1
    record(engine, 28, lookup_hits=1)
    record(engine, 26, lookup_misses=1)
    assert alerts.recent(HOUR).day_lookups == 3


def test_what_the_newest_run_knew_too_long_ago_is_unknown(alerts: Alerts, engine: Engine) -> None:
    record(engine, 61, waiting_requests=5, dead_letters=5, day_cost_eur=5.0, open_breakers=1)
    recent = alerts.recent(HOUR)
    assert (recent.runs, recent.waiting_requests, recent.dead_letters) == (0, None, None)
    assert (recent.day_cost_eur, recent.open_breakers) == (None, None)
    assert recent.completed_requests is None


def test_yesterdays_cost_is_not_todays(alerts: Alerts, engine: Engine) -> None:
    record(engine, day_cost_eur=5.0)
    do(
        engine,
        "UPDATE batch_assets.run_metric SET recorded_at ="
        " date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
        " - interval '1 second'",
    )
    assert alerts.recent(24 * HOUR).day_cost_eur is None


def test_new_dead_letters_and_a_pause_are_read_where_they_are_kept(
    alerts: Alerts, engine: Engine
) -> None:
    for request_id, minutes in (("r1", 5), ("r2", 59), ("r3", 61)):
        do(
            engine,
            "INSERT INTO batch_assets.dead_letter (request_id, company_id, attempts, failure_kind,"
            " code, reason, dead_at) VALUES (:id, 'c', 1, 'permanent', 'x', 'x',"
            " clock_timestamp() - make_interval(mins => :minutes))",
            id=request_id,
            minutes=minutes,
        )
    pause = (
        "INSERT INTO batch_assets.schedule_cooldown AS p (failed_runs, until, changed_at)"
        " VALUES (5, {}, clock_timestamp())"
        " ON CONFLICT (only_row) DO UPDATE SET until = excluded.until"
    )
    do(engine, pause.format("NULL"))
    recent = alerts.recent(HOUR)
    assert (recent.new_dead_letters, recent.in_cooldown_after_failed_runs) == (2, 0)
    do(engine, pause.format("clock_timestamp()"))
    assert alerts.recent(HOUR).in_cooldown_after_failed_runs == 5


def test_who_is_behind_each_alert(alerts: Alerts, engine: Engine) -> None:
    with engine.begin() as connection:
        ids = sorted(make_company(connection, name=f"Company {n}") for n in range(2))
        suspended = make_company(connection, status="SUSPENDED")
        rows = connection.execute(text('SELECT id, name FROM public."Company"'))
        names = {row.id: row.name for row in rows}
    add_batch(engine, ids[0], 1, failed=4, completed=6, cost_eur=1.5)
    add_batch(engine, ids[0], 2, failed=2, completed=8, cost_eur=1.0)
    add_batch(engine, ids[1], 3, failed=5, completed=5, cost_eur=9.0)
    add_batch(
        engine, ids[1], 4, server_status="failed", completed=0, errors=["model_not_found", "x"]
    )
    add_batch(engine, ids[0], 5, state="submitted")
    do(
        engine,
        "INSERT INTO batch_assets.dead_letter (request_id, company_id, attempts, failure_kind,"
        " code, reason) SELECT 'r' || n, :id, 1, 'permanent', 'no_messages', 'x'"
        " FROM generate_series(1, 3) AS n",
        id=ids[0],
    )
    do(
        engine,
        "INSERT INTO batch_assets.breaker (operation, state, failures, code, reason, retry_at,"
        " changed_at) VALUES ('upload', 'open', 5, 'timeout', 'x', clock_timestamp(),"
        " clock_timestamp()), ('create_batch', 'closed', 1, 'timeout', 'x', NULL,"
        " clock_timestamp())",
    )
    do(
        engine,
        "INSERT INTO batch_assets.operation_run (run_id, operation, implementation, purpose,"
        " calls, failures, fallbacks, seconds, statements, rows) VALUES"
        " ('r', 'finalize', 'optimized', 'work', 3, 1, 1, 1, 1, 1),"
        " ('r', 'finalize', 'original', 'work', 1, 0, 0, 1, 1, 1),"
        " ('r', 'renew', 'optimized', 'work', 3, 0, 0, 1, 1, 1)",
    )
    for company_id in (*ids, suspended):
        do(
            engine,
            "INSERT INTO batch_assets.intake (request_id, company_id, requested_at, model)"
            " SELECT :id || n, :id, clock_timestamp() - make_interval(hours => n), 'gpt-4o-mini'"
            " FROM generate_series(1, :hours) AS n",
            id=company_id,
            hours=3 if company_id == ids[0] else 2,
        )

    def behind(*names: str) -> list[Fault]:
        return alerts.behind(names, HOUR)

    def fault(alert: str, which: int, *rest: object) -> Fault:
        return Fault(alert, ids[which], names[ids[which]], *rest)  # type: ignore[arg-type]

    assert behind("error_rate") == [
        fault("error_rate", 0, None, None, 6, 20),
        fault("error_rate", 1, None, None, 5, 10),
    ]
    assert behind("failed_batch") == [fault("failed_batch", 1, "b4", "model_not_found")]
    assert behind("cost_above_budget") == [
        fault("cost_above_budget", 1, None, None, 9.0),
        fault("cost_above_budget", 0, None, None, 2.5),
    ]
    assert behind("dead_letters") == [fault("dead_letters", 0, "no_messages", None, 3)]
    assert behind("open_breaker") == [
        Fault("open_breaker", subject="upload", label="timeout", amount=5)
    ]
    assert behind("fallback_rate") == [
        Fault("fallback_rate", subject="finalize", amount=1, total=4)
    ]
    (late,) = behind("batch_age")
    assert (late.company_id, late.subject, late.label) == (ids[0], "b5", "batch_5")
    assert late.amount == pytest.approx(6 * HOUR, abs=60)
    oldest, other = behind("backlog_age")
    assert (oldest.company_id, oldest.total, other.company_id) == (ids[0], 3, ids[1])
    assert oldest.amount == pytest.approx(3 * HOUR, abs=60)
    assert behind("throughput_too_low", "lookup_hit_rate", "schedule_paused") == []
    every = behind("error_rate", "open_breaker", "batch_age")
    assert {one.alert for one in every} == {"error_rate", "open_breaker", "batch_age"}


def change(alerts: Alerts, *changes: Change) -> None:
    alerts.change(changes, alerts.recent(HOUR).judged_at)


def test_a_state_is_kept_until_it_changes(alerts: Alerts) -> None:
    before = alerts.recent(HOUR).judged_at
    change(alerts, RAISED)
    (state,) = alerts.recent(HOUR, {HOOK: KEY}).states.values()
    assert (state.is_raised, state.severity, state.summary) == (True, Severity.WARN, "Too many.")
    assert state.pending == (HOOK,)
    assert before < state.since <= alerts.recent(HOUR).judged_at
    change(alerts, RAISED)
    assert alerts.recent(HOUR, {HOOK: KEY}).states["error_rate"] == state, (
        "a second run saw the same"
    )
    change(alerts, WORSE)
    worse = alerts.recent(HOUR).states["error_rate"]
    assert (worse.severity, worse.summary) == (Severity.ERROR, "Far too many.")
    change(alerts, RESOLVED)
    assert not alerts.recent(HOUR).states["error_rate"].is_raised


def test_an_older_look_changes_nothing(alerts: Alerts) -> None:
    old = alerts.recent(HOUR).judged_at
    change(alerts, RAISED)
    alerts.change([RESOLVED], old)
    assert alerts.recent(HOUR).states["error_rate"].is_raised


def claim(alerts: Alerts, receiver: str = HOOK, fingerprint: str = KEY) -> list[AlertState]:
    return alerts.claim_pending(receiver, fingerprint)


def record_outcomes(
    alerts: Alerts,
    claimed: list[AlertState],
    *outcomes: Outcome,
    receiver: str = HOOK,
    fingerprint: str = KEY,
) -> None:
    pairs = list(zip(claimed, outcomes, strict=True))
    alerts.record_deliveries(receiver, fingerprint, pairs)


def pending(alerts: Alerts, **receivers: str) -> dict[str, tuple[str, ...]]:
    """Whom each alert's last change waits for, of these, by alert."""
    states = alerts.recent(HOUR, receivers or {HOOK: KEY}).states
    return {name: state.pending for name, state in sorted(states.items())}


def test_one_run_claims_a_change_until_it_was_delivered(alerts: Alerts) -> None:
    change(alerts, RAISED, OLD)
    claimed = claim(alerts)
    assert [state.name for state in claimed] == ["batch_age", "error_rate"]
    assert claim(alerts) == []
    record_outcomes(alerts, claimed, Outcome.DELIVERED, Outcome.PENDING)
    assert pending(alerts) == {"batch_age": (), "error_rate": (HOOK,)}
    assert [state.name for state in claim(alerts)] == ["error_rate"]


def test_a_run_that_died_while_it_delivered_is_replaced(alerts: Alerts, engine: Engine) -> None:
    change(alerts, RAISED)
    assert claim(alerts)
    do(engine, "UPDATE batch_assets.alert_delivery SET claimed_until = clock_timestamp()")
    assert claim(alerts)


def test_a_change_that_came_meanwhile_stays_pending(alerts: Alerts) -> None:
    change(alerts, RAISED)
    claimed = claim(alerts)
    change(alerts, RESOLVED)
    assert claim(alerts) == [], "it would overtake the one that is on its way"
    record_outcomes(alerts, claimed, Outcome.DELIVERED)
    (resolved,) = claim(alerts)
    assert not resolved.is_raised


def test_a_late_word_on_what_was_delivered_changes_nothing(alerts: Alerts, engine: Engine) -> None:
    change(alerts, RAISED)
    frozen = claim(alerts)
    do(engine, "UPDATE batch_assets.alert_delivery SET claimed_until = clock_timestamp()")
    record_outcomes(alerts, claim(alerts), Outcome.DELIVERED)
    record_outcomes(alerts, frozen, Outcome.PENDING)
    assert pending(alerts) == {"error_rate": ()}


def test_that_something_is_over_is_no_news_after_a_day(alerts: Alerts, engine: Engine) -> None:
    change(alerts, RAISED)
    change(alerts, RESOLVED, OLD)
    do(engine, "UPDATE batch_assets.alert SET since = since - interval '25 hours'")
    assert pending(alerts) == {"batch_age": (HOOK,), "error_rate": ()}
    assert [state.name for state in claim(alerts)] == ["batch_age"]


def test_whoever_heard_that_it_began_hears_that_it_is_over_whenever(
    alerts: Alerts, engine: Engine
) -> None:
    change(alerts, RAISED)
    record_outcomes(alerts, claim(alerts), Outcome.DELIVERED)
    change(alerts, RESOLVED)
    for table in ("alert", "alert_delivery"):
        do(engine, f"UPDATE batch_assets.{table} SET since = since - interval '30 days'")
    (resolved,) = claim(alerts)
    record_outcomes(alerts, [resolved], Outcome.PENDING)
    assert pending(alerts, webhook=KEY, pagerduty="k2") == {"error_rate": (HOOK,)}
    (resolved,) = claim(alerts)
    assert not resolved.is_raised
    record_outcomes(alerts, [resolved], Outcome.DELIVERED)
    assert pending(alerts) == {"error_rate": ()}


def test_each_receiver_has_its_own_deliveries(alerts: Alerts) -> None:
    change(alerts, RAISED)
    record_outcomes(alerts, claim(alerts), Outcome.DELIVERED)
    both = {HOOK: KEY, "pagerduty": "k2"}
    assert pending(alerts, **both) == {"error_rate": ("pagerduty",)}
    claimed = claim(alerts, "pagerduty", "k2")
    assert claim(alerts) == []
    record_outcomes(alerts, claimed, Outcome.PENDING, receiver="pagerduty", fingerprint="k2")
    assert pending(alerts, **both) == {"error_rate": ("pagerduty",)}


def test_what_was_refused_waits_for_other_settings_or_another_change(alerts: Alerts) -> None:
    change(alerts, RAISED)
    record_outcomes(alerts, claim(alerts), Outcome.REFUSED)
    assert pending(alerts) == {"error_rate": ()}
    assert claim(alerts) == []
    assert pending(alerts, webhook="k2") == {"error_rate": (HOOK,)}
    (again,) = claim(alerts, fingerprint="k2")
    assert again.is_raised
    record_outcomes(alerts, [again], Outcome.REFUSED, fingerprint="k2")
    assert claim(alerts, fingerprint="k2") == []
    change(alerts, RESOLVED)
    assert [state.is_raised for state in claim(alerts, fingerprint="k2")] == [False]


def test_of_two_that_claim_at_once_one_does(alerts: Alerts) -> None:
    change(alerts, RAISED, OLD)
    claims: list[list[AlertState]] = []
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        claims.append(claim(alerts))

    running = [threading.Thread(target=run) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert sorted(state.name for one in claims for state in one) == ["batch_age", "error_rate"]
