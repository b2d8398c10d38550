"""How an op shows what its stage did: the one way to Dagster's log, events, metadata and tags.

What is shown is text: company names and server codes are escaped here, whoever they come from.
Dagster's UI renders as Markdown what a check says of itself, and no other text of ours; so that is
made of our own words and of numbers, and whose names there are stands in the metadata beside it.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from batch_assets.domain.display import escaped
from batch_assets.domain.former_names import with_former_names
from batch_assets.domain.logs import guarded
from batch_assets.domain.lookups import HIDDEN, MOST_LISTED, BatchSummary
from batch_assets.store.strategy import Watch

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MOST_LINKED: Final = 5
_FIGURES: Final = dg.TableSchema(
    columns=[dg.TableColumn("figure"), dg.TableColumn("value", "float")]
)
_TAG = "batch_assets/"


def log_of(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> logging.Logger:
    """An op's log, whose records are one line each; no op uses another."""
    return guarded(context.log)


def show(context: dg.OpExecutionContext, entries: Mapping[str, Any]) -> None:
    """Show what an op did, as its output's metadata."""
    context.add_output_metadata(shown(entries))


def add_metadata(context: dg.OpExecutionContext, entries: Mapping[str, Any], watch: Watch) -> None:
    """Show what an op did, together with what its database operations did since `watch`."""
    show(context, {**entries, **queries_since(context, watch)})


def queries_since(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, watch: Watch
) -> dict[str, Any]:
    """What the database operations did since `watch`, as metadata; a fallback is warned of."""
    queries = watch.report()
    if queries.query_fallbacks:
        redone = [name for name, one in queries.query_operations.items() if one["fallbacks"]]
        log_of(context).warning(
            "The original did again what failed in the optimized implementation: %s.",
            ", ".join(redone),
        )
    return metadata_of(queries)


def log_failed_companies(
    context: dg.OpExecutionContext,
    failed: Mapping[str, str],
    names: Mapping[str, str] | None = None,
) -> None:
    """Say for which companies an op could not do its work; it has done it for all the others.

    By their ids, and by their names as far as these are known.
    """
    for company_id, error in list(failed.items())[:MOST_LISTED]:
        log_of(context).error(
            "Company %s%s was left out (%s); the others went on. The next run tries it again: if "
            "it stays so, look at its newest requests.",
            company_id,
            f" ({names[company_id]})" if names and company_id in names else "",
            error,
        )
    if len(failed) > MOST_LISTED:
        log_of(context).error("And %d more companies.", len(failed) - MOST_LISTED)


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
    """The first `MOST_LISTED` records as a table: one column a field, in their order."""
    shown = [
        dg.TableRecord({field.name: _cell(getattr(one, field.name)) for field in fields(one)})
        for one in records[:MOST_LISTED]
    ]
    columns = [field.name for field in fields(records[0])] if records else []
    schema = dg.TableSchema(columns=[dg.TableColumn(name) for name in columns])
    return dg.MetadataValue.table(shown, schema=schema)


def plotted(entries: Mapping[str, Any], plots: Collection[str]) -> dict[str, Any]:
    """Entries of an asset or a check, of whose numbers Dagster draws those named in `plots`.

    It draws each number that is an entry over time, so that the others are a table, `figures`.
    What is not known is left out, which makes a gap in its plot.
    """
    known = {name: entry for name, entry in entries.items() if entry is not None}
    figures = {
        name: entry
        for name, entry in known.items()
        if isinstance(entry, int | float) and name not in plots
    }
    records = [dg.TableRecord({"figure": name, "value": one}) for name, one in figures.items()]
    return {
        **{name: entry for name, entry in known.items() if name not in figures},
        "figures": dg.MetadataValue.table(records, schema=_FIGURES),
    }


def named(batches: Sequence[BatchSummary], names: Mapping[str, str]) -> list[BatchSummary]:
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
        context.run_id, {f"{_TAG}{name}": escaped(_tag(value)) for name, value in tags.items()}
    )


def materialize(
    context: dg.OpExecutionContext, key: dg.AssetKey | str, entries: Mapping[str, Any]
) -> None:
    """Let the Catalog and the plots of an asset show metrics."""
    context.log_event(dg.AssetMaterialization(key, metadata=shown(entries)))


def materialized(key: dg.AssetKey, entries: Mapping[str, Any]) -> dg.MaterializeResult[None]:
    """Make the result of an asset that was materialized, which its page and plots show."""
    return dg.MaterializeResult(asset_key=key, metadata=shown(entries))


def evaluation_of(
    check: dg.AssetCheckKey,
    *,
    passed: bool,
    severity: dg.AssetCheckSeverity,
    description: str,
    entries: Mapping[str, Any],
) -> dg.AssetCheckEvaluation:
    """What a check says. The description is Markdown to the UI: no name of others is in it."""
    return dg.AssetCheckEvaluation(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=passed,
        severity=severity,
        description=escaped(description),
        metadata=shown(entries),
    )


def checked(said: dg.AssetCheckEvaluation) -> dg.AssetCheckResult:
    """Make the result of a check that was executed, of what an op would say of it."""
    return dg.AssetCheckResult(
        asset_key=said.asset_key,
        check_name=said.check_name,
        passed=said.passed,
        severity=said.severity,
        description=said.description,
        metadata=said.metadata,
    )


def who(context: dg.OpExecutionContext) -> str:
    """Who started this, as far as it is known here: for what is kept of it."""
    return f"run {context.run_id[:8]} of {context.job_name}"


def shown(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata in which every text, in cells and documents too, is one line that steers nothing.

    What was renamed is there under its former name, too.
    """
    return with_former_names({name: _shown(value) for name, value in entries.items()})


def _shown(value: Any) -> Any:
    if isinstance(value, dg.JsonMetadataValue):
        return dg.MetadataValue.json(_shown(value.data))
    if isinstance(value, dg.TableMetadataValue):
        records = [dg.TableRecord(_shown(dict(record.data))) for record in value.records]
        return dg.MetadataValue.table(records, schema=value.schema)
    if isinstance(value, dict):
        return {_shown(key): _shown(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return escaped(value) if isinstance(value, str) else value


def _tag(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, int | float | bool | None) else str(value)
