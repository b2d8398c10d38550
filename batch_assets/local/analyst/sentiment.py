"""The mood of the employee: words that praise or complain, and the end weighs most."""

from collections.abc import Sequence
from typing import Final

from batch_assets.local.analyst.lexicon import Hit

POSITIVE: Final = "POSITIVE"
NEUTRAL: Final = "NEUTRAL"
NEGATIVE: Final = "NEGATIVE"

_LAST_TURN: Final = 1.0
"""How much more the last turn counts than the first."""
_REACH: Final = 3
"""How many words after a negation it still turns around."""
_PLEASED: Final = 2.5
_DISPLEASED: Final = -2.5
_PRAISE: Final = "tone.positive"
_COMPLAINT: Final = "tone.negative"
_NEGATION: Final = "tone.negators"


def sentiment_of(turns: Sequence[Sequence[Hit]]) -> str:
    """POSITIVE, NEUTRAL or NEGATIVE, from what was found in the employee's turns, in order."""
    last = max(len(turns) - 1, 1)
    total = sum((1 + _LAST_TURN * n / last) * _mood(hits) for n, hits in enumerate(turns))
    if total >= _PLEASED:
        return POSITIVE
    return NEGATIVE if total <= _DISPLEASED else NEUTRAL


def _mood(hits: Sequence[Hit]) -> float:
    """What one turn says: praise adds, a complaint takes away.

    Praise that is negated is a complaint; a complaint that is negated ("no mess") is nothing.
    """
    negations = [hit.position for hit in hits if hit.term.label == _NEGATION]
    mood = 0.0
    for hit in hits:
        negated = any(0 < hit.position - position <= _REACH for position in negations)
        if hit.term.label == _PRAISE:
            mood += -hit.term.weight if negated else hit.term.weight
        elif hit.term.label == _COMPLAINT and not negated:
            mood -= hit.term.weight
    return mood
