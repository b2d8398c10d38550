"""What forecasts are made of, read from the database; and what they were off by, from the runs."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.metrics import RunMetrics
from batch_assets.domain.turnarounds import Basis, TurnaroundHistory
from batch_assets.store.forecasts import Standings
from batch_assets.store.metrics import Metrics
from batch_assets_tests.factories import make_company, make_request, make_requests, make_session
from batch_assets_tests.store.history import make_past

HOUR = 3_600.0
DAY = 24 * HOUR


@pytest.fixture
def engine(emptied_engine: Engine) -> Engine:
    return emptied_engine


def test_of_nothing_nothing_is_read(engine: Engine) -> None:
    seen = Standings(engine).read()
    assert seen.today == datetime.now(UTC).date()
    assert seen.first_day is None
    every = [seen.batches, seen.settled, seen.open, seen.waiting, seen.days]
    assert every == [[]] * 5


def test_the_sample_is_of_each_model_and_of_several_times_back(engine: Engine) -> None:
    make_past(engine, 400, age=0.1 * HOUR, state="submitted", server_status="in_progress")
    make_past(engine, 400, age=5 * HOUR)
    make_past(engine, 400, age=10 * DAY)
    make_past(engine, 400, age=40 * DAY)
    make_past(engine, 3, age=2 * DAY, model="rare")
    batches = Standings(engine).read().batches
    ages = Counter((one.model, round(one.age_seconds / HOUR, 1)) for one in batches)
    usual = "gpt-4o-mini"
    assert ages == {(usual, 0.1): 40, (usual, 5): 40, (usual, 240): 40, ("rare", 48): 3}


def test_yesterday_at_this_time_counts_beside_what_came_since(engine: Engine) -> None:
    make_past(engine, 100, age=DAY - 0.5 * HOUR, seconds=60)
    make_past(engine, 100, age=DAY - 5 * HOUR, seconds=4_000)
    told = TurnaroundHistory(Standings(engine).read().batches).expect("gpt-4o-mini", 3)
    assert told.basis is Basis.SIZE_AND_HOUR
    assert told.p90_seconds == pytest.approx(60, abs=0.1)


def test_what_did_not_end_by_itself_is_censored_or_tells_nothing(engine: Engine) -> None:
    for word in ("completed", "expired", "cancelled", "failed", "lost", "abandoned"):
        make_past(engine, 1, age=5 * HOUR, server_status=word, seconds=600)
    make_past(engine, 1, age=5 * HOUR, kind="synchronous", server_status="synchronous")
    make_past(engine, 1, age=5 * HOUR, state="submitted", server_status="in_progress")
    found = sorted((round(one.seconds), one.has_ended) for one in Standings(engine).read().batches)
    assert found == [(600, False), (600, False), (600, True), (5 * HOUR, False)]


OPEN_ATTEMPTS = text("""
    INSERT INTO batch_assets.attempt (batch_id, request_id, company_id, position)
    SELECT b.id, concat(b.id, '-', n), b.company_id, n
    FROM batch_assets.batch AS b
    CROSS JOIN generate_series(1, b.requests - b.completed) AS n
    WHERE b.state = 'ended'
