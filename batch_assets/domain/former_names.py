"""What was renamed after others had come to go by its name: shown under both for one version.

Plots in Dagster, dashboards and programs go by the keys of metadata, of `--json` and of `export`,
and by the columns of `run_metric`. The changelog lists each. With the version after that this
module goes, and so do the columns.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

V = TypeVar("V")

FORMER_NAMES: Final[Mapping[str, str]] = {
    "behind": "behind_it",
    "chart": "picture",
    "delivered_alerts": "told_alerts",
    "duplicate_cost_eur": "double_cost_eur",
    "external": "foreign",
    "finalized": "settled",
    "finalized_as": "settled_as",
    "finalized_at": "settled_at",
    "finalized_batches": "settled_batches",
    "is_duplicate": "is_double",
    "models_in_cooldown": "resting_models",
    "orphans_deleted": "strays_deleted",
    "pending_alerts": "untold_alerts",
    "requeued_external": "requeued_foreign",
    "schedule_cooldown": "schedule_pause",
    "synchronous": "live",
    "synchronous_batches": "live_batches",
    "synchronous_calls": "live_calls",
    "synchronous_completed": "live_completed",
    "synchronous_cost_eur": "live_cost_eur",
    "synchronous_failed": "live_failed",
    "synchronous_held": "live_held",
    "synchronous_held_because": "live_held_because",
    "synchronous_is_on": "live_is_on",
    "synchronous_requests": "live_requests",
    "synchronous_returned": "live_returned",
    "synchronous_unknown": "live_unknown",
    "violations": "misfits",
}
"""The key that was before, by today's."""


def with_former_names(entries: Mapping[str, V]) -> dict[str, V]:
    """Add each entry that was renamed under its former name, after all others."""
    return {
        **entries,
        **{FORMER_NAMES[key]: entries[key] for key in entries if key in FORMER_NAMES},
    }


def with_former_keys(keys: Iterable[str]) -> list[str]:
    """List the keys of entries that `with_former_names` was given and has added."""
    return list(with_former_names(dict.fromkeys(keys, None)))
