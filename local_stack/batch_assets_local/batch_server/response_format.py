"""What `response_format` may be: text, JSON that the messages ask for, or a schema in order."""

import json
import re
from collections.abc import Mapping
from typing import Any

from batch_assets_local.batch_server import strict_schema
from batch_assets_local.batch_server.api_errors import (
    ApiError,
    bad_request,
    invalid_type,
    invalid_value,
    missing_parameter,
)
from batch_assets_local.batch_server.models import Model
from batch_assets_local.batch_server.tokens import count_tokens, message_text

_SCHEMA_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_response_format(
    wanted: Any, model: Model, messages: list[dict[str, Any]]
) -> tuple[dict[str, Any] | None, int]:
    """The format once it is checked, and the tokens that its schema adds to the prompt.

    Raises:
        ApiError: it is none that OpenAI takes.
    """
    if wanted is None:
        return None, 0
    if not isinstance(wanted, dict):
        raise invalid_type("response_format", "an object", wanted)
    kind = wanted.get("type")
    if kind not in {"text", "json_object", "json_schema"}:
        kinds = ("json_object", "json_schema", "text")
        raise invalid_value("response_format.type", str(kind), kinds)
    if kind == "json_object":
        _check_json_mode(model, messages)
    tokens = _check_json_schema(wanted, model) if kind == "json_schema" else 0
    return wanted, tokens


def _check_json_mode(model: Model, messages: list[dict[str, Any]]) -> None:
    if not model.json_mode:
        raise _not_supported("json_object")
    if not any("json" in message_text(message).lower() for message in messages):
        message = (
            "'messages' must contain the word 'json' in some form, "
            "to use 'response_format' of type 'json_object'."
        )
        raise bad_request(message, param="messages")


def _check_json_schema(wanted: Mapping[str, Any], model: Model) -> int:
    """Check a schema; its tokens."""
    if not model.structured:
        raise _not_supported("json_schema")
    described = wanted.get("json_schema")
    if not isinstance(described, dict):
        raise missing_parameter("response_format.json_schema")
    name = described.get("name")
    if name is None:
        raise missing_parameter("response_format.json_schema.name")
    if not isinstance(name, str) or not _SCHEMA_NAME.fullmatch(name):
        message = (
            "Invalid 'response_format.json_schema.name': string does not match pattern. "
            "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise bad_request(message, param="response_format.json_schema.name", code="invalid_value")
    schema = json.dumps(described.get("schema"))
    problem = strict_schema.problem(schema) if described.get("strict") else None
    if problem is not None:
        message = f"Invalid schema for response_format '{name}': {problem}"
        raise bad_request(message, param="response_format")
    return count_tokens(schema)


def _not_supported(kind: str) -> ApiError:
    message = (
        f"Invalid parameter: 'response_format' of type '{kind}' is not supported with this model."
    )
    return bad_request(message, param="response_format")
