"""What a model costs: LiveDash's own price where it has one, else the published one."""

from collections.abc import Callable, Mapping

from batch_assets.domain.money import Price
from batch_assets.domain.records import Response
from batch_assets.openai_batch.prices import published_price
from batch_assets.openai_batch.profiles import Profile
from batch_assets.store.protocol import Queries


def price_finder(
    queries: Queries, profile: Profile, model_of: Callable[[str], str]
) -> Callable[[str], Price | None]:
    """A function from a model's name to its price on a server; LiveDash's table is read once, now.

    `model_of` says which model a name stands for. An answer names a dated snapshot
    (`gpt-4o-mini-2024-07-18`) where the request named the model: callers ask with the name that was
    requested, and with the answer's only if they have no other (`price_of_answer`).
    """
    own: Mapping[str, Price] = queries.model_prices()

    def price_of(name: str) -> Price | None:
        model = model_of(name)
        price = own.get(name) or own.get(model)
        if price is not None:
            return price.in_a_batch(profile.price_factor)
        if profile.price_list is None:
            return None
        return published_price(model, profile.price_list, profile.price_factor)

    return price_of


def price_of_answer(
    response: Response, asked_for: str | None, price_of: Callable[[str], Price | None]
) -> Price | None:
    """What the model costs that has answered: the one that was asked for, where that is known."""
    model = asked_for or response.model
    return None if model is None else price_of(model)
