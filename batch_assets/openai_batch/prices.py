"""What is published that a model costs, from the data inside the package `genai-prices`.

Nothing is looked up on the network, so a price is as new as the installed package.
"""

from collections.abc import Mapping
from functools import lru_cache

from batch_assets.domain.money import BATCH_DISCOUNT, Price, Rates

_BATCH = {"processing": "batch"}


@lru_cache(maxsize=256)
def published_price(
    model: str, price_list: str = "openai", factor: float = BATCH_DISCOUNT
) -> Price | None:
    """The price of `model` live and in a batch; `None` if that list has none.

    `factor` is what a batch costs of the live price, where no price for batches is published.

    A dated snapshot has its model's price. A fine-tuned model (`ft:base:organization::id`) that has
    none of its own gets its base's, which is a lower bound. Rates are those of short prompts, which
    conversations are. The answer is kept as long as the process lives.
    """
    live = _rates(model, price_list, {})
    if live is None:
        kind, _, base = model.partition(":")
        if kind != "ft" or not base:
            return None
        return published_price(base.partition(":")[0], price_list, factor)
    batch = _rates(model, price_list, _BATCH)
    if batch is None or batch == live:
        # Where no variant for batches is published, the package answers with the live rates.
        batch = live.discounted(factor)
    return Price(live=live, batch=batch, source="genai-prices")


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
