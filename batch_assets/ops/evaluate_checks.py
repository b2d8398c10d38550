"""The op that raises alerts, and how it reports them."""

from typing import Final

import dagster as dg

from batch_assets.domain.alerts.records import CheckOutcome, Number, Severity, Verdict
from batch_assets.domain.alerts.rules import RULES
from batch_assets.ops.conservation import ALL_ROWS, ASSET, OPEN_ROWS
from batch_assets.ops.failures import attempt, fail_run
from batch_assets.ops.handing_on import Value
from batch_assets.ops.reporting import evaluation_of, log_check, log_of, show
from batch_assets.resources.connections import DatabaseResource, WiringResource
from batch_assets.settings import Settings
from batch_assets.stages import alerting
from batch_assets.stages.run_state import RunSummary
from batch_assets.store.alerts import Alerts

_EVALUATED_ELSEWHERE: Final = (OPEN_ROWS, ALL_ROWS)


@dg.op(out=dg.Out(int, description="How many alerts are raised."))
def evaluate_checks(
    context: dg.OpExecutionContext,
    conserved: Value,
    database: DatabaseResource,
    wiring: WiringResource,
) -> int:
    """Judge the metrics of the recent runs, and deliver what has changed to each receiver.

    As the last op of the run it fails if any op has failed, with the sentences of all that have.
    """
    raised: list[str] = []

    def work() -> None:
        raised.extend(_evaluated(context, database, wiring.settings))

    failures = dict(RunSummary.of_value(conserved).failures)
    failure = attempt(context, work)
    if failure:
        failures[context.op.name] = failure
    if failures:
        fail_run(failures)
    return len(raised)


def _evaluated(
    context: dg.OpExecutionContext, database: DatabaseResource, settings: Settings
) -> list[str]:
    """Which alerts are raised, after what has changed was delivered."""
    report = alerting.evaluate(
        Alerts(database.engine),
        settings.alert_limits(),
        outcomes=_outcomes(context.instance),
        audience=_audience(settings, context.run_id),
    )
    # Each run has made the assets anew, and a check that was not evaluated since counts as open.
    for verdict in report.verdicts:
        log_check(context, evaluation(verdict))
    _log(context, report)
    raised = [verdict.name for verdict in report.verdicts if verdict.is_raised]
    show(
        context,
        {
            "raised": ", ".join(raised) or "none",
            "changed_alerts": len(report.changed),
            "told_alerts": report.delivered,
            "untold_alerts": report.pending,
        },
    )
    return raised


def _log(context: dg.OpExecutionContext, report: alerting.AlertReport) -> None:
    """Say what has changed, and what was not delivered."""
    for change in report.changed:
        if change.is_raised:
            log_of(context).warning("%s is raised: %s", change.name, change.summary)
        else:
            log_of(context).info("%s is resolved: %s", change.name, change.summary)
    for delivery in report.deliveries:
        if delivery.pending:
            log_of(context).warning(
                "%d alerts could not be delivered to the receiver %s (%s): the next run tries "
                "again.",
                delivery.pending,
                delivery.receiver,
                delivery.failure,
            )
        if delivery.refused:
            log_of(context).warning(
                "%d alerts were refused by the receiver %s (%s). They are not sent again before "
                "its settings are changed.",
                delivery.refused,
                delivery.receiver,
                delivery.refusal,
            )


def evaluation(verdict: Verdict) -> dg.AssetCheckEvaluation:
    """What a check says: whether it passes, why, and what to do. Every number is always there."""
    return evaluation_of(
        dg.AssetCheckKey(dg.AssetKey(RULES[verdict.name].asset), verdict.name),
        passed=not verdict.is_raised,
        severity=dg.AssetCheckSeverity(verdict.severity),
        description=verdict.summary,
        entries={
            **{name: _rounded(number) for name, number in verdict.numbers.items()},
            "what_to_do": verdict.advice or "Nothing.",
            "behind_it": " ".join(verdict.faults)
            or ("Not known." if verdict.is_raised else "Nothing."),
        },
    )


def _rounded(number: Number) -> Number:
    return round(number, 3) if isinstance(number, float) else number


def _outcomes(instance: dg.DagsterInstance) -> list[CheckOutcome]:
    """How the checks of row conservation have ended the last time that they were evaluated."""
    outcomes = []
    for name in _EVALUATED_ELSEWHERE:
        key = dg.AssetCheckKey(ASSET, name)
        # The way to the latest one alone reads the whole history of the check.
        for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=1):
            said = record.evaluation
            if isinstance(said, dg.AssetCheckEvaluation):
                severity, description = Severity(said.severity.value), said.description or ""
                outcomes.append(CheckOutcome(name, said.passed, severity, description))
    return outcomes


def _audience(settings: Settings, run_id: str) -> alerting.Audience | None:
    """The receivers that are configured, if any is."""
    receivers = settings.receivers()
    return alerting.Audience(receivers, run_id, settings.ui_url) if receivers else None
