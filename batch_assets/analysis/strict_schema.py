"""The JSON schema of an answer model, as OpenAI's strict mode accepts it, and a template of it.

Strict mode wants every property required and nothing beside the declared ones, and it refuses a
number of keywords; which ones depends on the model (fine-tuned models take the fewest). So only
those that every model takes are kept, without the descriptions, which stand in the prompt. What is
left out is checked when the answer is read.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

_KEPT = ("type", "enum", "const", "anyOf", "items")
_REFERENCE = "#/$defs/"


def strict_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A schema without references, to be sent with `"strict": true`."""
    schema = model.model_json_schema()
    return _strict(schema, schema.get("$defs", {}))


def template(strict: Mapping[str, Any]) -> Any:
    """What an answer looks like, for a model that takes no schema: types and choices as texts."""
    if "anyOf" in strict:
        return _either([template(choice) for choice in strict["anyOf"]])
    if "enum" in strict or "const" in strict:
        return _either(strict.get("enum", [strict.get("const")]))
    if "properties" in strict:
        return {name: template(value) for name, value in strict["properties"].items()}
    return [template(strict["items"])] if "items" in strict else strict["type"]


def _either(choices: Iterable[Any]) -> str:
    texts = (choice if isinstance(choice, str) else json.dumps(choice) for choice in choices)
    return "|".join(texts)


def _strict(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        # What stands beside a reference goes before what it names.
        node = {**definitions[node["$ref"].removeprefix(_REFERENCE)], **node}
    strict = {keyword: node[keyword] for keyword in _KEPT if keyword in node}
    if "anyOf" in strict:
        strict["anyOf"] = [_strict(choice, definitions) for choice in strict["anyOf"]]
    if "items" in strict:
        strict["items"] = _strict(strict["items"], definitions)
    if "properties" in node:
        strict["properties"] = {
            name: _strict(value, definitions) for name, value in node["properties"].items()
        }
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    return strict