""")


def test_what_is_open_is_counted_with_what_is_left_of_it(engine: Engine) -> None:
    usual = {"requests": 100, "estimated_cost_eur": 2.0}
    make_past(engine, 1, age=60, state="submitted", server_status="in_progress", **usual)
    make_past(engine, 1, age=2 * DAY, state="ended", completed=75, cost_eur=0.5, **usual)
    with engine.begin() as connection:
        connection.execute(OPEN_ATTEMPTS)
    running, ended = sorted(Standings(engine).read().open, key=lambda one: one.age_seconds)
    assert (running.is_running, running.requests, running.estimate_eur) == (True, 100, 2.0)
    assert running.age_seconds == pytest.approx(60, abs=5)
    assert (ended.is_running, ended.requests) == (False, 25)
    assert ended.estimate_eur == pytest.approx(0.5)
    assert (ended.days_old, ended.cost_eur) == (2, 0.5)


def test_what_waits_is_counted_by_company_and_model_whether_noticed_or_not(engine: Engine) -> None:
    with engine.begin() as connection:
        company_id = make_company(connection)
        make_requests(connection, company_id, 5, age=timedelta(hours=1))
        make_requests(connection, company_id, 2, model="gpt-4.1")
        make_requests(connection, make_company(connection, status="SUSPENDED"), 3)
        session_id = make_session(connection, company_id)
        make_request(connection, session_id, status="PROCESSING_COMPLETE")
        make_request(connection, session_id, success=True)
    waiting = {one.model: one for one in Standings(engine).read().waiting}
    assert {model: one.requests for model, one in waiting.items()} == {
        "gpt-4o-mini": 5,
        "gpt-4.1": 2,
    }
    assert waiting["gpt-4o-mini"].oldest_wait_seconds == pytest.approx(HOUR, abs=30)


def test_what_requests_cost_is_told_by_those_that_were_priced_and_answered(engine: Engine) -> None:
    usual = {"age": 5 * HOUR, "requests": 100, "cost_eur": 0.3, "unattributed_eur": 0.1}
    make_past(engine, 2, **usual)
    make_past(engine, 1, company_id="b", **usual)
    make_past(engine, 1, unpriced=1, **usual)
    make_past(engine, 1, server_status="expired", **usual)
    settled = Standings(engine).read().settled
    assert [(one.company_id, one.requests) for one in sorted(settled, key=str)] == [
        ("a", 200),
        ("b", 100),
    ]
    assert sum(one.cost_eur for one in settled) == pytest.approx(1.2)


def test_days_are_those_of_the_claims_and_what_came_later_in_them(engine: Engine) -> None:
    now = datetime.now(UTC)
    into_day = (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    with engine.begin() as connection:
        company_id = make_company(connection, name="Zorggroep")
    # An hour before and after this time of day, as far as the day reaches.
    before, after = min(HOUR, into_day / 2), min(HOUR, (DAY - into_day) / 2)
    for week in (1, 2):
        of_day = 7 * week * DAY
        make_past(engine, 1, age=of_day + before, company_id=company_id, cost_eur=1.0)
        make_past(engine, 1, age=of_day - after, company_id=company_id, unattributed_eur=0.5)
    make_past(engine, 1, age=into_day / 2, seconds=0, company_id=company_id, cost_eur=4.0)
    seen = Standings(engine).read()
    assert seen.companies == {company_id: "Zorggroep"}
    assert seen.first_day == now.date() - timedelta(days=14)
    found = {(now.date() - one.day).days: (one.cost_eur, one.later_eur) for one in seen.days}
    assert found == {14: (1.5, 0.5), 7: (1.5, 0.5), 0: (4.0, 0.0)}


def test_a_run_says_how_far_off_the_last_days_forecasts_were(engine: Engine) -> None:
    known = RunMetrics(run_id="run-1", recorded_at=datetime.now(UTC), mode="optimized")
    before = Metrics(engine).record(known, None, 1, "an account").metrics
    assert before.batch_turnaround.forecast_turnaround_error_percent is None
    assert before.money.forecast_cost_error_percent is None
    for seconds in range(100, 1_100, 100):
        make_past(
            engine,
            1,
            age=5 * HOUR,
            seconds=seconds,
            forecast_p90_seconds=800,
            estimated_cost_eur=1.0,
            cost_eur=1.2,
            unattributed_eur=0.05,
        )
    make_past(engine, 5, age=5 * HOUR, seconds=5_000)
    make_past(engine, 5, age=3 * DAY, forecast_p90_seconds=1, estimated_cost_eur=99.0)
    after = Metrics(engine).record(known, None, 1, "an account").metrics
    # The 90 % quantile of 100, 200 ... 1,000 lies at 910: 13.75 % above what was foreseen.
    turnaround = after.batch_turnaround.forecast_turnaround_error_percent
    assert turnaround == pytest.approx(13.75, abs=0.1)
    assert after.money.forecast_cost_error_percent == pytest.approx(25)


def test_the_rows_of_the_kept_error_have_no_bound_of_their_own(engine: Engine) -> None:
    """A batch that cost nothing or took no time is off by all of its forecast, and no more."""
    make_past(engine, 3, age=HOUR, seconds=0, forecast_p90_seconds=60, estimated_cost_eur=1.0)
    known = RunMetrics(run_id="run-1", recorded_at=datetime.now(UTC), mode="optimized")
    metrics = Metrics(engine).record(known, None, 1, "an account").metrics
    assert metrics.batch_turnaround.forecast_turnaround_error_percent == pytest.approx(-100)
    assert metrics.money.forecast_cost_error_percent == pytest.approx(-100)
