"""How long schedule and sensors are in cooldown."""

from datetime import UTC, datetime, timedelta

import pytest

from batch_assets.domain.breakers import CooldownRule

LAST = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULE = CooldownRule(failed_runs=5, minutes=30)


def failed(count: int) -> list[datetime]:
    return [LAST - timedelta(minutes=2 * number) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_few_failed_runs_are_no_reason(count: int) -> None:
    assert RULE.until(failed(count)) is None


@pytest.mark.parametrize(
    ("count", "minutes"), [(5, 30), (6, 60), (7, 120), (8, 240), (9, 240), (50, 240)]
)
def test_each_one_more_doubles_the_pause_up_to_a_bound(count: int, minutes: int) -> None:
    assert RULE.until(failed(count)) == LAST + timedelta(minutes=minutes)
    counted = failed(count)[: RULE.counted_runs]
    assert RULE.until(counted) == RULE.until(failed(count)), "no other runs make a difference"


def test_without_minutes_there_is_none() -> None:
    assert CooldownRule(failed_runs=1, minutes=0).until(failed(9)) is None
