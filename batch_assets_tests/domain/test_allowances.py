"""What is tried of a server that has refused more: what it took, and a little more now and then."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_assets.domain.allowances import (
    OF_BATCHES,
    TRIAL_SECONDS,
    AllowanceUse,
    InUse,
    Learnt,
    Source,
    read_allowances,
    uses,
)
from batch_assets_tests.policies import a_policy

HOUR = 3_600
NOW = datetime(2026, 11, 30, 17, 30, tzinfo=UTC)
FULL = {"created": [(60, 2), (600, 3)]}
"""Five batches of this hour: two are an hour old in a minute, the others in ten."""


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


@given(
    most=st.integers(0, 10_000),
    refusals=st.integers(1, 8),
    seconds=st.floats(0, 30_000),
    more=st.integers(0, 100_000),
)
def test_what_is_wanted_is_tried_after_as_many_seconds_as_is_said(
    most: int, refusals: int, seconds: float, more: int
) -> None:
    wanted = most + more
    wait = Learnt(most, refusals, seconds).seconds_until(wanted)
    assert Learnt(most, refusals, seconds + wait + 0.01).now >= wanted
    if wait > 1:
        assert Learnt(most, refusals, seconds + wait - 1).now < wanted


def of_batches(hourly: int, **in_use: object) -> AllowanceUse:
    found = uses(a_policy(hourly_batches=hourly), InUse(**in_use), NOW)  # type: ignore[arg-type]
    assert [one.what for one in found][:1] == ["batches_an_hour"]
    return found[0]


def of_tokens(tokens: int, requests: int, learnt: int | None = None, **limits: int) -> AllowanceUse:
    rows = {} if learnt is None else {"m1": [learnt, 1, 300]}
    in_use = InUse(rows=rows, enqueued={"m1": (tokens, requests)})
    return uses(a_policy(**limits), in_use, NOW)[1]


def test_what_no_setting_says_is_a_first_guess() -> None:
    assert of_batches(2_000).source is Source.FIRST_GUESS
    assert (of_batches(2_000).left, of_batches(2_000).holds) == (2_000, False)
    assert of_batches(2_000).sentence == (
        "Batches an hour: 0 of 2,000 are created, and 2,000 more may be now. That is a first "
        "guess, BATCH_HOURLY_BATCHES's default: the server has refused nothing."
    )
    free = of_tokens(5_000, 10, default_token_allowance=100_000_000_000)
    assert (free.allowed, free.left, free.source) == (None, None, Source.FIRST_GUESS)
    assert free.sentence.startswith("Tokens of m1: 5,000 are enqueued, and any number more may be.")


def test_a_full_hour_says_when_a_batch_is_an_hour_old() -> None:
    full = of_batches(5, **FULL)
    assert (full.in_use, full.left, full.holds) == (5, 0, True)
    assert full.possible_at == NOW + timedelta(minutes=1)
    assert full.sentence == (
        "Batches an hour: 5 of 5 are created: no other batch is created before 2026-11-30 17:31 "
        "UTC, and what is due waits. BATCH_HOURLY_BATCHES says so."
    )
    assert not of_batches(6, **FULL).holds


def test_more_than_is_allowed_by_now_waits_for_several() -> None:
    assert of_batches(3, **FULL).possible_at == NOW + timedelta(minutes=10)


def test_what_was_learnt_grows_before_a_batch_is_an_hour_old() -> None:
    rows = {OF_BATCHES: [5, 1, TRIAL_SECONDS - 30]}
    learnt = of_batches(2_000, rows=rows, created=[(600, 5)])
    assert (learnt.source, learnt.allowed, learnt.left) == (Source.LEARNT, 5, 0)
    assert learnt.possible_at == NOW + timedelta(seconds=30)
    assert "The server refused more at 2026-11-30 17:20 UTC." in learnt.sentence
    # The setting is no more than what was learnt, which could not grow beyond it either.
    bound = of_batches(5, rows=rows, created=[(600, 5)])
    assert (bound.source, bound.possible_at) == (Source.SETTING, NOW + timedelta(minutes=10))


def test_some_age_and_some_growth_come_together() -> None:
    rows = {OF_BATCHES: [4, 1, 0]}
    found = of_batches(2_000, rows=rows, created=[(300, 1), (3_000, 5)])
    # Of six there are five in five minutes, and from ten minutes on five are tried, then seven.
    assert found.possible_at == NOW + timedelta(minutes=20)
    assert of_batches(2_000, rows=rows, created=[(1_300, 1), (3_000, 4)]).possible_at == (
        NOW + timedelta(minutes=20)
    )


def test_tokens_hold_where_another_request_of_the_usual_length_has_no_room() -> None:
    held = of_tokens(1_000, 10, default_token_allowance=1_050)
    assert (held.left, held.holds, held.possible_at) == (50, True, None)
    assert held.sentence == (
        "Tokens of m1: 1,000 of 1,050 are enqueued: what is due of this model waits until batches "
        "of it end. BATCH_TOKEN_ALLOWANCE says so."
    )
    assert not of_tokens(1_000, 10, default_token_allowance=1_100).holds
    learnt = of_tokens(1_000, 10, learnt=1_000)
    assert learnt.possible_at == NOW + timedelta(minutes=35)
    assert "until batches of it end, or until 2026-11-30 18:05 UTC" in learnt.sentence


def test_models_are_those_that_are_enqueued_refused_or_set() -> None:
    policy = a_policy(token_allowances={"set": 10})
    in_use = InUse(rows={"refused": [9, 1, 0], "": [9, 1, 0]}, enqueued={"enqueued": (1, 1)})
    found = uses(policy, in_use, NOW)
    assert [one.setting for one in found[-2:]] == [
        "BATCH_TOKEN_ALLOWANCE",
        "BATCH_TOKEN_ALLOWANCES",
    ]
    assert [one.model for one in found] == [None, "enqueued", "refused", "set"]
