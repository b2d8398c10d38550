"""Fits an analysis into a JSON schema: what it knows by name, the least valid value otherwise."""

from collections.abc import Callable, Mapping
from typing import Any, Final

_DEPTH: Final = 12
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}

Schema = Mapping[str, Any]


class SchemaFitter:
    """Builds values for one schema. Knows `$ref` into its own `$defs`, `anyOf`, enums, limits."""

    def __init__(self, root: Schema, known: Mapping[str, Any]) -> None:
        self._root = root
        self._known = known

    def build(self) -> Any:
        """A value for the whole schema.

        Raises:
            ValueError: it refers to itself.
        """
        return self._value(self._root, _DEPTH)

    def _value(self, schema: Schema, depth: int) -> Any:
        if depth == 0:
            raise ValueError("This schema refers to itself, which the local server cannot answer.")
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return self._value(schema["anyOf"][0], depth - 1)
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        kind = _kinds(schema)[0]
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array" and schema.get("minItems"):
            return [self._value(schema.get("items", {}), depth - 1)] * schema["minItems"]
        return _LEAST[kind](schema)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        values = {}
        for name, wanted in schema.get("properties", {}).items():
            fitted = self._fit(self._known[name], wanted) if name in self._known else None
            values[name] = self._value(wanted, depth - 1) if fitted is None else fitted
        return values

    def _fit(self, value: Any, schema: Schema) -> Any:
        """`value`, shortened to the schema's limits, or `None` if it does not fit at all."""
        schema = self._resolved(schema)
        if "anyOf" in schema:
            fitted = (self._fit(value, each) for each in schema["anyOf"])
            return next((each for each in fitted if each is not None), None)
        if "enum" in schema or "const" in schema:
            return value if value in schema.get("enum", [schema.get("const")]) else None
        if not any(_is_kind(value, kind) for kind in _kinds(schema)):
            return None
        if isinstance(value, list):
            return self._fit_list(value, schema)
        return _fit_text(value, schema) if isinstance(value, str) else value

    def _fit_list(self, values: list[Any], schema: Schema) -> list[Any] | None:
        fitted = [self._fit(value, schema.get("items", {})) for value in values]
        kept = [value for value in fitted if value is not None][: schema.get("maxItems")]
        return kept if len(kept) >= schema.get("minItems", 0) else None

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            target: Any = self._root
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        return schema


def _kinds(schema: Schema) -> list[str]:
    """The types that a schema allows; one that names none describes an object or any text."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return [kind] if isinstance(kind, str) else list(kind)


def _is_kind(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _fit_text(text: str, schema: Schema) -> str | None:
    longest = schema.get("maxLength", len(text))
    return text[:longest] if len(text) >= schema.get("minLength", 0) else None


def _least_text(schema: Schema) -> str:
    return "none".ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _least_number(schema: Schema) -> Any:
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1
    least = max(0, schema.get("minimum", 0))
    return min(least, schema.get("maximum", least))


_LEAST: Final[Mapping[str, Callable[[Schema], Any]]] = {
    "string": _least_text,
    "integer": _least_number,
    "number": _least_number,
    "boolean": lambda _: False,
    "array": lambda _: [],
    "null": lambda _: None,
}
