"""The asset checks: each can be executed in the UI, and jobs evaluate it in their runs."""

from collections.abc import Iterator

import dagster as dg

from batch_assets.domain.alerts.rules import RULES
from batch_assets.ops import conservation as conservation_op
from batch_assets.ops import evaluate_checks as alerts_op
from batch_assets.ops.conservation import ALL_ROWS, ASSET, OPEN_ROWS
from batch_assets.ops.failures import clear_failures
from batch_assets.resources.connections import DatabaseResource, WiringResource
from batch_assets.stages import alerting, conservation
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
    look = conservation.check_open_rows(Conservation(database.engine), run_seconds=0)
    return _result_of(conservation_op.evaluation(OPEN_ROWS, look.misfits, look.numbers))


@dg.asset_check(
    asset=ASSET,
    name=ALL_ROWS,
    description=(
        "Over every row of every company: each is in one bucket, the buckets add up to the rows, "
        "and everything fits that `open_rows_conserved` looks at."
    ),
)
@clear_failures()
def all_rows_conserved(database: DatabaseResource) -> dg.AssetCheckResult:
    """Check conservation over every row; audit_job does."""
    audit = conservation.audit_rows(Conservation(database.engine))
    return _result_of(conservation_op.audit_evaluation(audit))


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
            yield _result_of(alerts_op.evaluation(verdict))


def _result_of(said: dg.AssetCheckEvaluation) -> dg.AssetCheckResult:
    """What an op says of a check, said by the check itself, where that is executed alone."""
    return dg.AssetCheckResult(
        asset_key=said.asset_key,
        check_name=said.check_name,
        passed=said.passed,
        severity=said.severity,
        description=said.description,
        metadata=said.metadata,
    )
