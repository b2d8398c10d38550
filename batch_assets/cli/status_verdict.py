"""Whether it is well, and why not: what `batch-assets status` says first, and tells a probe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from batch_assets.cli.conventions import plural
from batch_assets.cli.doctor_server import of_daemon
from batch_assets.cli.lists import ListedAlert, alerts_of
from batch_assets.cli.opening import OpenDatabase
from batch_assets.cli.runs import open_history, reasons
from batch_assets.cli.screen import Screen
from batch_assets.cli.status_sentences import Stoppages
from batch_assets.domain.display import listed, span, waits
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.health import (
    NOT_SCHEDULED,
    Finding,
    Health,
    found_wrong,
    health_while_raised,
    worst,
    worst_first,
)
from batch_assets.domain.report_data import PeriodMoney

if TYPE_CHECKING:
    from batch_assets.store.dagster_history import DagsterHistory, KeptRun
    from batch_assets.store.lists import WaitingCompany

JOB: Final = "batch_processing_job"
DECIDED: Final = ("SUCCESS", "FAILURE", "CANCELED")
UNDER_WAY: Final = ("STARTING", "STARTED", "CANCELING")
NAMED: Final = 3
"""So many companies that are behind are named."""
STYLES: Final = {Health.WELL: "bold green", Health.ATTENTION: "yellow", Health.NOT_WELL: "bold red"}


@dataclass(frozen=True)
class RunsSeen:
    """What is known of the job's runs, and of what starts them."""

    last: KeptRun | None = None
    """The last one that has ended."""
    why: Mapping[str, str] = field(default_factory=dict)
    """Why it has failed, by op."""
    under_way: KeptRun | None = None
    findings: Sequence[Finding] = ()
    """What is wrong with it, or with what starts runs."""

    @property
    def sentence(self) -> str:
        """How the last run has ended."""
        if self.last is None:
            return "No run has ended yet."
        ended_at = self.last.ended_at or self.last.began_at
        ago = span((datetime.now(UTC) - ended_at).total_seconds())
        how = _ENDED[self.last.status]
        why = f": {' '.join(self.why.values())}" if self.why else "."
        return f"The last run, {self.last.run_id[:8]}, {how} {ago} ago{why}"


_ENDED: Final = {"SUCCESS": "succeeded", "FAILURE": "failed", "CANCELED": "was canceled"}


@dataclass(frozen=True)
class Overview:
    """All that a person wants to know first."""

    runs: RunsSeen
    alerts: Sequence[ListedAlert]
    """Those that are raised."""
    behind: Sequence[WaitingCompany]
    """The companies whose oldest request has waited longest."""
    spent: Mapping[str, PeriodMoney]
    """Of the `day` and of the `month`."""
    findings: Sequence[Finding]

    @property
    def health(self) -> Health:
        """How all of it is."""
        return worst(self.findings)

    def show(self, shown: Screen) -> None:
        """Print the verdict, what is wrong with what to do, and the sentences on all of it."""
        wrong = worst_first(self.findings)
        said = f": {plural(len(wrong), 'thing')} to look at." if wrong else "."
        shown.say(f"{str(self.health).capitalize()}{said}", style=STYLES[self.health])
        for one in wrong:
            shown.say(f"- {one.said}", style=STYLES[one.health])
            if one.remedy:
                shown.say(f"To do: {one.remedy}", indent=2)
        shown.say()

    def sentences(self) -> Iterator[str]:
        """One each on the last run, on who waits, and on the money of day and month."""
        yield self.runs.sentence
        if self.runs.under_way is not None:
            began = span((datetime.now(UTC) - self.runs.under_way.began_at).total_seconds())
            yield f"Run {self.runs.under_way.run_id[:8]} is under way, for {began}."
        if self.behind:
            yield f"The oldest requests wait for {_waiting(self.behind)}."
        yield self.spent["day"].sentence("Today")
        yield self.spent["month"].sentence("This month")

    def document(self) -> dict[str, Any]:
        """The same for `--json`."""
        last = self.runs.last
        return {
            "health": self.health,
            "findings": [asdict(one) for one in self.findings],
            "last_ended_run": None if last is None else {**asdict(last), "why": self.runs.why},
            "run_under_way": None if self.runs.under_way is None else asdict(self.runs.under_way),
            "alerts_raised": [asdict(one) for one in self.alerts],
            "companies_behind": [asdict(one) for one in self.behind],
            "money": {name: asdict(one) for name, one in self.spent.items()},
        }


def overview(database: OpenDatabase, stopped: Stoppages) -> Overview:
    """Read all of it."""
    from batch_assets.store.lists import Lists, Span

    alerts = [one for one in alerts_of(database, Span()) if one.is_raised]
    behind = Lists(database.engine).behind(NAMED)
    seen = _runs(database)
    hold = database.hold
    findings = [
        *seen.findings,
        *map(_of_alert, alerts),
        *([] if hold is None else [hold.finding]),
        *_accounts(database),
        *_stopped(stopped),
        *_late(database, alerts, behind),
    ]
    return Overview(seen, alerts, behind, _spent(database), findings)


