"""A day of schedule and sensor ticks; `day.py` says what of it is real and what is simulated."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from batch_assets.settings import load_settings
from batch_assets_tests.factories import make_company, make_session
from batch_assets_tests.store.queries.support import Desk
from batch_assets_tests.ticks.day import Day, Plan

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
OUTAGE = (MIDNIGHT + timedelta(hours=13), MIDNIGHT + timedelta(hours=15))
EVENING = MIDNIGHT + timedelta(hours=22)
COMPANIES = 8


def asked_beside_another(day: Day) -> list[str]:
    """Runs that were asked for while another one was under way, or had been asked for before.

    Of those that several ask for at one moment, Dagster starts one at a time: that is `day.py`'s
    queue, and the limit in `dagster.yaml`.
    """
    return [
        run.id
        for earlier, run in combinations(day.runs, 2)
        if earlier.asked_at < run.asked_at
        and (earlier.ends_at is None or run.asked_at < earlier.ends_at)
    ]


def started_in_a_pause(day: Day) -> set[str]:
    """What has started runs after five had failed in a row, and before one succeeded again."""
    starters = set()
    for run in day.runs:
        before = [one for one in day.runs if one.ends_at and one.ends_at <= run.asked_at]
        if len(before) >= 5 and all(one.has_failed for one in before[-5:]):
            starters.add(run.starter)
    return starters


def most_statements(day: Day) -> dict[str, int]:
    """The most that a tick has taken, by what ticked."""
    return {name: max(counts) for name, counts in day.statements.items()}


def test_an_idle_day_costs_next_to_nothing(desk: Desk) -> None:
    day = Day(desk.engine, load_settings(), Plan(), MIDNIGHT)
    day.play(hours=24)
    assert {name: counts.total() for name, counts in day.statements.items()} == {
        "failure_sensor": 5_760,
        "backlog_sensor": 2_880,
        "completion_sensor": 1_440,
        "batch_processing_schedule": 720,
    }
    # The failure sensor's first tick takes away whatever cooldown is left of another day.
    assert day.statements["failure_sensor"] == {0: 5_759, 1: 1}
    assert most_statements(day) == {
        "failure_sensor": 1,
        "backlog_sensor": 1,
        "completion_sensor": 1,
        "batch_processing_schedule": 2,
    }
    assert day.database.real_reads > 200
    # One at midnight, and one whenever none has ended for half an hour.
    assert Counter(run.starter for run in day.runs) == {"batch_processing_schedule": 45}
    assert asked_beside_another(day) == []


@pytest.fixture(scope="module")
def chance() -> random.Random:
    return random.Random(7)


def busy(chance: random.Random, companies: list[str]) -> Plan:
    """Busier and quieter companies from six to ten, and runs of which some fail or take long.

    From one to three nothing works. The last company has used up what it may send.
    """
    arrivals = [(MIDNIGHT + timedelta(hours=10, seconds=n), companies[-2]) for n in range(40)]
    for number, company_id in enumerate(companies):
        at = MIDNIGHT + timedelta(hours=6)
        while (at := at + timedelta(minutes=chance.expovariate(1 / (2 + 5 * number)))) < EVENING:
            arrivals.append((at, company_id))
    return Plan(
        arrivals=sorted(arrivals),
        capped=frozenset(companies[-1:]),
        run_seconds=lambda: chance.choice([20, 30, 60, 90, 600]),
        fails=lambda at: OUTAGE[0] <= at < OUTAGE[1] or chance.random() < 0.05,
        batch_seconds=lambda: chance.uniform(300, 7_200),
    )


def test_a_busy_day_with_an_outage(desk: Desk, chance: random.Random) -> None:
    with desk.engine.begin() as connection:
        companies = [make_company(connection) for _ in range(COMPANIES)]
        for company_id in companies:
            make_session(connection, company_id, session_id=company_id, messages=0)
    day = Day(desk.engine, load_settings(), busy(chance, companies), MIDNIGHT)
    day.play(hours=24)

    assert asked_beside_another(day) == []
    assert all(most <= 2 for most in most_statements(day).values())
    by = Counter(run.starter for run in day.runs)
    assert set(by) == set(day.statements), "each has started runs"
    # Nobody starts a run for the same thing twice: not for what the last company may not send, and
    # not for what a failed run has left.
    assert len(day.waited["company"]) > 60
    assert by["backlog_sensor"] <= len(day.waited["company"])
    assert by["completion_sensor"] <= len(day.waited["batch"])
    # Due companies and ended batches are taken up within an interval, once a run may be started;
    # those that were left by a run that failed, by the schedule.
    for what, seconds in (("company", 30), ("batch", 60)):
        waited = sorted(day.waited[what])
        assert waited[len(waited) * 9 // 10] <= timedelta(seconds=seconds)
        assert waited[-1] <= timedelta(seconds=120 + 30)
    assert started_in_a_pause(day) == {"failure_sensor"}
    during = [run for run in day.runs if run.begins_at and OUTAGE[0] <= run.begins_at < OUTAGE[1]]
    assert len(during) <= 8
    assert not [one for one in day.waiting if day.is_due(one) and one != companies[-1]]
