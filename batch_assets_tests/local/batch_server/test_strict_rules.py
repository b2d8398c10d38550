"""OpenAI's rules for strict schemas, and the place that is named when one is broken."""

import json
from enum import Enum
from typing import Any, Literal

import openai
import pytest
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, ConfigDict, Field

from batch_assets_local.batch_server.strict_schema import problem
from batch_assets_tests.local.batch_server.support import Lab


def thing(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    } | more


def nested(depth: int) -> dict[str, Any]:
    return thing({"deeper": nested(depth - 1)} if depth else {})


def test_the_schemas_that_the_sdk_makes_are_accepted() -> None:
    class Colour(Enum):
        RED = "red"
        BLUE = "blue"

    class Part(BaseModel):
        model_config = ConfigDict(extra="forbid")
        colour: Colour = Field(description="what it looks like")
        size: float | None

    class Whole(BaseModel):
        parts: list[Part]
        kind: Literal["a", "b"]
        note: str | None = None

    assert problem(json.dumps(to_strict_json_schema(Whole))) is None


@pytest.mark.parametrize(
    ("schema", "place", "reason"),
    [
        ([], "()", "schema must be a JSON Schema object"),
        ({"type": "array", "items": {"type": "string"}}, "()", "must have type 'object'"),
        (thing({}, anyOf=[]), "()", "not have 'anyOf' at the top level"),
        ({"type": "object", "properties": {}}, "()", "'additionalProperties' is required"),
        (thing({}, additionalProperties=True), "()", "'additionalProperties' is required"),
        (thing({"a": {"type": "string"}}, required=[]), "()", "Missing 'a'"),
        (thing({}, required=["a"]), "()", "names a key that is not in properties"),
        (
            thing({"a": {"type": "object", "properties": {}}}),
            "('properties', 'a')",
            "'additionalProperties' is required",
        ),
        (
            thing({"a": {"type": "array", "items": {"oneOf": []}}}),
            "('properties', 'a', 'items')",
            "'oneOf' is not permitted",
        ),
        (
            thing({"a": {"type": "string", "maxLength": 3}}),
            "('properties', 'a')",
            "'maxLength' is not permitted",
        ),
        (
            thing({"a": {"type": "string", "default": "x"}}),
            "('properties', 'a')",
            "'default' is not permitted",
        ),
        (
            thing({"a": {"anyOf": [{"type": "null"}, {"title": "x"}]}}),
            "('properties', 'a', 'anyOf', '1')",
            "must have a 'type' key",
        ),
        (thing({"a": {"type": "array"}}), "('properties', 'a')", "array schema missing items"),
        (thing({"a": {"type": "text"}}), "('properties', 'a')", "'type' that is not supported"),
        (
            thing({"a": {"type": "string", "format": "colour"}}),
            "('properties', 'a')",
            "'format' is not supported",
        ),
        (
            thing({"a": {"$ref": "#/$defs/missing"}}),
            "('properties', 'a')",
            "reference to component was not found",
        ),
        (
            thing({"a": {"$ref": "#/$defs/b", "description": "x"}}, **{"$defs": {"b": {}}}),
            "('properties', 'a')",
            "$ref cannot have keywords beside it",
        ),
        (
            thing({}, **{"$defs": {"b": {"type": "object"}}}),
            "('$defs', 'b')",
            "'additionalProperties' is required",
        ),
        (nested(11), "('properties', 'deeper'", "exceed the limit of 10"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(schema: Any, place: str, reason: str) -> None:
    found = problem(json.dumps(schema))
    assert found is not None
    assert found.startswith(f"In context={place}")
    assert reason in found


def test_the_limits_of_size() -> None:
    assert problem(json.dumps(nested(9))) is None
    wide = thing({f"p{number}": {"type": "string"} for number in range(5_001)})
    assert "5001 properties" in (problem(json.dumps(wide)) or "")


def test_only_strict_schemas_are_examined(lab: Lab) -> None:
    def ask(*, strict: bool) -> object:
        return lab.client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "hello"}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "loose", "strict": strict, "schema": {"type": "object"}},
            },
        )

    assert ask(strict=False)
    with pytest.raises(openai.BadRequestError) as refused:
        ask(strict=True)
    assert refused.value.param == "response_format"
    assert "Invalid schema for response_format 'loose': In context=()" in refused.value.message
