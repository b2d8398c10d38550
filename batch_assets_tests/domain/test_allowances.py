"""What is tried of a server that has refused more: what it took, and a little more now and then."""

import pytest

from batch_assets.domain.allowances import OF_BATCHES, TRIAL_SECONDS, Learnt, read_allowances
from batch_assets_tests.policies import a_policy

HOUR = 3_600


@pytest.mark.parametrize(
    ("refusals", "minutes", "now"),
    [
        (1, 0, 100),
        (1, 9.9, 100),
        (1, 10, 101),
        (1, 20, 103),
        (1, 60, 163),
        (2, 19, 100),
        (2, 20, 101),
        (5, 119, 100),
        (50, 120, 101),
        (1, -5, 100),
    ],
)
def test_more_is_tried_the_longer_nothing_is_refused(
    refusals: int, minutes: float, now: int
) -> None:
    assert Learnt(100, refusals, 60 * minutes).now == now


def test_a_year_without_a_refusal_is_no_number_too_large() -> None:
    assert 10**12 < Learnt(100, 1, 365 * 24 * HOUR).now < 10**15


def test_what_grows_is_a_part_of_what_was_taken() -> None:
    assert Learnt(1_000_000, 1, TRIAL_SECONDS).now == 1_010_000
    assert Learnt(0, 1, TRIAL_SECONDS).now == 1


def test_settings_bound_what_was_learnt() -> None:
    policy = a_policy(
        default_token_allowance=5_000, token_allowances={"m2": 70}, hourly_batches=120
    )
    learnt: dict[str, list[float]] = {
        "m1": [900, 1, 0],
        "m2": [80.0, 1, 0],
        OF_BATCHES: [100, 1, 8 * HOUR],
    }
    allowances = read_allowances(policy, learnt)
    assert [allowances.tokens(model) for model in ("m1", "m2", "m3")] == [900, 70, 5_000]
    assert allowances.hourly_batches == 120
    assert read_allowances(policy, {OF_BATCHES: [100, 1, 0]}).hourly_batches == 100
