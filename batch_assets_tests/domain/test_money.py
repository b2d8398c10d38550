"""Prices, discounts and costs."""

import json
from dataclasses import replace

import pytest

from batch_assets.domain.money import (
    Cost,
    Price,
    Rates,
    Usage,
    batch_cost,
    livedash_price,
    price_in,
    read_price,
)

SYNCHRONOUS = Rates(prompt=4.0, cached_prompt=2.0, completion=10.0)


def test_cached_tokens_are_a_part_of_the_prompt() -> None:
    assert SYNCHRONOUS.cost(Usage(prompt_tokens=10, completion_tokens=3, cached_tokens=4)) == (
        6 * 4.0 + 4 * 2.0 + 3 * 10.0
    )


@pytest.mark.parametrize("cached", [None, 0])
def test_without_cached_tokens_all_are_fresh(cached: int | None) -> None:
    assert (
        SYNCHRONOUS.cost(Usage(prompt_tokens=10, completion_tokens=0, cached_tokens=cached)) == 40.0
    )


def test_more_cached_than_prompt_tokens_never_make_a_negative_cost() -> None:
    assert SYNCHRONOUS.cost(Usage(prompt_tokens=3, completion_tokens=0, cached_tokens=100)) == 6.0


def test_a_discount_is_of_every_rate() -> None:
    assert SYNCHRONOUS.discounted(0.5) == Rates(2.0, 1.0, 5.0)


def test_livedash_knows_one_prompt_price_and_a_batch_costs_half() -> None:
    price = livedash_price(4.0, 10.0)
    assert price.synchronous == Rates(4.0, 4.0, 10.0)
    assert price.batch == Rates(2.0, 2.0, 5.0)
    assert price.source == "livedash"


def test_livedashs_price_gets_the_published_discount_on_cached_input_of_each_way() -> None:
    published = Price(Rates(4.0, 1.0, 8.0), Rates(2.0, 2.0, 4.0), "genai-prices")
    price = livedash_price(40.0, 10.0).with_cached_rate_of(published)
    assert price.synchronous == Rates(40.0, 10.0, 10.0)
    assert price.batch == Rates(20.0, 20.0, 5.0)


def test_cached_input_counts_as_fresh_where_nobody_publishes_a_discount() -> None:
    price = livedash_price(4.0, 10.0)
    assert not price.has_cached_rate
    assert price.with_cached_rate_of(None) == price
    free = Price(Rates(0.0, 0.0, 0.0), Rates(0.0, 0.0, 0.0), "genai-prices")
    assert price.with_cached_rate_of(free).synchronous == price.synchronous


def test_a_price_that_is_set_is_usd_for_a_million_tokens() -> None:
    price = read_price("2/0.5/8")
    assert price.synchronous == Rates(2e-6, 5e-7, 8e-6)
    assert price.batch == Rates(1e-6, 2.5e-7, 4e-6)
    assert (price.source, price.has_cached_rate) == ("setting", True)
    assert price.with_cached_rate_of(livedash_price(1.0, 1.0)) == price, "it says its own"


def test_a_price_that_is_set_may_leave_cached_input_out() -> None:
    price = read_price("2/8")
    assert price.synchronous == Rates(2e-6, 2e-6, 8e-6)
    assert not price.has_cached_rate


def test_only_what_is_called_free_costs_nothing() -> None:
    cost = batch_cost(Usage(prompt_tokens=10, completion_tokens=1), read_price("free"), 0.9)
    assert cost == Cost(is_known=True)
    assert livedash_price(0.0, 1.0).is_in_doubt
    assert livedash_price(1.0, 0.0).is_in_doubt
    assert not livedash_price(1.0, 1.0).is_in_doubt


@pytest.mark.parametrize("text", ["0/1", "1/0", "1/0/1", "nan/1", "1/-1", "1/inf", "1", "", "no"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (what is wrong is for the setting to say)
        read_price(text)


def test_a_cost_is_in_both_currencies_with_what_live_would_have_cost() -> None:
    price = Price(synchronous=SYNCHRONOUS, batch=Rates(2.0, 2.0, 5.0), source="genai-prices")
    usage = Usage(prompt_tokens=10, completion_tokens=2, cached_tokens=5)
    cost = batch_cost(usage, price, usd_to_eur=0.5)
    assert cost == Cost(usd=30.0, eur=15.0, synchronous_eur=25.0, rates=price.batch)


def test_a_model_without_a_price_costs_nothing_that_is_known() -> None:
    cost = batch_cost(Usage(prompt_tokens=10), None, usd_to_eur=0.9)
    assert cost == Cost(is_known=False)
    assert cost.rates == Rates(0.0, 0.0, 0.0)


def test_what_an_answer_costs_whose_tokens_nobody_has_counted_is_not_known() -> None:
    price = livedash_price(0.001, 0.002)
    assert batch_cost(Usage(), price, usd_to_eur=0.9) == Cost(is_known=False)


def test_a_batch_costs_what_the_server_takes_of_the_live_price() -> None:
    price = livedash_price(0.001, 0.002)
    assert price.in_a_batch(0.75).batch == Rates(0.00075, 0.00075, 0.0015)
    assert price.in_a_batch(1.0) == price.undiscounted


def test_a_price_of_ones_own_has_the_tiers_at_their_published_part() -> None:
    own = read_price("2/0.5/8")
    published = replace(
        read_price("1/0.1/4"), tiers={"flex": Rates(4e-7, 3e-8, 2e-6), "priority": Rates(2, 2, 2)}
    )
    tiers = own.with_tiers_of(published).tiers
    assert tiers["flex"] == own.synchronous.discounted(0.4)
    assert own.with_tier("flex", 0.5).tiers["flex"] == own.synchronous.discounted(0.5)
    assert own.with_tiers_of(published).with_tier("flex", 0.5).tiers == tiers
    assert own.with_tiers_of(None).tiers == {}


def test_the_tiers_of_a_price_are_kept_where_they_are_charged() -> None:
    price = read_price("2/0.5/8").with_tier("flex", 0.5)
    assert price_in(json.loads(price.as_json(with_tiers=True))) == price
    assert "tiers" not in json.loads(price.as_json())
