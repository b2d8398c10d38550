"""Words that sentences for people are made of."""


def plural(number: int, thing: str, things: str | None = None) -> str:
    """`1 request`, `2 requests`; irregular words give their plural."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def span(seconds: float) -> str:
    """A time span in one unit, rounded down: `3 d`, `5 h`, `12 min`, `8 s`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
