"""The asset checks that runs of the main job evaluate, and that the UI can execute alone."""

from collections.abc import Iterator

import dagster as dg

from batch_assets.domain.alerts.rules import RULES
from batch_assets.ops.check_results import (
    ASSET,
    OPEN_ROWS,
    alert_evaluation,
    conservation_evaluation,
)
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import checked
from batch_assets.resources.connections import DatabaseResource, WiringResource
from batch_assets.stages import alerting
from batch_assets.store.alerts import Alerts
from batch_assets.store.conservation import Conservation


@dg.asset_check(
    asset=ASSET,
    name=OPEN_ROWS,
    description=(
        "Over what is open and what the run has moved: rows in a batch and attempts without an "
        "outcome are the same, failed rows have an entry, and batches' counters add up."
    ),
)
@clear_failures()
def open_rows_conserved(database: DatabaseResource) -> dg.AssetCheckResult:
    """Check conservation over what is open; each run of batch_processing_job ends with it."""
    look = Conservation(database.engine).open_rows(finished_within_seconds=0)
    return checked(conservation_evaluation(OPEN_ROWS, look.violations, look.numbers))


@dg.multi_asset_check(
    name="alerts",
    description="Judges the metrics of the recent runs again. It tells nobody.",
    specs=[
        dg.AssetCheckSpec(name, asset=rule.asset, description=rule.description)
        for name, rule in RULES.items()
    ],
    can_subset=True,
)
def alerts(
    context: dg.AssetCheckExecutionContext,
    database: DatabaseResource,
    wiring: WiringResource,
) -> Iterator[dg.AssetCheckResult]:
    """Judge the last day's metrics once, for all checks that are selected."""
    asked = {key.name for key in context.selected_asset_check_keys}
    with clear_failures():
        verdicts = alerting.look(Alerts(database.engine), wiring.settings.alert_limits())
    for verdict in verdicts:
        if verdict.name in asked:
            yield checked(alert_evaluation(verdict))
