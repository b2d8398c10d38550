"""Tokens and money. Prices are USD a token, costs are USD unless the name says EUR."""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

BATCH_DISCOUNT = 0.5
"""What the Batch API charges of a full price, where no price of its own is published."""
MOST_A_TOKEN = 1_000.0
"""USD that nothing costs: what is above is a mistake, and would not fit into LiveDash's columns."""
FLEX = "flex"
"""The service tier that costs what a batch does, takes longer, and may have no room."""
FREE = "free"
"""What a price says that is meant to be 0."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, as the server counted them. `None`: the server did not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int | None = None
    audio_tokens_prompt: int | None = None
    reasoning_tokens: int | None = None
    audio_tokens_completion: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """USD a token: fresh input, input that was cached, output."""

    prompt: float
    cached_prompt: float
    completion: float

    def discounted(self, factor: float) -> "Rates":
        """The same rates, each times `factor`."""
        return Rates(self.prompt * factor, self.cached_prompt * factor, self.completion * factor)

    def cached_as(self, other: "Rates") -> "Rates":
        """The same rates, where cached input costs the part of fresh input that it does there."""
        part = other.cached_prompt / other.prompt if other.prompt else 1.0
        return Rates(self.prompt, self.prompt * part, self.completion)

    def cost(self, usage: Usage) -> float:
        """USD for one answer; cached input is a part of the prompt tokens, not beside them."""
        cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
        return (
            (usage.prompt_tokens - cached) * self.prompt
            + cached * self.cached_prompt
            + usage.completion_tokens * self.completion
        )


@dataclass(frozen=True, slots=True)
class Price:
    """The rates of a model, in full and in a batch; source: `setting`, `livedash` or
    `genai-prices`."""

    synchronous: Rates
    batch: Rates
    source: str
    has_cached_rate: bool = True
    """False where the source says nothing of cached input, which then counts as fresh."""
    edition: str = ""
    """Which one of the source's: since when LiveDash's is in effect, or the package's version."""
    tiers: Mapping[str, Rates] = field(default_factory=dict)
    """The rates of synchronous requests by their service tier, as an answer names it; one that is
    not here costs the full price."""

    @property
    def is_in_doubt(self) -> bool:
        """Whether a rate is 0, which somebody has to confirm before anything counts as free."""
        return not (self.synchronous.prompt and self.synchronous.completion)

    @property
    def is_free(self) -> bool:
        """Whether it is known to cost nothing."""
        return not (self.synchronous.prompt or self.synchronous.completion)

    @property
    def undiscounted(self) -> "Price":
        """The same model where all that is sent costs the full price."""
        return self.in_a_batch(1.0)

    def in_tier(self, tier: str | None) -> "Price":
        """The same model where all that is sent costs what this service tier does."""
        return replace(self, batch=self.tiers.get(tier or "", self.synchronous))

    def with_tier(self, tier: str, factor: float) -> "Price":
        """The same price with a service tier that costs so much of the full price, unless the tier
        has a price of its own."""
        rates = self.tiers.get(tier) or self.synchronous.discounted(factor)
        return replace(self, tiers={**self.tiers, tier: rates})

    def with_tiers_of(self, published: "Price | None") -> "Price":
        """The same price with the service tiers that are published, each at the same part of the
        full price as there."""
        if published is None or not published.synchronous.prompt:
            return self
        full = published.synchronous.prompt
        tiers = {
            tier: self.synchronous.discounted(rates.prompt / full)
            for tier, rates in published.tiers.items()
        }
        return replace(self, tiers=tiers)

    def in_a_batch(self, factor: float) -> "Price":
        """The same model where a batch costs so much of the full price."""
        return replace(self, batch=self.synchronous.discounted(factor))

    def with_cached_rate_of(self, published: "Price | None") -> "Price":
        """The same price with the published discount on cached input, unless it says its own."""
        if self.has_cached_rate or published is None:
            return self
        return replace(
            self,
            synchronous=self.synchronous.cached_as(published.synchronous),
            batch=self.batch.cached_as(published.batch),
            has_cached_rate=True,
        )

    def as_json(self, *, with_tiers: bool = False) -> str:
        """What is kept of the price with each batch; `price_in` reads it.

        The tiers with a synchronous one alone: no other is charged by them.
        """
        kept: dict[str, Any] = {
            "source": self.source,
            "edition": self.edition,
            "synchronous": astuple(self.synchronous),
            "batch": astuple(self.batch),
        }
        if with_tiers:
            kept["tiers"] = {tier: astuple(rates) for tier, rates in self.tiers.items()}
        return json.dumps(kept)


