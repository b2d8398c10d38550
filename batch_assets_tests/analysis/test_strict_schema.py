"""Every type's schema obeys OpenAI's strict rules, the narrowest that any model has."""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from batch_assets.analysis.processing_types import TYPES
from batch_assets.analysis.request import strict_schema, template

KEYWORDS_BY_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items"},
    "string": {"enum", "const"},
    "integer": {"enum", "const"},
    "number": {"enum", "const"},
    "boolean": {"const"},
    "null": set(),
}


def violations(node: dict[str, Any], place: str = "$") -> Iterator[str]:
    """What strict mode would refuse, each with its place."""
    if "anyOf" in node:
        yield from (
            f"{place}: {key} beside anyOf" for key in node.keys() - {"anyOf", "description"}
        )
        for position, choice in enumerate(node["anyOf"]):
            yield from violations(choice, f"{place}|{position}")
        return
    kind = node.get("type")
    if kind not in KEYWORDS_BY_TYPE:
        yield f"{place}: type {kind}"
        return
    allowed = KEYWORDS_BY_TYPE[kind] | {"type", "description"}
    yield from (f"{place}: keyword {key}" for key in node.keys() - allowed)
    if kind == "array":
        yield from violations(node.get("items", {}), f"{place}[]")
    if kind == "object":
        yield from object_violations(node, place)


def object_violations(node: dict[str, Any], place: str) -> Iterator[str]:
    properties = node.get("properties", {})
    if not properties:
        yield f"{place}: no properties"
    if node.get("additionalProperties") is not False:
        yield f"{place}: additionalProperties is not false"
    if node.get("required") != list(properties):
        yield f"{place}: not every property is required"
    for name, value in properties.items():
        yield from violations(value, f"{place}.{name}")


class Colour(StrEnum):
    """A docstring that a field's description replaces."""

    RED = "RED"
    BLUE = "BLUE"


class Part(BaseModel):
    """A nested object."""

    name: Annotated[str, Field(min_length=2, max_length=9, pattern="^a", examples=["ab"])] = "ab"
    size: float | None = Field(default=None, gt=0)


class Everything(BaseModel):
    """A model with all that strict mode refuses."""

    type: str
    colour: Colour = Field(default=Colour.RED, description="Its colour.")
    parts: list[Part] = Field(min_length=1, max_length=3)
    link: Annotated[str, Field(json_schema_extra={"format": "uri"})]


@pytest.mark.parametrize("name", TYPES)
def test_every_types_schema_is_strict(name: str) -> None:
    schema = strict_schema(TYPES[name].answer)
    assert list(violations(schema)) == []
    assert schema["type"] == "object"
    assert "description" not in json.dumps(schema), "they stand in the prompt, and are paid once"
    assert len(json.dumps(schema)) < 15_000


def test_what_strict_mode_refuses_is_left_out() -> None:
    refused = list(violations(Everything.model_json_schema()))
    assert len(refused) > 5, "the checker itself must notice a schema that is not strict"
    schema = strict_schema(Everything)
    assert list(violations(schema)) == []
    assert schema["required"] == ["type", "colour", "parts", "link"]
    assert schema["properties"]["colour"] == {
        "type": "string",
        "enum": ["RED", "BLUE"],
    }
    assert schema["properties"]["parts"]["items"]["required"] == ["name", "size"]


def test_a_template_shows_what_a_schema_says() -> None:
    assert template(strict_schema(Everything)) == {
        "type": "string",
        "colour": "RED|BLUE",
        "parts": [{"name": "string", "size": "number|null"}],
        "link": "string",
    }
    choices = {"anyOf": [{"const": 3, "type": "integer"}, {"type": "array", "items": {"enum": []}}]}
    assert template(choices) == '3|[""]'
