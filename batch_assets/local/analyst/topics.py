"""What a conversation is about: its topics, and the category of the strongest of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from tomllib import loads
from typing import Final

from batch_assets.local.analyst.lexicon import Hit

UNRECOGNIZED: Final = "UNRECOGNIZED_OTHER"
_TURN_WEIGHTS: Final = (1.0, 2.5, 1.5)
"""Of the employee's first and second turn, after nothing; later ones weigh 1 again."""
_ASSISTANT_WEIGHT: Final = 0.3
_ENOUGH: Final = 2.0
_NOTEWORTHY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Topic:
    """A subject of conversations. `phrase` continues the sentence "An employee …"."""

    name: str
    category: str
    phrase: str
    question: str | None = None
    """What an employee who comes with it asks, in English."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The category of a conversation, and up to two of its topics, the strongest first."""

    category: str
    topics: tuple[Topic, ...]


@cache
def all_topics() -> dict[str, Topic]:
    """Every topic by the label of its word lists."""
    data = loads((files(__package__) / "topics.toml").read_text(encoding="utf-8"))
    return {f"topics.{name}": Topic(name, **entry) for name, entry in data.items()}


def subject_of(hits_by_turn: Sequence[tuple[bool, Sequence[Hit]]]) -> Subject:
    """Weighs what was found, turn by turn; the flag says whether the employee spoke.

    How an employee begins says most, and what the assistant answers says little, unless nothing
    can be told without it.
    """
    weighed = _strongest(_scores(hits_by_turn, _ASSISTANT_WEIGHT))
    return weighed or _strongest(_scores(hits_by_turn, 1.0)) or Subject(UNRECOGNIZED, ())


def first_topic(turns: Sequence[Sequence[Hit]], category: str) -> Topic | None:
    """With which topic of a category the employee came: that of the first turn that has any.

    Long phrases say most, and each counts once.
    """
    topics = all_topics()
    for hits in turns:
        terms = {hit.term for hit in hits}
        scores: Counter[Topic] = Counter()
        for term in sorted(terms, key=lambda term: (term.label, term.words)):
            topic = topics.get(term.label)
            if topic and topic.category == category:
                scores[topic] += round(term.weight * len(term.words))
        if scores and max(scores.values()) >= _ENOUGH:
            return max(scores, key=lambda topic: scores[topic])
    return None


def _scores(
    hits_by_turn: Sequence[tuple[bool, Sequence[Hit]]], assistant_weight: float
) -> dict[Topic, float]:
    topics = all_topics()
    scores: dict[Topic, float] = defaultdict(float)
    seen: Counter[tuple[str, ...]] = Counter()
    spoken = 0
    for by_employee, hits in hits_by_turn:
        spoken += by_employee
        weight = _TURN_WEIGHTS[spoken] if spoken < len(_TURN_WEIGHTS) else 1.0
        if not by_employee:
            # Who cannot help says what else it could help with, which is not what was asked.
            refused = any(hit.term.label == "outcome.unable" for hit in hits)
            weight = 0.0 if refused else assistant_weight
        for hit in hits:
            topic = topics.get(hit.term.label)
            if topic:
                seen[hit.term.words] += 1
                scores[topic] += weight * hit.term.weight / seen[hit.term.words]
    return scores


def _strongest(scores: dict[Topic, float]) -> Subject | None:
    """`None` where there is too little to tell."""
    totals: dict[str, float] = defaultdict(float)
    for topic, score in scores.items():
        totals[topic.category] += score
    if not totals or max(totals.values()) < _ENOUGH:
        return None
    category = max(totals, key=lambda name: totals[name])
    ranked = sorted(
        ((score, topic) for topic, score in scores.items() if topic.category == category),
        key=lambda pair: -pair[0],
    )
    best = ranked[0][0]
    kept = [topic for score, topic in ranked[:2] if score >= _NOTEWORTHY * best]
    return Subject(category, tuple(kept))
