"""What answered requests have used, and what the next ones are expected to use by that.

It is kept by model and processing type as sums over answers, in which older ones count ever less:
so an estimate follows a prompt, a model or a kind of text that has changed. Input grows with the
text that is sent; output does not.
"""

import math
from dataclasses import dataclass, fields
from typing import Final, Self

from batch_assets.domain.money import Usage

ENOUGH: Final = 30
"""Answers from which on they are trusted more than what is assumed of a model."""
HALF_LIFE: Final = 1_000
"""Answers after which an older one counts half."""
ERROR_HALF_LIFE: Final = 100
"""The same for how far off the estimates were."""

_PRIOR: Final = 4.0
"""As many answers as the assumption is worth that tokens are in proportion to bytes."""
_DEVIATIONS: Final = 2.0
"""By so many standard errors of its mean the output is estimated above it."""
_LEAST_EUR: Final = 1e-9
"""What costs less in all costs nothing: no error can be told."""


@dataclass(frozen=True, slots=True)
class LearntUsage:
    """Sums over answers of one model and processing type; those of EUR forget the fastest."""

    answers: int = 0
    """All there ever were."""
    weight: float = 0.0
    """Those that the other sums are of, older ones counted in part."""
    text_bytes: float = 0.0
    """Of what was sent beside prompt and schema, with what each message adds."""
    text_bytes_squared: float = 0.0
    text_bytes_by_prompt_tokens: float = 0.0
    prompt_tokens: float = 0.0
    cached_tokens: float = 0.0
    completion_tokens: float = 0.0
    completion_tokens_squared: float = 0.0
    estimated_eur: float = 0.0
    billed_eur: float = 0.0
    off_eur: float = 0.0
    """How far the estimates of batches were off, above or below, for these answers together."""

    @property
    def is_enough(self) -> bool:
        """Whether an estimate may go by it."""
        return self.answers >= ENOUGH and self.text_bytes > 0

    @property
    def error_percent(self) -> float | None:
        """How far off the estimates of batches were lately; `None`: nothing has cost anything."""
        return 100 * self.off_eur / self.billed_eur if self.billed_eur > _LEAST_EUR else None

    def plus(self, other: Self) -> "LearntUsage":
        """Both together, none of them older."""
        names = [one.name for one in fields(self)]
        return LearntUsage(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def after(self, before: Self) -> "LearntUsage":
        """The same with what was used before it, which counts less by as many answers."""
        sums = {
            one.name: getattr(self, one.name) + getattr(before, one.name) * self._keeps(one.name)
            for one in fields(self)
            if one.name != "answers"
        }
        return LearntUsage(answers=self.answers + before.answers, **sums)

    def _keeps(self, name: str) -> float:
        """What part of an older sum stays beside this one."""
        half_life = ERROR_HALF_LIFE if name.endswith("_eur") else HALF_LIFE
        return float(0.5 ** (self.answers / half_life))

    def expected(self, text_bytes: int, constant_tokens: int) -> Usage:
        """What a request with so much text will use, `constant_tokens` of it whatever the text.

        Input by the line that fits best, leaning on a proportion as long as few answers, or
        answers to texts of one length, say how steep it is; output by the mean and what that may be
        off by.
        """
        size, tokens = self.text_bytes / self.weight, self.prompt_tokens / self.weight
        spread = self.text_bytes_squared - self.weight * size * size
        together = self.text_bytes_by_prompt_tokens - self.weight * size * tokens
        proportion = max(tokens - constant_tokens, 0.0) / size
        prior = _PRIOR * size * size
        steepness = (max(together, 0.0) + prior * proportion) / (max(spread, 0.0) + prior)
        prompt = max(1, math.ceil(tokens + steepness * (text_bytes - size)))
        output = self.completion_tokens / self.weight
        variance = max(self.completion_tokens_squared / self.weight - output * output, 0.0)
        return Usage(
            prompt_tokens=prompt,
            cached_tokens=math.floor(prompt * self.cached_tokens / self.prompt_tokens),
            completion_tokens=math.ceil(output + _DEVIATIONS * math.sqrt(variance / self.weight)),
        )
