"""What a model costs: what somebody has set, else LiveDash's own price, else the published one.

Published prices are the data inside the package `genai-prices`. Nothing is looked up on the
network, so such a price is as new as the installed package.
"""

from collections.abc import Callable, Mapping, Set
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Final

from batch_assets.domain.display import question_of_free
from batch_assets.domain.logs import open_log
from batch_assets.domain.money import BATCH_DISCOUNT, FLEX, Price, Rates
from batch_assets.domain.records import Response
from batch_assets.openai_batch.profiles import Profile

log = open_log(__name__)

PUBLISHED_IN: Final = "genai-prices"
_BATCH = {"processing": "batch"}
_TIERS: Final = (FLEX, "priority", "fast")


def price_finder(
    own: Mapping[str, Price],
    profile: Profile,
    model_of: Callable[[str], str],
    flex_models: Set[str] = frozenset(),
) -> Callable[[str], Price | None]:
    """Make the function from a model's name to its price on a server; `None`: it is not known.

    `own` are the prices by model that somebody has set, and LiveDash's. `model_of` says which model
    a name stands for. An answer names a dated snapshot (`gpt-4o-mini-2024-07-18`) where the request
    named the model: callers ask with the name that was requested, and with the answer's only if
    they have no other (`price_of_answer`). LiveDash's price of 0 counts for nothing until somebody
    has set it, too: a warning asks for that once. `flex_models` have a price for flex, whatever
    the list says. The finder keeps what it was asked for.
    """

    @cache
    def price_of(name: str) -> Price | None:
        model = model_of(name)
        price = of_sources(name, model)
        if price is None or flex_models.isdisjoint({name, model}):
            return price
        return price.with_tier(FLEX, profile.price_factor)

    def of_sources(name: str, model: str) -> Price | None:
        published = None
        if profile.price_list is not None:
            published = published_price(model, profile.price_list, profile.price_factor)
        price = own.get(name) or own.get(model)
        if price is None:
            return published
        if price.source == "livedash" and price.is_in_doubt:
            log.warning("%s", question_of_free(name))
            return published
        price = price.in_a_batch(profile.price_factor).with_cached_rate_of(published)
        return price.with_tiers_of(published)

    return price_of


def offers_flex(profile: Profile, flex_models: Set[str], name: str, model: str) -> bool:
    """Whether a server answers by flex for this model, which is asked for by this name.

    For `flex_models`, and where it is known to keep to its list, for those that this has. That
    names fine-tuned models for no tier.
    """
    if not flex_models.isdisjoint({name, model}):
        return True
    if not profile.lists_flex or profile.price_list is None or model.startswith("ft:"):
        return False
    published = published_price(model, profile.price_list, profile.price_factor)
    return published is not None and FLEX in published.tiers


def price_of_answer(
    response: Response, asked_for: str | None, price_of: Callable[[str], Price | None]
) -> Price | None:
    """The price of the model that has answered, or rather of the one that was asked for."""
    model = asked_for or response.model
    return None if model is None else price_of(model)


@lru_cache(maxsize=256)
def published_price(
    model: str, price_list: str = "openai", factor: float = BATCH_DISCOUNT
) -> Price | None:
    """The price of `model` by synchronous request and in a batch; `None` if that list has none.

    `factor` is what a batch costs of the full price, where no price for batches is published.

    A dated snapshot has its model's price. A fine-tuned model (`ft:base:organization::id`) that has
    none of its own gets its base's, which is a lower bound. Rates are those of short prompts, which
    conversations are. The answer is kept as long as the process lives.
    """
    synchronous = _rates(model, price_list, {})
    if synchronous is None:
        kind, _, base = model.partition(":")
        if kind != "ft" or not base:
            return None
        return published_price(base.partition(":")[0], price_list, factor)
    batch = _rates(model, price_list, _BATCH)
    if batch is None or batch == synchronous:
        # Where no variant for batches is published, the package answers with the full rates.
        batch = synchronous.discounted(factor)
    tiers = {tier: _rates(model, price_list, {"service_tier": tier}) for tier in _TIERS}
    return Price(
        synchronous=synchronous,
        batch=batch,
        source=PUBLISHED_IN,
        edition=version(PUBLISHED_IN),
        tiers={tier: rates for tier, rates in tiers.items() if rates and rates != synchronous},
    )


def _rates(model: str, price_list: str, context: Mapping[str, str]) -> Rates | None:
    # Half a second to import, which only who asks for a price should spend.
    from genai_prices import Usage, calc_price  # noqa: PLC0415 (see above)

    fresh_token = Usage(input_tokens=1, output_tokens=1)
    cached_token = Usage(input_tokens=1, cache_read_tokens=1)
    try:
        fresh = calc_price(fresh_token, model, provider_id=price_list, price_context=context)
        cached = calc_price(cached_token, model, provider_id=price_list, price_context=context)
    except LookupError:
        return None
    return Rates(
        prompt=float(fresh.input_price),
        cached_prompt=float(cached.input_price),
        completion=float(fresh.output_price),
    )
