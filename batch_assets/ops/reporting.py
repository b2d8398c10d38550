"""How an op shows what its stage did."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from batch_assets.store.strategy import Watch

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def add_metadata(context: dg.OpExecutionContext, entries: Mapping[str, Any], watch: Watch) -> None:
    """Show what an op did, together with what its database operations did since `watch`."""
    queries = watch.report()
    if queries.query_fallbacks:
        redone = [name for name, one in queries.query_operations.items() if one["fallbacks"]]
        context.log.warning(
            "The original did again what failed in the optimized implementation: %s.",
            ", ".join(redone),
        )
    context.add_output_metadata({**entries, **metadata_of(queries)})


def log_failed_companies(context: dg.OpExecutionContext, failed: Mapping[str, str]) -> None:
    """Say for which companies an op could not do its work; it has done it for all the others."""
    for company_id, error in failed.items():
        context.log.error(
            "Company %s was left out (%s); the others went on. The next run tries it again: if it "
            "stays so, look at its newest requests.",
            company_id,
            error,
        )


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
