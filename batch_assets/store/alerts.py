"""What the alerts are judged by, which are raised, and who knows of it. Each is one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from batch_assets.domain.alerts.conditions import BREAKER_MINUTES, LIVEDASH_MINUTES
from batch_assets.domain.alerts.records import AlertState, Change, Fault, Outcome, Recent, Severity
from batch_assets.domain.budgets import read_budgets
from batch_assets.domain.report_data import PeriodMoney
from batch_assets.store import daily_costs
from batch_assets.store.base import EngineQueries
from batch_assets.store.budgets import BUDGET_PARTS
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.livedash_contract import NEEDS, named
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"), parts_of=[BUDGET_PARTS, daily_costs.SQL_FILE])

NEWS_SECONDS: Final = 24 * 60 * 60.0
"""Who has not heard that an alert was raised need not know that it was resolved longer ago."""
CLAIM_SECONDS: Final = 300.0
"""How long the delivery of changes to one receiver may take; then another run may do it."""


class Alerts(EngineQueries):
    """The metrics of recent runs, the state of the alerts, and what each receiver has heard."""

    @retry_lost
    def recent(
        self,
        window_seconds: float,
        receivers: Mapping[str, str] | None = None,
        *,
        with_days: bool = False,
    ) -> Recent:
        """Read what the runs within the window and the last day have recorded, and what is raised.

        `receivers` are the fingerprints, by name, of those for whom changes may be pending. With
        `with_days` also what the days of the month have cost, which reads the attempts of those
        that are not kept as sums.
        """
        asked = receivers or {}
        parameters = {
            "receivers": list(asked),
            "fingerprints": list(asked.values()),
            "window_seconds": window_seconds,
            "breaker_seconds": BREAKER_MINUTES * 60.0,
            "livedash_seconds": LIVEDASH_MINUTES * 60.0,
            "budgets_of": None,
            "with_days": with_days,
            "news_seconds": NEWS_SECONDS,
            **NEEDS,
        }
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["recent"], parameters).one()._asdict()
        states = [_state(one) for one in row["states"] or ()]
        known = {**row, "judged_at": row["judged_at"].astimezone(UTC)}
        known["budgets"] = tuple(read_budgets(row["budgets"]))
        known["days"] = {
            date.fromisoformat(one["day"]): PeriodMoney.of([one]) for one in row["days"] or ()
        }
        known["livedash_lacks"] = tuple(named(row["livedash_lacks"]))
        return Recent(**{**known, "states": {state.name: state for state in states}})

    @retry_lost
    def behind(self, alerts: Sequence[str], window_seconds: float) -> list[Fault]:
        """Who or what is behind each of these alerts, where it is known; the worst first."""
        parameters = {"alerts": list(alerts), "window_seconds": window_seconds}
        with self.autocommit.connect() as connection:
            return [Fault(**row._mapping) for row in connection.execute(SQL["behind"], parameters)]

    @retry_lost
    def change(self, changes: Sequence[Change], judged_at: datetime) -> None:
        """Keep these changes, pending for every receiver; what another run has kept stays."""
        parameters = {
            "names": [change.name for change in changes],
            "raised": [change.is_raised for change in changes],
            "severities": [str(change.severity) for change in changes],
            "summaries": [change.summary for change in changes],
            "judged_at": judged_at,
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["change"], parameters)

    @retry_lost
    def claim_pending(self, receiver: str, fingerprint: str) -> list[AlertState]:
        """Claim what is pending for a receiver: these changes, by name, are ours to deliver.

        Not those that another run is delivering, nor a change that follows one of these.
        """
        parameters = {
            "receiver": receiver,
            "fingerprint": fingerprint,
            "news_seconds": NEWS_SECONDS,
            "claim_seconds": CLAIM_SECONDS,
        }
        with self.autocommit.connect() as connection:
            rows = [row._asdict() for row in connection.execute(SQL["claim_pending"], parameters)]
        return sorted((_state(row) for row in rows), key=lambda state: state.name)

    @retry_lost
    def record_deliveries(
        self, receiver: str, fingerprint: str, outcomes: Sequence[tuple[AlertState, Outcome]]
    ) -> None:
        """Note what became of the claimed changes; what is still pending is free to be claimed."""
        parameters = {
            "receiver": receiver,
            "fingerprint": fingerprint,
            "names": [state.name for state, _ in outcomes],
            "since": [state.since for state, _ in outcomes],
            "raised": [state.is_raised for state, _ in outcomes],
            "outcomes": [str(outcome) for _, outcome in outcomes],
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["record_deliveries"], parameters)


def _state(row: Mapping[str, Any]) -> AlertState:
    """A row, or what JSON has made of it."""
    known = {field.name: row[field.name] for field in fields(AlertState) if field.name in row}
    pending = tuple(row.get("pending", ()))
    since = row["since"]
    if isinstance(since, str):
        since = datetime.fromisoformat(since)
    severity = Severity(row["severity"])
    return AlertState(
        **{**known, "severity": severity, "since": since.astimezone(UTC), "pending": pending}
    )
