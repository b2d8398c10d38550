"""What a model costs: LiveDash's own price where it has one, else the published one."""

from collections.abc import Callable, Mapping

from batch_assets.domain.money import Price
from batch_assets.openai_batch.prices import published_price
from batch_assets.store.protocol import Queries


def price_finder(queries: Queries) -> Callable[[str], Price | None]:
    """A function from a model's name to its price; LiveDash's table is read once, now.

    An answer names a dated snapshot (`gpt-4o-mini-2024-07-18`) where the request named the model:
    callers ask with the name that was requested, and with the answer's only if they have no other.
    """
    own: Mapping[str, Price] = queries.model_prices()

    def price_of(model: str) -> Price | None:
        return own.get(model) or published_price(model)

    return price_of
