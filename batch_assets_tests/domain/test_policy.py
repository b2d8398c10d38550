"""How long a failed request waits, and which failures count."""

import random
from typing import Any

import pytest

from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.policy import Caps, FailureVerdict, Tried
from batch_assets_tests.policies import a_policy

POLICY = a_policy(min_batch_requests=10, max_wait_seconds=1_800)


@pytest.mark.parametrize("attempts", range(1, 12))
def test_the_delay_doubles_with_jitter_up_to_its_end(attempts: int) -> None:
    policy = a_policy(retry_base_seconds=100, retry_max_seconds=3_000)
    ceiling = min(3_000, 100 * 2 ** (attempts - 1))
    jitter = random.Random(attempts)
    delays = [policy.retry_delay_seconds(attempts, jitter) for _ in range(200)]
    assert all(ceiling / 2 <= delay <= ceiling for delay in delays)
    assert max(delays) - min(delays) > ceiling / 3, "they are spread"


@pytest.mark.parametrize(("asked", "least", "most"), [(None, 300, 600), (77, 77, 115.5)])
def test_models_rest_for_different_times_and_never_less_than_asked(
    asked: float | None, least: float, most: float
) -> None:
    jitter = random.Random(1)
    policy = a_policy(model_cooldown_seconds=600)
    cooldowns = [policy.cooldown("x", jitter, asked).seconds for _ in range(200)]
    assert all(least <= one <= most for one in cooldowns)
    assert max(cooldowns) - min(cooldowns) > (most - least) / 2, "they are spread"


def test_a_huge_number_of_attempts_does_not_overflow() -> None:
    assert POLICY.retry_delay_seconds(900, random.Random(1)) <= POLICY.retry_max_seconds


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (FailureKind.TRANSIENT, True),
        (FailureKind.PERMANENT, True),
        (FailureKind.INDETERMINATE, True),
        (FailureKind.CAPACITY, False),
        (FailureKind.SERVER, False),
        (FailureKind.ACCOUNT, False),
    ],
)
def test_what_is_not_the_requests_fault_uses_up_no_attempt(kind: FailureKind, counts: bool) -> None:
    assert POLICY.counts_as_attempt(Failure(kind, "x", "x")) is counts


def verdict(kind: FailureKind, before: Tried, **policy: Any) -> FailureVerdict:
    failure = Failure(kind, "x", "What happened.")
    return a_policy(**policy).verdict(failure, before, random.Random(1))


@pytest.mark.parametrize(
    ("kind", "before", "final"),
    [
        (FailureKind.PERMANENT, 0, True),
        (FailureKind.INDETERMINATE, 0, True),
        (FailureKind.TRANSIENT, 0, False),
        (FailureKind.TRANSIENT, 1, False),
        (FailureKind.TRANSIENT, 2, True),
        (FailureKind.CAPACITY, 2, False),
        (FailureKind.SERVER, 2, False),
        (FailureKind.ACCOUNT, 0, False),
    ],
)
def test_a_request_is_given_up_after_its_last_attempt(
    kind: FailureKind, before: int, final: bool
) -> None:
    assert (verdict(kind, Tried(before), max_attempts=3).delay_seconds is None) is final


@pytest.mark.parametrize("kind", [FailureKind.CAPACITY, FailureKind.SERVER, FailureKind.ACCOUNT])
def test_what_does_not_count_waits_longer_each_time_and_not_for_ever(kind: FailureKind) -> None:
    delays = [
        verdict(kind, Tried(uncounted=rests), retry_base_seconds=60).delay_seconds
        for rests in range(4)
    ]
    first = delays[0]
    assert first is not None
    assert delays == pytest.approx([first, 2 * first, 4 * first, 8 * first])
    week = 7 * 86_400.0
    assert verdict(kind, Tried(uncounted=99, waited_seconds=week - 1)).delay_seconds is not None
    over = verdict(kind, Tried(uncounted=99, waited_seconds=week))
    assert (over.delay_seconds, over.counted, over.failure.code) == (None, False, "waited_too_long")
    assert over.failure.reason.startswith("It has waited 7 days in which no try counted")
    assert over.failure.reason.endswith("What happened.")
    assert verdict(FailureKind.TRANSIENT, Tried(waited_seconds=week)).delay_seconds is not None


def test_an_allowance_is_by_model_or_the_default() -> None:
    policy = a_policy(default_token_allowance=7, token_allowances={"m1": 3})
    assert (policy.token_allowance("m1"), policy.token_allowance("m2")) == (3, 7)


@pytest.mark.parametrize(
    "caps",
    [Caps(run_cost_eur=0.0), Caps(day_cost_eur=0.0), Caps(company_day_cost_eur=0.0)],
)
def test_any_cap_on_cost_limits_cost(caps: Caps) -> None:
    assert caps.limits_cost


def test_caps_on_requests_do_not_limit_cost() -> None:
    assert not Caps(run_requests=1, day_requests=1, company_day_requests=1).limits_cost
