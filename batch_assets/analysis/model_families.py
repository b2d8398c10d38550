"""Which parameters a model takes: the one table of model families.

A model that is not in the table gets what every current model accepts: no temperature, the
strict schema, and room for reasoning tokens, which a model that does not reason never uses.
"""

import re
from dataclasses import dataclass, replace
from enum import Enum

ANSWER_TOKENS = 1_000
"""The most tokens that an answer itself may take."""


class ResponseFormat(Enum):
    """How an answer's form is asked for; but for a schema, the prompt shows it."""

    STRICT_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    TEXT = "text"
    """Nothing is sent: the model refuses the other two."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What follows from the model's family."""

    temperature: float | None = None
    """`None`: the model refuses the parameter, or may."""
    reasoning_room: int = 8_000
    """Tokens allowed beyond the answer's; what is not used costs nothing."""
    response_format: ResponseFormat = ResponseFormat.STRICT_SCHEMA

    @property
    def max_completion_tokens(self) -> int:
        """The limit to send; the answer is cut off there."""
        return ANSWER_TOKENS + self.reasoning_room


REASONING = Parameters()
ORDINARY = Parameters(temperature=0.1, reasoning_room=0)
WITHOUT_SCHEMA = replace(ORDINARY, response_format=ResponseFormat.JSON_OBJECT)
WITHOUT_JSON = replace(ORDINARY, response_format=ResponseFormat.TEXT)
UNKNOWN = REASONING

_FAMILIES: tuple[tuple[re.Pattern[str], Parameters], ...] = tuple(
    (re.compile(names), parameters)
    for names, parameters in (
        (r"o\d+(-.*)?", REASONING),
        (r"gpt-5([.-].*)?", REASONING),
        (r"gpt-4o(-mini)?-search-.*", UNKNOWN),
        (r"chatgpt-4o-latest", WITHOUT_JSON),
        (r"gpt-4o-2024-05-13", WITHOUT_SCHEMA),
        (r"gpt-4o(-.*)?|gpt-4\.[15](-.*)?", ORDINARY),
        # The JSON mode came with the models of November 2023.
        (
            r"gpt-4-turbo(-.*)?|gpt-4-(1106|0125)-preview|gpt-3\.5-turbo(-1106|-0125)?",
            WITHOUT_SCHEMA,
        ),
        (r"gpt-4(-.*)?|gpt-3\.5(-.*)?", WITHOUT_JSON),
    )
)
"""The first pattern that a whole name fits decides."""


def parameters_of(model: str) -> Parameters:
    """The parameters for a model by its name; a fine-tuned one (`ft:…`) has its base model's."""
    base = model.strip().lower()
    if base.startswith("ft:"):
        base = base.split(":")[1]
    for names, parameters in _FAMILIES:
        if names.fullmatch(base):
            return parameters
    return UNKNOWN
