"""How an op shows what its stage did."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def metadata_of(report: "DataclassInstance") -> dict[str, Any]:
    """A stage's report as output metadata: one entry a field, those of inner reports included.

    Every field is there on every run, zeros too; a field's name says its unit.
    """
    entries: dict[str, Any] = {}
    for field in fields(report):
        value = getattr(report, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            entries |= metadata_of(value)
        elif isinstance(value, Mapping):
            entries[field.name] = dg.MetadataValue.json(dict(value))
        else:
            entries[field.name] = value
    return entries
