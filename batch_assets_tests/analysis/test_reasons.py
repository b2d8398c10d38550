"""A place in a reason is never a key that a model made up, whatever an answer model allows."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from batch_assets.analysis.answer import problems, reason

CANARY = "canary-7f3a"


class Closed(BaseModel):
    """Fields whose errors Pydantic places at keys of the input, or words with the input."""

    model_config = ConfigDict(extra="forbid")

    counts: dict[str, list[int]] = {}
    mood: str = ""

    @field_validator("mood")
    @classmethod
    def no_mood(cls, mood: str) -> str:
        if mood:
            raise ValueError(f"no such mood: {mood}")
        return mood


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({CANARY: 1}, "answer: not valid (extra_forbidden)"),
        ({"counts": {CANARY: [1, CANARY]}}, "counts[1]: not valid (int_parsing)"),
        ({"mood": CANARY}, "mood: not valid (value_error)"),
        (CANARY, "answer: not a JSON object (model_type)"),
    ],
)
def test_places_are_declared_fields(value: object, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Closed.model_validate(value)
    assert CANARY in str(caught.value), "Pydantic's own message would have told"
    assert problems(caught.value, Closed.model_fields) == [expected]


def test_a_reason_is_short_and_says_each_thing_once() -> None:
    assert reason(["a: missing", "a: missing"]) == "a: missing"
    assert reason([f"{name}: missing" for name in "abcdefg"]) == (
        "a: missing; b: missing; c: missing; d: missing; e: missing; and 2 more"
    )
