"""The decision of `auto`, as the pure function that it is."""

import random
from dataclasses import replace
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_assets.store.strategy.choose import (
    CLEARLY_FASTER,
    FORGIVEN_SECONDS,
    LAST_CALLS,
    LEAST_PROBES,
    STAY_SECONDS,
    decide,
    original_to_optimized,
)
from batch_assets.store.strategy.records import (
    LEAST_CALLS,
    Choice,
    Evidence,
    Implementation,
    PairedProbes,
    Stay,
    Timing,
)

OPTIMIZED, ORIGINAL = Implementation.OPTIMIZED, Implementation.ORIGINAL
NOTHING = Evidence()
LONG = Stay(OPTIMIZED, STAY_SECONDS)
SHORT = Stay(OPTIMIZED, STAY_SECONDS - 1)
HELD = Stay(OPTIMIZED, FORGIVEN_SECONDS - 1)
FORGIVEN = Stay(OPTIMIZED, FORGIVEN_SECONDS)


def took(seconds: float, rows: int = 100, calls: int = LEAST_CALLS) -> Evidence:
    """Successful work: so many seconds in all."""
    return Evidence(recent_calls=calls, timing=Timing(calls, seconds, rows))


def failing(failures: int, calls: int) -> Evidence:
    return Evidence(recent_calls=calls, recent_failures=failures)


def original(stay: Stay) -> Stay:
    return replace(stay, implementation=ORIGINAL)


@pytest.mark.parametrize(
    ("optimized", "other", "stay", "expected"),
    [
        pytest.param(NOTHING, NOTHING, None, OPTIMIZED, id="nothing is known"),
        pytest.param(took(9), NOTHING, LONG, OPTIMIZED, id="the original was not measured"),
        pytest.param(NOTHING, took(1), LONG, OPTIMIZED, id="optimized was not measured"),
        pytest.param(took(9), took(1, calls=4), LONG, OPTIMIZED, id="hardly measured"),
        pytest.param(took(9), took(1, rows=0), LONG, OPTIMIZED, id="rows against none"),
        pytest.param(took(1), took(9), LONG, OPTIMIZED, id="faster"),
        pytest.param(took(1), took(0.81), LONG, OPTIMIZED, id="about as fast"),
        pytest.param(took(1), took(0.79), LONG, ORIGINAL, id="clearly slower"),
        pytest.param(took(1), took(0.79), SHORT, OPTIMIZED, id="slower since lately"),
        pytest.param(took(1), took(0.79), None, ORIGINAL, id="slower before the first choice"),
        pytest.param(took(1, rows=0), took(0.5, rows=0), LONG, ORIGINAL, id="slower by the call"),
        pytest.param(took(1), took(0.5, rows=10), LONG, OPTIMIZED, id="faster by the row"),
        pytest.param(failing(1, 10), NOTHING, SHORT, ORIGINAL, id="90 % is not more than 90 %"),
        pytest.param(failing(1, 11), NOTHING, LONG, OPTIMIZED, id="91 %"),
        pytest.param(failing(4, 4), NOTHING, LONG, OPTIMIZED, id="four failures say nothing yet"),
        pytest.param(failing(5, 5), failing(5, 5), LONG, ORIGINAL, id="both fail"),
        pytest.param(took(1), failing(5, 5), original(SHORT), OPTIMIZED, id="the original fails"),
        pytest.param(failing(5, 5), NOTHING, original(HELD), ORIGINAL, id="failed within the hour"),
        pytest.param(failing(5, 5), NOTHING, original(FORGIVEN), OPTIMIZED, id="tried again"),
        pytest.param(failing(1, 20), NOTHING, original(LONG), OPTIMIZED, id="failed seldom"),
        pytest.param(NOTHING, took(1), original(LONG), OPTIMIZED, id="nothing is known any more"),
        pytest.param(NOTHING, took(1), original(SHORT), ORIGINAL, id="left a short while ago"),
        pytest.param(took(1), took(0.9), original(LONG), ORIGINAL, id="still slower"),
        pytest.param(took(1), took(1.1), original(LONG), OPTIMIZED, id="faster again"),
    ],
)
def test_decisions(
    optimized: Evidence, other: Evidence, stay: Stay | None, expected: Implementation
) -> None:
    choice = decide(optimized, other, stay)
    assert choice.implementation is expected
    assert choice.reason


@pytest.mark.parametrize(
    ("probes", "ratio", "expected"),
    [
        pytest.param(LEAST_PROBES, 2.0, OPTIMIZED, id="faster side by side, whatever else"),
        pytest.param(LEAST_PROBES, 0.5, ORIGINAL, id="slower side by side"),
        pytest.param(LEAST_PROBES - 1, 2.0, ORIGINAL, id="two probes"),
    ],
)
def test_what_was_measured_side_by_side_weighs_more(
    probes: int, ratio: float, expected: Implementation
) -> None:
    beside = PairedProbes(probes, ratio)
    assert decide(took(9), took(1), LONG, beside).implementation is expected


