"""Words that sentences for people are made of."""


def plural(number: int, thing: str, things: str | None = None) -> str:
    """`1 request`, `2 requests`; irregular words give their plural."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
