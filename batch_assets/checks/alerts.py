"""The checks of the figures that runs record. Each run of batch_processing_job evaluates them."""

from collections.abc import Iterator

import dagster as dg

from batch_assets.checks.results import result_of
from batch_assets.domain.alerts.rules import RULES
from batch_assets.ops.evaluate_checks import evaluation
from batch_assets.ops.failures import clear_failures
from batch_assets.resources.database import DatabaseResource
from batch_assets.resources.wiring import WiringResource
from batch_assets.stages import alerting
from batch_assets.store.alerts import Alerts


@dg.multi_asset_check(
    name="alerts",
    description="Judges the figures of the recent runs again. It tells nobody.",
    specs=[
        dg.AssetCheckSpec(name, asset=rule.asset, description=rule.description)
        for name, rule in RULES.items()
    ],
    can_subset=True,
)
def alerts(
    context: dg.AssetCheckExecutionContext,
    database: dg.ResourceParam[DatabaseResource],
    wiring: dg.ResourceParam[WiringResource],
) -> Iterator[dg.AssetCheckResult]:
    """One look at the last day's figures for all checks that are asked for."""
    asked = {key.name for key in context.selected_asset_check_keys}
    with clear_failures():
        verdicts = alerting.look(Alerts(database.engine), wiring.settings.alert_limits())
    for verdict in verdicts:
        if verdict.name in asked:
            yield result_of(evaluation(verdict))