evidence = st.builds(
    Evidence,
    recent_calls=st.integers(0, 50),
    recent_failures=st.integers(0, 10),
    timing=st.builds(Timing, st.integers(0, 50), st.floats(0, 100), st.integers(0, 1_000)),
)
besides = st.none() | st.builds(PairedProbes, st.integers(1, 5), st.floats(0.01, 100))
stays = st.none() | st.builds(Stay, st.sampled_from(Implementation), st.floats(0, 10_000))


@given(optimized=evidence, original=evidence, stay=stays, beside=besides)
def test_speed_counts_only_where_both_were_measured(
    optimized: Evidence, original: Evidence, stay: Stay | None, beside: PairedProbes | None
) -> None:
    choice = decide(optimized, original, stay, beside)
    started = stay is None or stay.implementation is OPTIMIZED
    if started and choice.implementation is ORIGINAL and not optimized.fails:
        ratio = original_to_optimized(optimized, original, beside)
        assert ratio is not None
        assert ratio < CLEARLY_FASTER
        are_beside = beside is not None and beside.probes >= LEAST_PROBES
        for one in (optimized, original):
            assert are_beside or one.timing.calls >= LEAST_CALLS


@given(optimized=evidence, original=evidence, stay=stays, beside=besides)
def test_a_choice_is_kept_when_nothing_changes(
    optimized: Evidence, original: Evidence, stay: Stay | None, beside: PairedProbes | None
) -> None:
    first = decide(optimized, original, stay, beside)
    kept = stay
    if stay is None or stay.implementation is not first.implementation:
        kept = Stay(first.implementation, 0)
        if first.implementation is OPTIMIZED:
            # Only what comes after a choice counts for or against its success.
            optimized = replace(optimized, recent_calls=0, recent_failures=0)
        else:
            original = replace(original, recent_calls=0, recent_failures=0)
    assert decide(optimized, original, kept, beside).implementation is first.implementation


RUN_SECONDS = 2 * 60
RUNS_A_DAY = 24 * 30


class Runs:
    """Runs of one operation, each of which decides on what those before it have measured."""

    def __init__(self, seed: int, speed: float, noise: float, failure_rate: float) -> None:
        self.random = random.Random(seed)
        self.speeds = {OPTIMIZED: 1.0, ORIGINAL: speed}
        self.noise = noise
        self.failure_rate = failure_rate
        self.now = self.since = 0.0
        self.choice = Choice(OPTIMIZED, "")
        self.measured: list[tuple[float, Implementation, float | None, bool]] = []
        """When, which, how long it took, or `None` for a failure, and whether it was work."""
        self.switches: list[float] = []

    def play_a_day(self) -> None:
        for number in range(RUNS_A_DAY):
            self.now += RUN_SECONDS
            self.choose()
            self.measure(self.choice.implementation)
            if number % 15 == 0:
                self.measure(self.choice.implementation.other, is_work=False)

    def choose(self) -> None:
        stay = Stay(self.choice.implementation, self.now - self.since)
        made = decide(self.known(OPTIMIZED), self.known(ORIGINAL), stay)
        if made.implementation is not self.choice.implementation:
            self.switches.append(self.now)
            self.since = self.now
        self.choice = made

    def measure(self, implementation: Implementation, *, is_work: bool = True) -> None:
        fails = implementation is OPTIMIZED and self.random.random() < self.failure_rate
        seconds = self.speeds[implementation] * self.random.lognormvariate(0, self.noise)
        took = None if fails else seconds
        self.measured.append((self.now, implementation, took, is_work))

    def known(self, implementation: Implementation) -> Evidence:
        own = [one for one in self.measured if one[1] is implementation]
        since = self.since if implementation is self.choice.implementation else 0
        last = [seconds for at, _, seconds, is_work in own if is_work and at >= since][-LAST_CALLS:]
        times = [
            seconds for at, _, seconds, _ in own if seconds is not None and at > self.now - 86_400
        ]
        return Evidence(
            recent_calls=len(last),
            recent_failures=last.count(None),
            timing=Timing(len(times), sum(times), 0),
        )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), speed=st.floats(0.5, 2), noise=st.floats(0, 0.4))
def test_noise_does_not_make_it_flap(seed: int, speed: float, noise: float) -> None:
    runs = Runs(seed, speed, noise, failure_rate=0)
    runs.play_a_day()
    assert len(runs.switches) <= 4


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), failure_rate=st.floats(0, 1))
def test_failures_do_not_make_it_flap(seed: int, failure_rate: float) -> None:
    runs = Runs(seed, 2, 0.2, failure_rate)
    runs.play_a_day()
    # It is left as soon as it fails, and tried again after a while.
    turns = pairwise(runs.switches)
    assert all(until - since >= STAY_SECONDS for since, until in islice(turns, 0, None, 2))


def test_it_comes_back_by_itself() -> None:
    runs = Runs(seed=1, speed=2, noise=0.1, failure_rate=1)
    runs.play_a_day()
    assert runs.choice.implementation is ORIGINAL
    runs.failure_rate = 0
    runs.play_a_day()
    assert runs.choice.implementation is OPTIMIZED
