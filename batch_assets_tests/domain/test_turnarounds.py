"""How long batches take, by how long like ones took; what is still running is not left out."""

import random
from collections.abc import Iterable

import pytest

from batch_assets.domain.turnarounds import (
    LEAST_ENDED,
    Basis,
    PastBatch,
    TurnaroundHistory,
    all_done,
    curve_of,
)

HOUR = 3_600.0
DAY = 24 * HOUR


def past(
    seconds: float,
    *,
    model: str = "m",
    requests: int = 100,
    age: float = 3 * DAY,
    has_ended: bool = True,
) -> PastBatch:
    return PastBatch(model, requests, age, seconds, has_ended)


def hundred(seconds: float = 100.0, **of: float) -> list[PastBatch]:
    """A hundred that took from one to a hundred hundredths of so long."""
    return [past(seconds * part / 100, **of) for part in range(1, 101)]  # type: ignore[arg-type]


def exponential(seed: int, count: int, mean: float) -> list[float]:
    """Times as such a law has them, in a random order."""
    chance = random.Random(seed)
    return [chance.expovariate(1 / mean) for _ in range(count)]


def watched_for(times: Iterable[float], seconds: float) -> list[PastBatch]:
    """Batches that were all submitted so long ago: what takes longer is still running."""
    return [past(min(time, seconds), age=seconds, has_ended=time <= seconds) for time in times]


def test_quantiles_of_what_has_all_ended_are_those_of_the_times() -> None:
    told = TurnaroundHistory(hundred()).expect("m", 100)
    assert (told.p50_seconds, told.p90_seconds) == (50, 90)
    assert (told.basis, told.batches) == (Basis.SIZE_AND_HOUR, 100)


def test_what_is_still_running_makes_the_forecast_longer_by_what_it_really_takes() -> None:
    """Watched for the mean time, a third is still running: the others alone look twice as quick."""
    times = exponential(1, 4_000, 1_000.0)
    curve = curve_of(watched_for(times, 1_000.0))
    ended = sorted(time for time in times if time <= 1_000)
    assert ended[len(ended) // 2] < 400, "what was seen to end"
    assert curve.quantile(0.5) == pytest.approx(693, rel=0.05), "what is so"
    assert curve.quantile(0.9) is None, "nobody has seen nine of ten end"


def test_ages_that_differ_are_told_as_if_all_had_been_watched_to_the_end() -> None:
    chance = random.Random(2)
    batches = [
        past(min(time, age), age=age, has_ended=time <= age)
        for time in exponential(3, 6_000, 1_000.0)
        for age in [chance.uniform(0, 6_000)]
    ]
    curve = curve_of(batches)
    assert curve.quantile(0.5) == pytest.approx(693, rel=0.05)
    assert curve.quantile(0.9) == pytest.approx(2_303, rel=0.05)


def test_what_was_just_submitted_changes_nothing() -> None:
    newest = [past(0.0, age=0.0, has_ended=False)] * 500
    assert TurnaroundHistory([*hundred(), *newest]).expect("m", 100).p90_seconds == 90


def test_a_batch_that_runs_already_has_the_time_of_those_that_ran_as_long() -> None:
    told = TurnaroundHistory(hundred(), DAY).expect("m", 100, age_seconds=80)
    assert told.p50_seconds == pytest.approx(10), "half of the twenty that took longer"
    assert told.p90_seconds == pytest.approx(18)


def test_what_runs_longer_than_any_before_has_the_completion_window_left() -> None:
    told = TurnaroundHistory(hundred(), DAY).expect("m", 100, age_seconds=2 * HOUR)
    assert (told.basis, told.batches) == (Basis.WINDOW, 0)
    assert told.p50_seconds == told.p90_seconds == 22 * HOUR
    assert TurnaroundHistory([], DAY).expect("m", 100, 25 * HOUR).p90_seconds == 0


def test_the_likeness_is_widened_until_enough_have_ended() -> None:
    """Each step has its own time, so that the forecast shows which one was taken."""
    few = LEAST_ENDED
    now, other_hour = 2 * DAY, 2 * DAY + 6 * HOUR
    steps = {
        Basis.SIZE_AND_HOUR: [past(10, age=now)] * few,
        Basis.SIZE: [past(20, age=other_hour)] * few * 20,
        Basis.MODEL: [past(40, age=other_hour, requests=5_000)] * few * 400,
        Basis.ALL: [past(80, age=other_hour, requests=5_000, model="o")] * few * 8_000,
    }
    known = dict(steps)
    for basis, batches in steps.items():
        told = TurnaroundHistory(one for some in known.values() for one in some).expect("m", 100)
        assert (told.basis, told.p50_seconds) == (basis, batches[0].seconds)
        assert told.batches >= len(batches)
        del known[basis]
    assert TurnaroundHistory([]).expect("m", 100).basis is Basis.WINDOW


def test_one_too_few_is_too_few() -> None:
    history = TurnaroundHistory([past(10)] * (LEAST_ENDED - 1))
    assert history.expect("m", 100).basis is Basis.WINDOW
    assert TurnaroundHistory([past(10)] * LEAST_ENDED).expect("m", 100).basis is not Basis.WINDOW


@pytest.mark.parametrize(
    ("requests", "is_like"), [(50, True), (49, False), (200, True), (201, False)]
)
def test_sizes_are_alike_within_half_and_twice(requests: int, *, is_like: bool) -> None:
    told = TurnaroundHistory([past(10, requests=requests)] * 50).expect("m", 100)
    assert (told.basis is Basis.SIZE_AND_HOUR) == is_like
    assert told.p50_seconds == 10


@pytest.mark.parametrize(("hours", "is_like"), [(23, True), (25, True), (22, False), (36, False)])
def test_hours_are_alike_around_the_same_time_of_any_day(hours: float, *, is_like: bool) -> None:
    told = TurnaroundHistory([past(10, age=hours * HOUR)] * 50).expect("m", 100)
    assert (told.basis is Basis.SIZE_AND_HOUR) == is_like


def test_the_hour_is_that_of_the_batchs_own_submission() -> None:
    """It runs for six hours: those that are like it were submitted six hours before this time."""
    like = [past(8 * HOUR, age=DAY + 6 * HOUR)] * 50
    others = [past(20 * HOUR, age=2 * DAY)] * 50
    told = TurnaroundHistory([*like, *others]).expect("m", 100, age_seconds=6 * HOUR)
    assert (told.basis, told.p90_seconds) == (Basis.SIZE_AND_HOUR, 2 * HOUR)


def test_several_batches_are_done_when_so_many_of_their_requests_are() -> None:
    history = TurnaroundHistory([past(10)] * 50)
    quick = history.expect("m", 100)
    slow = quick.after(90)
    assert all_done([], 0.5) is None
    assert all_done([(quick, 95), (slow, 5)], 0.9) == 10
    assert all_done([(quick, 85), (slow, 15)], 0.9) == 100
    assert all_done([(quick, 85), (slow, 15)], 0.5) == 10


def test_what_cannot_be_is_not_learnt_from() -> None:
    """A clock that was put back lets batches end before they began, or in the future."""
    impossible = [past(-3_600.0), past(10 * DAY, age=HOUR)] * 500
    told = TurnaroundHistory([*hundred(), *impossible]).expect("m", 100)
    assert (told.p50_seconds, told.p90_seconds, told.batches) == (50, 90, 100)
    nothing = TurnaroundHistory(impossible, DAY).expect("m", 100)
    assert (nothing.p90_seconds, nothing.basis) == (DAY, Basis.WINDOW)
