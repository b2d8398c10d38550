"""Which of the matching occasions a fault rule strikes, and when it holds at all."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from batch_assets_local.batch_server.config_base import Count, Settings

Probability = Annotated[float, Field(ge=0, le=1)]


def _checked_pattern(expression: str) -> str:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return expression


Pattern = Annotated[str, AfterValidator(_checked_pattern)]
"""A regular expression that is searched in a row's custom_id."""


class Chance(Settings):
    """Which of the matching occasions a rule strikes: skip `after`, then at most `count`.

    With `since` and `until` it holds between these times of the server's clock (Unix seconds): an
    incident of an hour, say. What comes outside of it is not counted.
    """

    name: str = ""
    after: Count = 0
    count: Count | None = None
    probability: Probability = 1
    seed: int = 0
    since: float | None = None
    until: float | None = None

    def holds_at(self, now: float) -> bool:
        """Whether the rule holds at this time of the server's clock."""
        has_begun = self.since is None or now >= self.since
        return has_begun and (self.until is None or now < self.until)
