"""What the alerts are judged by, which are raised, and who tells of it. Each is one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batch_assets.domain.alerts.measures import BREAKER_MINUTES, LIVEDASH_MINUTES
from batch_assets.domain.alerts.records import AlertState, Change, Fault, Recent, Severity
from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.needs import NEEDS, named
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

TELL_SECONDS: Final = 24 * 60 * 60.0
"""That an alert was resolved longer ago than that is no news."""
CLAIM_SECONDS: Final = 300.0
"""How long telling of changes may take; then another run may do it."""


class Alerts(EngineQueries):
    """Reads the figures of recent runs, and reads and moves the state of the alerts."""

    @retry_lost
    def recent(self, window_seconds: float) -> Recent:
        """What the runs within the window and the last day have recorded, and what is raised."""
        parameters = {
            "window_seconds": window_seconds,
            "breaker_seconds": BREAKER_MINUTES * 60.0,
            "livedash_seconds": LIVEDASH_MINUTES * 60.0,
            "tell_seconds": TELL_SECONDS,
            **NEEDS,
        }
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["recent"], parameters).one()._asdict()
        states = [_state(one) for one in row["states"] or ()]
        known = {**row, "judged_at": row["judged_at"].astimezone(UTC)}
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
        """Keep these changes, which are untold from then on; what another run has kept stays."""
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
    def claim_untold(self) -> list[AlertState]:
        """The changes that nobody has told of or is telling of, by name; they are ours to tell."""
        parameters = {"tell_seconds": TELL_SECONDS, "claim_seconds": CLAIM_SECONDS}
        with self.autocommit.connect() as connection:
            rows = [row._asdict() for row in connection.execute(SQL["claim_untold"], parameters)]
        return sorted((_state(row) for row in rows), key=lambda state: state.name)

    @retry_lost
    def record_told(self, told: Sequence[AlertState], untold: Sequence[AlertState]) -> None:
        """Note which of the claimed changes were delivered; the others are free to be claimed."""
        all_of_them = [*told, *untold]
        parameters = {
            "names": [state.name for state in all_of_them],
            "since": [state.since for state in all_of_them],
            "told": [True] * len(told) + [False] * len(untold),
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["record_told"], parameters)


def _state(row: Mapping[str, Any]) -> AlertState:
    """A row, or what JSON has made of it."""
    known = {field.name: row[field.name] for field in fields(AlertState) if field.name in row}
    since = row["since"]
    if isinstance(since, str):
        since = datetime.fromisoformat(since)
    severity = Severity(row["severity"])
    return AlertState(**{**known, "severity": severity, "since": since.astimezone(UTC)})