def price_in(kept: Mapping[str, Any] | None) -> Price | None:
    """The price that was kept with a batch; `None` if none was, or it was not known."""
    if kept is None:
        return None
    return Price(
        synchronous=Rates(*kept["synchronous"]),
        batch=Rates(*kept["batch"]),
        source=kept["source"],
        edition=kept["edition"],
        tiers={tier: Rates(*rates) for tier, rates in kept.get("tiers", {}).items()},
    )


def can_be_price(prompt: float, completion: float) -> bool:
    """Whether these can be USD a token: finite, not negative, and no more than `MOST_A_TOKEN`.

    Anything else would get past every cap, or into no column.
    """
    return all(0.0 <= rate <= MOST_A_TOKEN for rate in (prompt, completion))


def livedash_price(prompt: float, completion: float, since: str = "") -> Price:
    """A price from LiveDash's table, which knows neither cached input nor batches.

    `since` says when it came into effect.
    """
    synchronous = Rates(prompt, prompt, completion)
    return Price(
        synchronous=synchronous,
        batch=synchronous.discounted(BATCH_DISCOUNT),
        source="livedash",
        has_cached_rate=False,
        edition=since,
    )


def read_price(text: str) -> Price:
    """Read a full price from USD for a million tokens of input, cached input and output.

    As `0.15/0.075/0.6`; cached input may be left out. What costs nothing is `free`: a 0 may be a
    slip, and would get past every cap.

    Raises:
        ValueError: It is neither, or a number is 0, negative, infinite, none, or so large that
            nothing costs that.
    """
    if text == FREE:
        return _price_of_setting((0.0, 0.0, 0.0))
    rates = tuple(float(number) / _MILLION for number in text.split("/"))
    if len(rates) not in (2, 3) or not all(0.0 < rate <= MOST_A_TOKEN for rate in rates):
        raise ValueError
    return _price_of_setting(rates)


def _price_of_setting(rates: tuple[float, ...]) -> Price:
    synchronous = Rates(rates[0], rates[-2], rates[-1])
    return Price(
        synchronous=synchronous,
        batch=synchronous.discounted(BATCH_DISCOUNT),
        source="setting",
        has_cached_rate=len(rates) == 3,
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer cost. Zero throughout where that is not known."""

    usd: float = 0.0
    eur: float = 0.0
    synchronous_eur: float = 0.0
    """What the same tokens cost by synchronous requests: the difference is what was saved."""
    is_known: bool = True
    """False for an answer of a model without a price, or one whose tokens nobody has counted."""
    rates: Rates = field(default_factory=lambda: Rates(0.0, 0.0, 0.0))
    """The rates that were charged."""


def batch_cost(usage: Usage, price: Price | None, usd_to_eur: float) -> Cost:
    """The cost of one answer of a batch, at `usd_to_eur` euros a dollar."""
    if price is None or not (usage.prompt_tokens or usage.completion_tokens):
        return Cost(is_known=False)
    usd = price.batch.cost(usage)
    return Cost(
        usd=usd,
        eur=usd * usd_to_eur,
        synchronous_eur=price.synchronous.cost(usage) * usd_to_eur,
        rates=price.batch,
    )
