"""The ops that close a run: they keep its metrics, prove that no request was lost, raise alerts.

They depend on all ops that read, retry or send, and do their work whatever has failed: the last one
fails the run if anything has. Only files are deleted after them.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from batch_assets.domain.alerts.records import CheckOutcome, Severity
from batch_assets.domain.allowances import uses
from batch_assets.domain.display import waits
from batch_assets.domain.metrics import PLOTTED
from batch_assets.domain.report_data import CompanyBacklog
from batch_assets.ops import sentences
from batch_assets.ops.check_results import (
    ALL_ROWS,
    ASSET,
    OPEN_ROWS,
    alert_evaluation,
    conservation_evaluation,
)
from batch_assets.ops.failures import attempt, fail_run
from batch_assets.ops.handing_on import SUMMARY, Evaluated, Value, carry_on
from batch_assets.ops.overview import OVERVIEW, Overview
from batch_assets.ops.reporting import log_of, materialize, plotted, show, table_of, tag_run
from batch_assets.resources.connections import DatabaseResource, WiringResource
from batch_assets.resources.pipeline import PipelineResource, StageRun
from batch_assets.settings import Settings
from batch_assets.stages import alerting, metrics
from batch_assets.stages.run_state import RunState, RunSummary
from batch_assets.store.alerts import Alerts
from batch_assets.store.conservation import Conservation
from batch_assets.store.metrics import Metrics

_NAMED: Final = 3
"""So many companies that are behind are named in the overview."""

_EVALUATED_ELSEWHERE: Final = (OPEN_ROWS, ALL_ROWS)

_COMPANIES = dg.TableSchema(
    columns=[
        dg.TableColumn("company"),
        dg.TableColumn("oldest_wait_seconds", "int"),
        dg.TableColumn("waiting_requests", "int"),
        dg.TableColumn("requests_in_batches", "int"),
        dg.TableColumn("retry_requests", "int"),
        dg.TableColumn("dead_letters", "int"),
        dg.TableColumn("day_cost_eur", "float", description="Since midnight UTC."),
        dg.TableColumn("company_id"),
    ]
)


@dg.op(out=SUMMARY)
def record_metrics(
    context: dg.OpExecutionContext,
    stages: list[Value],
    database: DatabaseResource,
    pipeline: PipelineResource,
) -> Evaluated:
    """Keep what the run did and how things stand after it: a row in `run_metric`, seven assets.

    Also after stages that have failed: they have handed on what they had done by then.
    """
    run = RunState.of_values(stages, pipeline.run_id)

    def work(stage: StageRun) -> Iterable[dg.AssetCheckEvaluation]:
        # Without the pipeline itself: a run whose key can be none is kept like any other.
        end = metrics.record_metrics(
            Metrics(database.engine),
            run,
            run_id=pipeline.run_id,
            mode=pipeline.query_mode,
            account=pipeline.account,
            account_name=pipeline.account_name,
            is_alone=len(pipeline.account_names) == 1,
        )
        allowances = uses(pipeline.policy, end.in_use, end.metrics.recorded_at)
        for name, group in end.metrics.groups():
            entries = plotted(group, PLOTTED[name])
            if name == "backlog":
                entries["companies"] = companies_table(end.companies)
            if name == "reliability":
                entries["allowances"] = table_of(allowances)
            materialize(context, name, entries)
        for one in allowances:
            if one.holds:
                log_of(context).info(one.sentence)
        stage.behind = [
            waits(one.company, one.waiting_requests, one.oldest_wait_seconds)
            for one in end.companies[:_NAMED]
            if one.waiting_requests
        ]
        return ()

    yield from carry_on(context, pipeline, run.summary(), work)


@dg.op(out=SUMMARY)
def check_row_conservation(
    context: dg.OpExecutionContext,
    recorded: Value,
    database: DatabaseResource,
    pipeline: PipelineResource,
) -> Evaluated:
    """Look whether each open request, and each that the run has moved, is in exactly one bucket.

    It also says what all ops before it have done, and tags the run with what moved.
    """
    run = RunSummary.of_value(recorded)

    def work(stage: StageRun) -> Iterator[dg.AssetCheckEvaluation]:
        look = Conservation(database.engine).open_rows(run.look_back_seconds)
        yield conservation_evaluation(OPEN_ROWS, look.violations, look.numbers)
        log_of(context).info(sentences.of_conservation(look.violations, look.numbers))
        # Statements are those on LiveDash's database.
        statements = run.statements + stage.statements
        did = {"mode": pipeline.query_mode, "companies": run.companies, "statements": statements}
        show(context, {**look.numbers, **did})
        tag_run(context, {"requests": run.requests, "results": run.results})

    yield from carry_on(context, pipeline, run, work)


@dg.op(out=dg.Out(int, description="How many alerts are raised."))
def evaluate_checks(
    context: dg.OpExecutionContext,
    conserved: Value,
    database: DatabaseResource,
    wiring: WiringResource,
) -> Iterator[dg.AssetCheckEvaluation | dg.Output[int]]:
    """Judge the metrics of the recent runs, and deliver what has changed to each receiver.

    Then the overview is made anew.

    It closes the run: it fails if any op before it has failed, with the sentences of all that have.
    It has told what it did before that.
    """
    evaluated: list[dg.AssetCheckEvaluation] = []

    run = RunSummary.of_value(conserved)

    def work() -> None:
        report = _judged(context, database, wiring.settings, run)
        # Each run has made the assets anew, and a check that was not evaluated since is open.
        evaluated.extend(map(alert_evaluation, report.verdicts))
        seen = Overview(
            failures=run.failures,
            verdicts=report.verdicts,
            behind=run.behind,
            days=report.days,
            hold=wiring.endpoints.profile.no_batches or run.hold,
            is_scheduled=wiring.settings.schedules_enabled,
            today=datetime.now(UTC).date(),
            run_id=context.run_id,
            ui_url=(wiring.settings.ui_url or "").rstrip("/"),
        )
        materialize(context, OVERVIEW, seen.entries())

    failures = dict(run.failures)
    failure = attempt(context, work)
    yield from evaluated
    yield dg.Output(sum(not one.passed for one in evaluated))
    if failure:
        failures[context.op.name] = failure
    if failures:
        fail_run(failures)


def companies_table(companies: Iterable[CompanyBacklog]) -> dg.TableMetadataValue:
    """The companies that are furthest behind, as a table that the Catalog shows."""
    records = [
        dg.TableRecord(
            {
                "company": one.company,
                "oldest_wait_seconds": round(one.oldest_wait_seconds),
                "waiting_requests": one.waiting_requests,
                "requests_in_batches": one.requests_in_batches,
                "retry_requests": one.retry_requests,
                "dead_letters": one.dead_letters,
                "day_cost_eur": round(one.day_cost_eur, 6),
                "company_id": one.company_id,
            }
        )
        for one in companies
    ]
    return dg.MetadataValue.table(records, schema=_COMPANIES)


def _judged(
    context: dg.OpExecutionContext,
    database: DatabaseResource,
    settings: Settings,
    run: RunSummary,
) -> alerting.AlertReport:
    """What was judged of each alert, after what has changed was delivered."""
    report = alerting.evaluate(
        Alerts(database.engine),
        settings.alert_limits(),
        outcomes=_outcomes(context.instance),
        held=run.held,
        account_refused=run.account_refused,
        audience=_audience(settings, context.run_id),
    )
    _log(context, report)
    raised = [verdict.name for verdict in report.verdicts if verdict.is_raised]
    show(
        context,
        {
            "raised": ", ".join(raised) or "none",
            "changed_alerts": len(report.changed),
            "delivered_alerts": report.delivered,
            "pending_alerts": report.pending,
        },
    )
    return report


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
