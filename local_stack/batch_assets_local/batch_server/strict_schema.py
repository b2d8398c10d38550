"""OpenAI's rules for a strict JSON schema, and the first place where a schema breaks them."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_KEYWORDS = frozenset({
    "$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "definitions",
    "description", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems",
    "maximum", "minItems", "minimum", "multipleOf", "pattern", "properties", "required", "title",
    "type",
})  # fmt: skip
_FORMATS = frozenset({
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid",
})  # fmt: skip
_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_MAX_DEPTH = 10
_MAX_PROPERTIES = 5_000

Path = tuple[str, ...]


class _BrokenRuleError(Exception):
    """A place in the schema and what is wrong there."""


@lru_cache(maxsize=128)
def problem(schema_json: str) -> str | None:
    """What is wrong with a schema, as `In context=(path), reason.`, or None when nothing is.

    Takes the schema as JSON text, so that the same schema in each row is examined once.
    """
    schema = json.loads(schema_json)
    try:
        _check_root(schema)
        nodes = [node for node, _, _ in _walk(schema)]
    except _BrokenRuleError as broken:
        return str(broken)
    properties = sum(len(node.get("properties", {})) for node in nodes)
    if properties > _MAX_PROPERTIES:
        return f"{properties} properties exceed the maximum of {_MAX_PROPERTIES}."
    return None


def _check_root(schema: Any) -> None:
    if not isinstance(schema, dict):
        raise _broken((), "schema must be a JSON Schema object")
    if schema.get("type") != "object" or "anyOf" in schema:
        raise _broken((), "schema must have type 'object' and not have 'anyOf' at the top level")


def _walk(schema: Any) -> Iterator[tuple[dict[str, Any], Path, int]]:
    """Each subschema with its path and its depth in objects and arrays, checked as it is met."""
    waiting: list[tuple[Any, Path, int]] = [(schema, (), 1)]
    while waiting:
        node, path, depth = waiting.pop()
        if not isinstance(node, dict):
            raise _broken(path, "schema must be a JSON Schema object")
        _check_node(schema, node, path)
        if depth > _MAX_DEPTH:
            raise _broken(path, f"{depth} levels of nesting exceed the limit of {_MAX_DEPTH}")
        yield node, path, depth
        waiting.extend(_children(node, path, depth))


def _children(node: dict[str, Any], path: Path, depth: int) -> Iterator[tuple[Any, Path, int]]:
    for keyword in ("$defs", "definitions"):
        for name, child in _mapping(node, keyword, path).items():
            yield child, (*path, keyword, name), 1
    for name, child in _mapping(node, "properties", path).items():
        yield child, (*path, "properties", name), depth + 1
    if "items" in node:
        yield node["items"], (*path, "items"), depth + 1
    for index, child in enumerate(_list(node, "anyOf", path)):
        yield child, (*path, "anyOf", str(index)), depth


def _check_node(root: dict[str, Any], node: dict[str, Any], path: Path) -> None:
    unknown = sorted(node.keys() - _KEYWORDS)
    if unknown:
        raise _broken(path, f"'{unknown[0]}' is not permitted")
    if "$ref" in node:
        _check_reference(root, node, path)
    elif not node.keys() & {"type", "anyOf", "enum", "const"}:
        raise _broken(path, "schema must have a 'type' key")
    types = _types(node)
    if not types <= _TYPES:
        raise _broken(path, "schema has a 'type' that is not supported")
    if "object" in types:
        _check_object(node, path)
    if "array" in types and "items" not in node:
        raise _broken(path, "array schema missing items")
    if node.get("format", "date") not in _FORMATS:
        raise _broken(path, "this 'format' is not supported")


def _check_object(node: dict[str, Any], path: Path) -> None:
    if node.get("additionalProperties") is not False:
        raise _broken(path, "'additionalProperties' is required to be supplied and to be false")
    properties = _mapping(node, "properties", path)
    required = set(_list(node, "required", path))
    missing = next((name for name in properties if name not in required), None)
    if missing is not None:
        raise _broken(
            path,
            "'required' is required to be supplied and to be an array including every key in "
            f"properties. Missing '{missing}'",
        )
    if required - properties.keys():
        raise _broken(path, "'required' names a key that is not in properties")


def _check_reference(root: dict[str, Any], node: dict[str, Any], path: Path) -> None:
    if len(node) > 1:
        raise _broken(path, "$ref cannot have keywords beside it")
    target: Any = root
    reference = str(node["$ref"])
    for part in reference.removeprefix("#").split("/")[1:]:
        target = target.get(part) if isinstance(target, dict) else None
    if not reference.startswith("#") or target is None:
        raise _broken(path, "reference to component was not found in schema")


def _types(node: dict[str, Any]) -> set[Any]:
    types = node.get("type", [])
    return set(types) if isinstance(types, list) else {types}


def _mapping(node: dict[str, Any], keyword: str, path: Path) -> dict[str, Any]:
    value = node.get(keyword, {})
    if not isinstance(value, dict):
        raise _broken(path, f"'{keyword}' must be an object")
    return value


def _list(node: dict[str, Any], keyword: str, path: Path) -> list[Any]:
    value = node.get(keyword, [])
    if not isinstance(value, list):
        raise _broken(path, f"'{keyword}' must be an array")
    return value


def _broken(path: Path, reason: str) -> _BrokenRuleError:
    context = repr(path) if path else "()"
    return _BrokenRuleError(f"In context={context}, {reason}.")
