"""The figures of each run: an asset a group, materialized by every run of the job."""

from dataclasses import fields
from typing import Any, Final

import dagster as dg

from batch_assets.domain.metrics import GROUPS, figure_types

_TABLES: Final = {"backlog": "`companies` is a table of the 50 companies that are furthest behind."}


def run_metrics() -> list[dg.AssetSpec]:
    """One asset for each group of figures; every run gives all of its keys, zeros too."""
    return [_spec(name, group) for name, group in GROUPS.items()]


def _spec(name: str, group: type[Any]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=name,
        description=_description(name, group),
        group_name="metrics",
        owners=["team:batch-assets"],
        tags={"batch_assets/kind": "metrics"},
        kinds={"postgres"},
        metadata={"dagster/table_name": "batch_assets.run_metric"},
    )


def _description(name: str, group: type[Any]) -> str:
    """What the asset is and what each key means, as Markdown."""
    types = figure_types()
    rows = [f"| `{one.name}` | {types[one.name].meaning}. |" for one in fields(group)]
    sentences = [
        str(group.__doc__),
        _TABLES.get(name, ""),
        "Each run of `batch_processing_job` gives every key, with its unit at the end of its name; "
        "what a run cannot know is left out. The same are columns of `batch_assets.run_metric`.",
    ]
    said = " ".join(filter(None, sentences))
    return "\n".join([said, "", "| key | meaning |", "|---|---|", *rows])