def _runs(database: OpenDatabase) -> RunsSeen:
    from sqlalchemy.exc import DBAPIError

    from batch_assets.store.connection_failures import database_unavailable, is_connection_failure

    with open_history(database.endpoints) as history:
        try:
            return _seen(database, history)
        except BatchAssetsError as error:
            return RunsSeen(findings=found_wrong("runs", error))
        except DBAPIError as error:
            if not is_connection_failure(error):
                raise
            unavailable = database_unavailable(error, history.engine.url)
            return RunsSeen(findings=found_wrong("runs", unavailable))


def _seen(database: OpenDatabase, history: DagsterHistory) -> RunsSeen:
    from batch_assets.store.dagster_history import RunFilter

    if not history.is_there():
        return RunsSeen(findings=[_NO_RUN])
    last = history.runs(RunFilter(jobs=[JOB], statuses=DECIDED), 1)
    under_way = history.runs(RunFilter(jobs=[JOB], statuses=UNDER_WAY), 1)
    why = reasons(history, last)
    seen = RunsSeen(
        last=last[0] if last else None,
        why=why.get(last[0].run_id, {}) if last else {},
        under_way=under_way[0] if under_way else None,
    )
    findings = [
        _of_last_run(seen),
        of_daemon(history.daemons(), is_local=database.endpoints.is_local),
    ]
    off = [name for name in history.switched_off() if name in _STARTING]
    if off:
        findings.append(
            Finding.attention(
                "schedules",
                f"Somebody has switched off {listed(off)}.",
                "Switch it on again in the UI, under Automation, if runs are to start by it.",
            )
        )
    if not database.settings.schedules_enabled:
        findings.append(NOT_SCHEDULED)
    return RunsSeen(seen.last, seen.why, seen.under_way, findings)


_STARTING: Final = ("batch_processing_schedule", "backlog_sensor", "completion_sensor")
"""What starts runs of the job."""
_NO_RUN: Final = Finding.attention(
    "last run",
    "No run has ended yet.",
    "Start one with `batch-assets run`, or let `batch-assets serve` start them.",
)


def _of_last_run(seen: RunsSeen) -> Finding:
    if seen.last is None:
        return _NO_RUN
    if seen.last.status == "SUCCESS":
        return Finding.well("last run", seen.sentence)
    is_failed = seen.last.status == "FAILURE"
    return Finding(
        "last run",
        Health.NOT_WELL if is_failed else Health.ATTENTION,
        seen.sentence,
        f"`batch-assets logs {seen.last.run_id}` has all that it said.",
    )


def _of_alert(alert: ListedAlert) -> Finding:
    # What was behind it when it was raised stands in the summary.
    said = f"{alert.title}, since {span(_since(alert))}: {alert.summary}"
    return Finding("alerts", health_while_raised(alert.severity), said, alert.what_to_do)


def _since(alert: ListedAlert) -> float:
    return (datetime.now(UTC) - alert.since).total_seconds()


def _accounts(database: OpenDatabase) -> Iterator[Finding]:
    """What keeps a further account from its work, and what waits for one that is gone."""
    from batch_assets.stages.controls.accounts import left_behind
    from batch_assets.store.company_accounts import CompanyAccounts

    names = database.settings.account_names
    yield from left_behind(CompanyAccounts(database.engine).standing(), names)
    for name in names[1:]:
        try:
            installation = database.of_account(name).registry.installation()
        except BatchAssetsError as error:
            yield Finding("accounts", Health.NOT_WELL, " ".join(error.lines))
        else:
            cooldown = installation.account_cooldown
            if cooldown is not None:
                said = f"{name}: {cooldown.hold.why}"
                yield Finding("accounts", Health.ATTENTION, said, cooldown.hold.remedy)


def _stopped(stopped: Stoppages) -> Iterable[Finding]:
    """What is in a cooldown; each sentence says what to do."""
    return [Finding("cooldowns", Health.ATTENTION, said) for said in stopped.halts()]


def _late(
    database: OpenDatabase, alerts: Sequence[ListedAlert], behind: Sequence[WaitingCompany]
) -> Iterator[Finding]:
    """Who waits for much longer than it takes to be due, unless an alert says so."""
    from batch_assets.domain.alerts.advice import advise

    limits = database.settings.alert_limits()
    patience = limits.max_wait_seconds + limits.overdue_seconds
    late = [one for one in behind if one.oldest_wait_seconds > patience]
    if late and not any(one.name == "backlog_age" for one in alerts):
        yield Finding.attention(
            "backlog",
            f"Overdue: {_waiting(late)}.",
            advise("backlog_age", ()),
        )


def _waiting(companies: Iterable[WaitingCompany]) -> str:
    return listed([waits(one.company, one.requests, one.oldest_wait_seconds) for one in companies])


def _spent(database: OpenDatabase) -> dict[str, PeriodMoney]:
    """What the day and the month that are under way have cost."""
    from batch_assets.store.daily_costs import CostReports

    today = datetime.now(UTC).date()
    days = CostReports(database.engine).sums(period="day", since=today.replace(day=1))
    of_today = [one for one in days if str(one["period"]) == today.isoformat()]
    return {"day": PeriodMoney.of(of_today), "month": PeriodMoney.of(days)}
