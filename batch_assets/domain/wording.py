"""Words that sentences for people are made of."""

from collections.abc import Mapping, Sequence

_MOST_NAMED = 5


def plural(number: int, thing: str, things: str | None = None) -> str:
    """`1 request`, `2 requests`; irregular words give their plural."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; of none nothing."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def span(seconds: float) -> str:
    """A time span in one unit, rounded down: `3 d`, `5 h`, `12 min`, `8 s`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def about_cost(eur: float, requests: int, unpriced: int) -> str:
    """What requests cost, by estimate, some of which have a model without a price."""
    if not unpriced:
        return f"about {eur:.4f} EUR"
    if unpriced == requests:
        return "at a cost that is not known, since no price list has their model"
    return f"about {eur:.4f} EUR, and what {plural(unpriced, 'request')} without a price cost"


def of_unpriced(answers: int) -> str:
    """The sentence on answers whose cost is in no sum."""
    return (
        f"What {plural(answers, 'answer')} cost is not known, and in no sum: no price list has "
        "their model. BATCH_DEPLOYMENTS can name the one that runs under a deployment's name."
    )


def of_unknown_types(requests: Mapping[str, int]) -> str:
    """The warning about processing types that are not known, from their shown names."""
    most = sorted(requests.items(), key=lambda item: -item[1])[:_MOST_NAMED]
    named = ", ".join(f"{number:,} {name}" for name, number in most)
    more = len(requests) - len(most)
    return (
        f"Of an unknown processing type: {plural(sum(requests.values()), 'request')} ({named}"
        f"{f', and {more:,} more types' if more else ''}), asked everything as by full_analysis."
    )
