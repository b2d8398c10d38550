"""What is expected of a request by what others have used."""

import random
from dataclasses import asdict, replace

import pytest

from batch_assets.domain.estimates import ENOUGH, ERROR_HALF_LIFE, HALF_LIFE, LearntUsage

CONSTANT = 300


def learnt(*answers: tuple[int, int, int]) -> LearntUsage:
    """Of answers to so many bytes that have used so many tokens of input and output."""
    return LearntUsage(
        answers=len(answers),
        weight=len(answers),
        text_bytes=sum(size for size, _, _ in answers),
        text_bytes_squared=sum(size**2 for size, _, _ in answers),
        text_bytes_by_prompt_tokens=sum(size * prompt for size, prompt, _ in answers),
        prompt_tokens=sum(prompt for _, prompt, _ in answers),
        completion_tokens=sum(output for _, _, output in answers),
        completion_tokens_squared=sum(output**2 for _, _, output in answers),
    )


def test_it_takes_so_many_answers_to_go_by() -> None:
    assert not learnt(*[(1_000, 500, 80)] * (ENOUGH - 1)).is_enough
    assert learnt(*[(1_000, 500, 80)] * ENOUGH).is_enough


def test_input_grows_with_the_text_from_what_every_request_has() -> None:
    sizes = [400, 800, 1_200, 3_000] * 25
    used = learnt(*((size, 250 + size // 4, 80) for size in sizes))
    for size in (200, 1_000, 5_000):
        assert used.expected(size, CONSTANT).prompt_tokens == pytest.approx(
            250 + size / 4, rel=0.03
        )


def test_answers_to_texts_of_one_length_say_nothing_of_the_constant_part() -> None:
    used = learnt(*[(1_000, 550, 80)] * 100)
    assert used.expected(1_000, CONSTANT).prompt_tokens == 550
    assert used.expected(2_000, CONSTANT).prompt_tokens == 800, "in proportion, beside that"


def test_no_text_is_expected_to_have_less_than_a_shorter_one() -> None:
    used = learnt(*[(100, 900, 80), (4_000, 500, 80)] * 50)
    short, long = used.expected(10, CONSTANT), used.expected(50_000, CONSTANT)
    assert 0 < short.prompt_tokens <= long.prompt_tokens


def test_output_is_expected_above_its_mean_by_less_the_more_is_known() -> None:
    few = learnt(*[(1_000, 500, 60), (1_000, 500, 100)] * 15)
    many = learnt(*[(1_000, 500, 60), (1_000, 500, 100)] * 400)
    assert 80 < many.expected(1_000, CONSTANT).completion_tokens <= 82
    assert 86 <= few.expected(1_000, CONSTANT).completion_tokens <= 89


def test_what_is_cached_is_expected_to_be_cached() -> None:
    used = replace(learnt(*[(1_000, 500, 80)] * 50), cached_tokens=12_500)
    assert used.expected(1_000, CONSTANT).cached_tokens == 250


def test_older_answers_count_half_after_a_thousand() -> None:
    old, new = learnt(*[(1_000, 400, 80)] * HALF_LIFE), learnt(*[(1_000, 800, 80)] * HALF_LIFE)
    both = new.after(old)
    assert (both.answers, both.weight) == (2 * HALF_LIFE, 1.5 * HALF_LIFE)
    assert both.expected(1_000, CONSTANT).prompt_tokens == 667, "two thirds of the way"


def test_the_error_forgets_faster() -> None:
    old = replace(learnt((1_000, 400, 80)), billed_eur=10.0, off_eur=6.0)
    assert old.error_percent == 60
    new = replace(learnt(*[(1_000, 400, 80)] * (3 * ERROR_HALF_LIFE)), billed_eur=10.0, off_eur=0.0)
    assert new.after(old).error_percent == pytest.approx(100 * 0.75 / 11.25)


def test_without_any_cost_there_is_no_error() -> None:
    assert LearntUsage().error_percent is None


def test_answers_count_the_same_together_and_one_set_after_the_other() -> None:
    rng = random.Random(7)
    first, second, third = (
        learnt(*((rng.randrange(9_000), rng.randrange(900), 80) for _ in range(40)))
        for _ in range(3)
    )
    at_once = third.after(second).after(first)
    one_by_one = third.after(second.after(first))
    assert asdict(at_once) == pytest.approx(asdict(one_by_one))
