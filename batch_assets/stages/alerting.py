"""Alerts: judged at the end of each run, kept when they change, and told of once.

A change is committed before it is told of, and claimed by the run that tells. If telling fails, or
the run is killed meanwhile, a later run tells of it with the same event id: at least once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from batch_assets.domain.alerts.records import (
    AlertState,
    Change,
    CheckOutcome,
    Limits,
    Recent,
    Verdict,
)
from batch_assets.domain.alerts.rules import blame, changes, judge, judge_outcome
from batch_assets.store.alerts import Alerts
from batch_assets.webhook.body import Sender, body_of
from batch_assets.webhook.client import Webhook, WebhookError


@dataclass(frozen=True, slots=True)
class Receiver:
    """Whom changes are told, and from which run."""

    webhook: Webhook
    run_id: str
    ui_url: str | None = None


@dataclass(frozen=True, slots=True)
class AlertReport:
    """What was judged, and what came of it."""

    verdicts: Sequence[Verdict]
    """Every alert but those that are evaluated elsewhere."""
    changed: Sequence[Change] = ()
    told: int = 0
    """Changes that were delivered, earlier ones included."""
    untold: int = 0
    """Changes that were not: a later run tries again."""
    failure: str | None = None
    """Why they were not."""


def look(alerts: Alerts, limits: Limits) -> list[Verdict]:
    """Every alert as it is now; changes nothing, and is one statement, or two if one is raised."""
    return _look(alerts, limits)[1]


def evaluate(
    alerts: Alerts,
    limits: Limits,
    *,
    outcomes: Sequence[CheckOutcome] = (),
    receiver: Receiver | None = None,
) -> AlertReport:
    """Judge, keep what has changed, and tell of what nobody has been told yet.

    `outcomes` are checks that were evaluated elsewhere. One statement if nothing is raised or
    has changed; one more if something is raised, one if something changes, two for telling.
    """
    recent, verdicts = _look(alerts, limits)
    every = [*verdicts, *map(judge_outcome, outcomes)]
    changed = changes(every, recent.states)
    if changed:
        alerts.change(changed, recent.judged_at)
    report = AlertReport(verdicts, changed)
    is_any_untold = any(state.is_untold for state in recent.states.values())
    if receiver is None or not (changed or is_any_untold):
        return report
    return _told(alerts, receiver, recent, every, report)


def _look(alerts: Alerts, limits: Limits) -> tuple[Recent, list[Verdict]]:
    window_seconds = limits.window_minutes * 60
    recent = alerts.recent(window_seconds)
    verdicts = judge(recent, limits)
    raised = [verdict.name for verdict in verdicts if verdict.is_raised]
    if not raised:
        return recent, verdicts
    return recent, blame(verdicts, alerts.behind(raised, window_seconds))


def _told(
    alerts: Alerts,
    receiver: Receiver,
    recent: Recent,
    verdicts: Sequence[Verdict],
    report: AlertReport,
) -> AlertReport:
    sender = Sender(recent.installation_id, recent.database, receiver.run_id, receiver.ui_url)
    claimed = alerts.claim_untold()
    if not claimed:
        return report
    told: list[AlertState] = []
    failure = None
    for state in claimed:
        try:
            receiver.webhook.post(_body(state, verdicts, sender))
        except WebhookError as error:
            # The others would take as long to fail.
            failure = str(error)
            break
        told.append(state)
    untold = claimed[len(told) :]
    alerts.record_told(told, untold)
    return replace(report, told=len(told), untold=len(untold), failure=failure)


def _body(state: AlertState, verdicts: Sequence[Verdict], sender: Sender) -> dict[str, object]:
    """What is told of a change: what to do is said as long as it is raised."""
    now = [one for one in verdicts if one.name == state.name and one.is_raised and state.is_raised]
    what_to_do, behind = (now[0].advice, now[0].faults) if now else ("", ())
    return body_of(state, what_to_do=what_to_do, behind=behind, sender=sender)
