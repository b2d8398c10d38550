"""How an op shows what its stage did."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from batch_assets.analysis.display import escaped
from batch_assets.domain.batch_lines import HIDDEN, MOST_LINES, BatchLine
from batch_assets.store.strategy import Watch

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MOST_LINKED: Final = 5
_TAG = "batch_assets/"


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


def log_failed_companies(
    context: dg.OpExecutionContext,
    failed: Mapping[str, str],
    names: Mapping[str, str] | None = None,
) -> None:
    """Say for which companies an op could not do its work; it has done it for all the others.

    By their ids, and by their names as far as these are known.
    """
    for company_id, error in list(failed.items())[:MOST_LINES]:
        context.log.error(
            "Company %s%s was left out (%s); the others went on. The next run tries it again: if "
            "it stays so, look at its newest requests.",
            company_id,
            f" ({escaped(names[company_id])})" if names and company_id in names else "",
            error,
        )
    if len(failed) > MOST_LINES:
        context.log.error("And %d more companies.", len(failed) - MOST_LINES)


def metadata_of(report: "DataclassInstance") -> dict[str, Any]:
    """A stage's report as output metadata: one entry a field, those of inner reports included.

    Every field is there on every run, zeros too; a field's name says its unit. A list of records
    becomes a table.
    """
    entries: dict[str, Any] = {}
    for field in fields(report):
        value = getattr(report, field.name)
        if field.metadata == HIDDEN:
            continue
        if is_dataclass(value) and not isinstance(value, type):
            entries |= metadata_of(value)
        elif isinstance(value, Mapping):
            entries[field.name] = dg.MetadataValue.json(dict(value))
        elif isinstance(value, list):
            entries[field.name] = table_of(value)
        else:
            entries[field.name] = value
    return entries


def table_of(records: "Sequence[DataclassInstance]") -> dg.TableMetadataValue:
    """The first `MOST_LINES` records as a table: one column a field, in their order."""
    shown = [
        dg.TableRecord({field.name: _cell(getattr(one, field.name)) for field in fields(one)})
        for one in records[:MOST_LINES]
    ]
    columns = [field.name for field in fields(records[0])] if records else []
    schema = dg.TableSchema(columns=[dg.TableColumn(name) for name in columns])
    return dg.MetadataValue.table(shown, schema=schema)


def named(batches: Sequence[BatchLine], names: Mapping[str, str]) -> list[BatchLine]:
    """The batches with their companies' names, as far as these are known."""
    return [replace(one, company=names.get(one.company, one.company)) for one in batches]


def run_links(name: str, run_ids: Sequence[str]) -> dict[str, dg.DagsterRunMetadataValue]:
    """Links to some runs, each once: `name`, `name_2` and so on."""
    different = [run_id for run_id in dict.fromkeys(run_ids) if run_id][:MOST_LINKED]
    return {
        name if number == 1 else f"{name}_{number}": dg.MetadataValue.dagster_run(run_id)
        for number, run_id in enumerate(different, start=1)
    }


def tag_run(context: dg.OpExecutionContext, tags: Mapping[str, object]) -> None:
    """Let the list of runs say what this one did; true and false as JSON has them."""
    context.instance.add_run_tags(
        context.run_id, {f"{_TAG}{name}": _tag(value) for name, value in tags.items()}
    )


def log_check(context: dg.OpExecutionContext, said: dg.AssetCheckEvaluation) -> None:
    """Let a run say how a check has ended."""
    context.log_event(said)  # type: ignore[arg-type] # Dagster takes it and stores it as a check


def who(context: dg.OpExecutionContext) -> str:
    """Who started this, as far as it is known here: for what is kept of it."""
    return f"run {context.run_id[:8]} of {context.job_name}"


def _tag(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, int | float | bool | None) else escaped(str(value))
