"""The assets that others make: LiveDash's tables, ours, and what ops report of each run.

Together with the reports they are what the lineage page shows: from LiveDash's conversations to
what is known of their analysis.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import dagster as dg

from batch_assets.domain.metrics import GROUPS, PLOTTED, metric_types

SESSIONS: Final = dg.AssetKey("livedash_sessions")
REQUESTS: Final = dg.AssetKey("livedash_requests")
BATCHES: Final = dg.AssetKey("batches")
ANALYSES: Final = dg.AssetKey("analyses")
QUERY_MEASUREMENTS: Final = dg.AssetKey("query_measurements")
OWNERS: Final = ["team:batch-assets"]

_TABLES: Final = {"backlog": "`companies` is a table of the 50 companies that are furthest behind."}
_MEASURED: Final = {
    "backlog": [REQUESTS, BATCHES],
    "queries": [QUERY_MEASUREMENTS],
    "company_lookup": [],
}
"""What a group of metrics is counted from, where that is not the batches alone."""


def declared_assets() -> list[dg.AssetSpec]:
    """Declare every asset that ops report on, or only move: what is not declared is not shown."""
    return [*_tables(), *(_metrics(*group) for group in GROUPS.items()), _overview()]


def _tables() -> list[dg.AssetSpec]:
    return [
        _table(
            SESSIONS,
            "public.Session",
            "The conversations that LiveDash imports, with their messages.",
            group="livedash",
        ),
        _table(
            REQUESTS,
            "public.AIProcessingRequest",
            "What LiveDash asks to have analysed: a row for each analysis of a conversation, whose "
            "status `batch_processing_job` moves on.",
            deps=[SESSIONS],
            group="livedash",
        ),
        _table(
            BATCHES,
            "batch_assets.batch",
            "The batches that `batch_processing_job` sends, each of requests of one company and "
            "one model, with what became of them and what they cost.",
            deps=[REQUESTS],
        ),
        _table(
            ANALYSES,
            "public.Session",
            "What the answers say of each conversation: sentiment, category, summary, language, "
            "escalation and questions, written into LiveDash's tables by `ingest_results`.",
            deps=[BATCHES],
        ),
        _table(
            QUERY_MEASUREMENTS,
            "batch_assets.operation_run",
            "How long each database operation took in each run, in the original and in the "
            "optimized implementation.",
        ),
    ]


def _table(
    key: dg.AssetKey,
    name: str,
    description: str,
    *,
    deps: Sequence[dg.AssetKey] = (),
    group: str = "batch_processing",
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=key,
        deps=deps,
        description=description,
        group_name=group,
        owners=["team:livedash"] if group == "livedash" else OWNERS,
        tags={"batch_assets/kind": "table"},
        kinds={"postgres", "table"},
        metadata={"dagster/table_name": name},
    )


def _metrics(name: str, group: type[Any]) -> dg.AssetSpec:
    """One asset for a group of metrics; each run gives all of them, zeros too."""
    return dg.AssetSpec(
        key=name,
        deps=_MEASURED.get(name, [BATCHES]),
        description=_description(name, group),
        group_name="metrics",
        owners=OWNERS,
        tags={"batch_assets/kind": "metrics"},
        kinds={"postgres"},
        metadata={"dagster/table_name": "batch_assets.run_metric"},
    )


def _overview() -> dg.AssetSpec:
    return dg.AssetSpec(
        key="overview",
        deps=list(GROUPS),
        description="Whether all is well, and what to do if not; what today and this month have "
        "cost and saved; who waits longest. Each run makes it anew: open its latest "
        "materialization.",
        group_name="metrics",
        owners=OWNERS,
        tags={"batch_assets/kind": "overview"},
        kinds={"markdown"},
    )


def _description(name: str, group: type[Any]) -> str:
    """What the asset is and what each key means, those that are plotted first, as Markdown."""
    types = metric_types()
    keys = [*PLOTTED[name], *(one.name for one in fields(group) if one.name not in PLOTTED[name])]
    rows = [
        f"| `{key}` | {types[key].meaning}{'' if key in PLOTTED[name] else ' (`figures`)'}. |"
        for key in keys
    ]
    sentences = [
        str(group.__doc__),
        _TABLES.get(name, ""),
        "Plotted is what is read over time, with its unit at the end of its name; the other "
        "figures of the latest run are the table `figures`. What a run cannot know is left out. "
        "All are columns of `batch_assets.run_metric`.",
    ]
    said = " ".join(filter(None, sentences))
    return "\n".join([said, "", "| key | meaning |", "|---|---|", *rows])
