"""What a processing type declares."""

import re
from dataclasses import dataclass, fields
from typing import Any

from pydantic import BaseModel, ConfigDict

from batch_assets.domain.records import Findings

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FINDINGS = frozenset(field.name for field in fields(Findings))


class Answer(BaseModel):
    """The base of every answer model: a field beyond the declared ones is ignored."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class ProcessingType:
    """One thing that can be asked about a conversation; a module declares it as `TYPE`."""

    name: str
    """The value of `"AIProcessingRequest"."processingType"`."""
    answer: type[Answer]
    """Its fields' descriptions are lines of the prompt; a name that says all needs none."""
    writes: tuple[str, ...]
    """The answer's fields that are stored; each is a field of `Findings` of the same name."""
    expected_tokens: int
    """Tokens of a usual answer, for estimates of the cost before it is sent."""
    prompt: str = "Analyse this HR chat"
    """What to do, without a full stop; that the conversation is data is said for all types."""

    formerly: frozenset[str] = frozenset()
    """All fields that the version before asked for, where these were fewer: an answer that has just
    them, of a batch that was sent then, was paid for and is taken as it is."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a processing type: {_NAME.pattern}")
        nowhere = set(self.writes) - (_FINDINGS & self.answer.model_fields.keys())
        if nowhere or not self.writes:
            raise ValueError(
                f"{self.name}: `writes` must name fields that its answer model and Findings "
                f"share; these are not: {', '.join(sorted(nowhere)) or '(none named)'}"
            )

    @property
    def meanings(self) -> list[str]:
        """What each field means that its name does not tell, a line a field, for the prompt."""
        return [
            f"{name}: {field.description}"
            for name, field in self.answer.model_fields.items()
            if field.description
        ]

    def written(self, answer: Answer) -> dict[str, Any]:
        """The stored fields that the model gave, as keyword arguments for `Findings`."""
        values = answer.model_dump(mode="json", include=set(self.writes), exclude_unset=True)
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
