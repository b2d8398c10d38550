"""Published prices: live and in a batch, by any name that a model goes by."""

import socket

import pytest

from batch_assets.domain.money import Rates
from batch_assets.openai_batch.prices import offers_flex, published_price
from batch_assets.openai_batch.profiles import profile_of

MILLION = 1_000_000


def close_to(rates: Rates) -> tuple[object, object, object]:
    return (
        pytest.approx(rates.prompt),
        pytest.approx(rates.cached_prompt),
        pytest.approx(rates.completion),
    )


def test_a_model_whose_batch_price_is_published() -> None:
    price = published_price("gpt-4o-mini")
    assert price is not None
    assert price.source == "genai-prices"
    assert close_to(price.synchronous) == (0.15 / MILLION, 0.075 / MILLION, 0.6 / MILLION)
    # Cached input costs as much as fresh input in a batch of this model: discounts do not stack.
    assert close_to(price.batch) == (0.075 / MILLION, 0.075 / MILLION, 0.3 / MILLION)


def test_a_model_on_which_both_discounts_stack() -> None:
    price = published_price("gpt-5-mini")
    assert price is not None
    assert close_to(price.synchronous) == (0.25 / MILLION, 0.025 / MILLION, 2 / MILLION)
    assert close_to(price.batch) == (0.125 / MILLION, 0.0125 / MILLION, 1 / MILLION)


def test_a_model_whose_batch_price_is_not_published_costs_half() -> None:
    price = published_price("gpt-4o-audio-preview")
    assert price is not None
    assert price.batch == price.synchronous.discounted(0.5)
    assert price.synchronous.prompt > 0


def test_a_dated_snapshot_has_its_models_price() -> None:
    assert published_price("gpt-4o-mini-2024-07-18") == published_price("gpt-4o-mini")


def test_fine_tuned_models() -> None:
    own = published_price("ft:gpt-4o-mini-2024-07-18:acme::abc123")
    base = published_price("gpt-4o-mini")
    assert own is not None
    assert base is not None
    assert own.synchronous.prompt > base.synchronous.prompt
    of_its_base = published_price("ft:gpt-4.1-mini-2025-04-14:acme::abc123")
    assert of_its_base is not None
    assert of_its_base == published_price("gpt-4.1-mini")


@pytest.mark.parametrize("model", ["", "my-deployment", "ft:", "ft:mine:x", "claude-3-haiku"])
def test_an_unknown_model_has_no_price(model: str) -> None:
    assert published_price(model) is None


def test_prices_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a price was looked up on the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    published_price.cache_clear()
    assert published_price("gpt-4o") is not None


def test_service_tiers_have_their_published_prices() -> None:
    price = published_price("gpt-5-mini")
    assert price is not None
    assert close_to(price.tiers["flex"]) == (0.125 / MILLION, 0.0125 / MILLION, 1 / MILLION)
    assert price.tiers["priority"].prompt > price.synchronous.prompt
    assert price.in_tier("default").batch == price.in_tier(None).batch == price.synchronous


@pytest.mark.parametrize(
    ("profile", "model", "named", "offers"),
    [
        ("openai", "gpt-5-mini", "", True),
        ("openai", "o3", "", True),
        ("openai", "gpt-4o-mini", "", False),
        ("openai", "gpt-4o-mini", "gpt-4o-mini", True),
        ("openai", "no-such-model", "", False),
        ("openai", "ft:gpt-5-mini:acme::abc123", "", False),
        ("compatible", "gpt-5-mini", "", False),
        ("azure", "gpt-5-mini", "gpt-5-mini", True),
        ("groq", "llama-3.3-70b-versatile", "", False),
    ],
)
def test_who_is_asked_for_flex(profile: str, model: str, named: str, *, offers: bool) -> None:
    assert offers_flex(profile_of("", profile), {named}, "any name", model) is offers
