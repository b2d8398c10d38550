"""Alerts: judged at the end of each run, kept when they change, and delivered to each receiver.

A change is committed before it is delivered, and claimed by the run that delivers it. If a delivery
fails, or the run is killed meanwhile, a later run repeats it with the same event id: at least once.
Each receiver has its own deliveries: what one of them did not take keeps nothing from the others.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from batch_assets.domain.alerts.advice import BUDGETS
from batch_assets.domain.alerts.budgets import faults_of, judge_budgets
from batch_assets.domain.alerts.records import (
    AlertState,
    Change,
    CheckOutcome,
    Limits,
    Outcome,
    Recent,
    Verdict,
)
from batch_assets.domain.alerts.rules import blame, changes, judge, judge_outcome
from batch_assets.domain.report_data import PeriodMoney
from batch_assets.receivers.receiver import (
    DeliveryError,
    Notification,
    Receiver,
    RefusedError,
    Sender,
    notification_of,
)
from batch_assets.store.alerts import Alerts


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom changes are delivered to, and from which run."""

    receivers: Sequence[Receiver]
    run_id: str
    ui_url: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the changes that one receiver was to be handed, earlier ones included."""

    receiver: str
    delivered: int = 0
    pending: int = 0
    """A later run tries again."""
    failure: str | None = None
    """Why these are."""
    refused: int = 0
    """Not tried again before its settings are others."""
    refusal: str | None = None
    """Why these were."""


@dataclass(frozen=True, slots=True)
class AlertReport:
    """What was judged, and what came of it."""

    verdicts: Sequence[Verdict]
    """Every alert but those that are evaluated elsewhere."""
    changed: Sequence[Change] = ()
    deliveries: Sequence[Delivery] = ()
    """One for each receiver that something was pending for."""
    days: Mapping[date, PeriodMoney] = field(default_factory=dict)
    """What was sent on each day of this month (UTC) has cost."""

    @property
    def delivered(self) -> int:
        """How many changes were delivered, over all receivers."""
        return sum(delivery.delivered for delivery in self.deliveries)

    @property
    def pending(self) -> int:
        """How many changes are pending, over all receivers."""
        return sum(delivery.pending for delivery in self.deliveries)


def look(alerts: Alerts, limits: Limits) -> list[Verdict]:
    """Judge every alert and change nothing, in one statement, or two if one is raised."""
    return _look(alerts, limits)[1]


def evaluate(
    alerts: Alerts,
    limits: Limits,
    *,
    outcomes: Sequence[CheckOutcome] = (),
    held: Collection[str] = (),
    account_refused: bool | None = None,
    audience: Audience | None = None,
) -> AlertReport:
    """Judge, keep what has changed, and deliver what is pending.

    `outcomes` are checks that were evaluated elsewhere, `held` are the reasons for which the run
    has held requests, and `account_refused` is whether the API has refused the account in it. Each
    budget is an alert of its own, in place of the check on all of them. One statement if nothing is
    raised or has changed; one more if something is raised, one if something changes, two for each
    receiver that something is pending for.
    """
    receivers = audience.receivers if audience is not None else ()
    recent, verdicts = _look(
        alerts,
        limits,
        receivers,
        lambda found: replace(found, held=held, account_refused=account_refused),
        with_days=True,
    )
    alone = [verdict for verdict in verdicts if verdict.name != BUDGETS]
    every = [*alone, *judge_budgets(recent), *map(judge_outcome, outcomes)]
    changed = changes(every, recent.states)
    if changed:
        alerts.change(changed, recent.judged_at)
    report = AlertReport(verdicts, changed, days=recent.days)
    if audience is None:
        return report

    sender = Sender(recent.installation_id, recent.database, audience.run_id, audience.ui_url)
    waiting = {name for state in recent.states.values() for name in state.pending}
    deliveries = [
        _deliver(alerts, receiver, lambda state: _notification(state, every, sender))
        for receiver in receivers
        if changed or receiver.name in waiting
    ]
    return replace(report, deliveries=deliveries)


def _look(
    alerts: Alerts,
    limits: Limits,
    receivers: Sequence[Receiver] = (),
    with_run: Callable[[Recent], Recent] = lambda found: found,
    *,
    with_days: bool = False,
) -> tuple[Recent, list[Verdict]]:
    window_seconds = limits.window_minutes * 60
    fingerprints = {one.name: one.fingerprint for one in receivers}
    recent = with_run(alerts.recent(window_seconds, fingerprints, with_days=with_days))
    verdicts = judge(recent, limits)
    raised = [verdict.name for verdict in verdicts if verdict.is_raised]
    if not raised:
        return recent, verdicts
    asked = [name for name in raised if name != BUDGETS]
    faults = alerts.behind(asked, window_seconds) if asked else []
    return recent, blame(verdicts, [*faults, *faults_of(recent)])


def _deliver(
    alerts: Alerts, receiver: Receiver, notify: Callable[[AlertState], Notification]
) -> Delivery:
    """Hand a receiver what is pending for it, until it does not take something."""
    claimed = alerts.claim_pending(receiver.name, receiver.fingerprint)
    if not claimed:
        return Delivery(receiver.name)
    outcomes: list[Outcome] = []
    failure = refusal = None
    for state in claimed:
        try:
            receiver.deliver(notify(state))
            outcomes.append(Outcome.DELIVERED)
        except RefusedError as error:
            refusal = str(error)
            outcomes.append(Outcome.REFUSED)
        except DeliveryError as error:
            # The others would take as long to fail.
            failure = str(error)
            break
    outcomes += [Outcome.PENDING] * (len(claimed) - len(outcomes))
    alerts.record_deliveries(
        receiver.name, receiver.fingerprint, list(zip(claimed, outcomes, strict=True))
    )
    return Delivery(
        receiver.name,
        delivered=outcomes.count(Outcome.DELIVERED),
        pending=outcomes.count(Outcome.PENDING),
        failure=failure,
        refused=outcomes.count(Outcome.REFUSED),
        refusal=refusal,
    )


def _notification(state: AlertState, verdicts: Sequence[Verdict], sender: Sender) -> Notification:
    """What a change is delivered as: what to do is said as long as it is raised."""
    now = [one for one in verdicts if one.name == state.name and one.is_raised and state.is_raised]
    what_to_do, behind = (now[0].advice, now[0].faults) if now else ("", ())
    return notification_of(state, what_to_do=what_to_do, behind=behind, sender=sender)
