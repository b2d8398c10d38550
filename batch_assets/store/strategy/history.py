"""The measurements of all processes, in our schema: one statement reads them, one adds to them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, Row

from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.sql import load
from batch_assets.store.strategy.deciding import (
    LAST_CALLS,
    LAST_PROBES,
    SPEED_HOURS,
    Evidence,
    SideBySide,
    Stay,
    Timing,
)
from batch_assets.store.strategy.modes import Choice, Implementation
from batch_assets.store.strategy.tracking import Key, Purpose, Totals

SQL = load(Path(__file__).with_suffix(".sql"))

KEPT_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier processes found out about one operation."""

    evidence: Mapping[Implementation, Evidence] = field(default_factory=dict)
    side_by_side: SideBySide | None = None
    probed_seconds_ago: float | None = None
    given_up_seconds_ago: Mapping[Implementation, float] = field(default_factory=dict)
    """When a probe of it failed or took too long."""
    stay: Stay | None = None

    def of(self, implementation: Implementation) -> Evidence:
        """What is known of one implementation."""
        return self.evidence.get(implementation, Evidence())


@retry_lost
def read_history(engine: Engine) -> Mapping[str, Past]:
    """What is known of each operation that was measured or chosen; one statement.

    Bounded by time: what is older than `SPEED_HOURS` is not looked at.
    """
    windows = {"hours": SPEED_HOURS, "last_calls": LAST_CALLS, "last_probes": LAST_PROBES}
    found: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    with _autocommit(engine).connect() as connection:
        for row in connection.execute(SQL["history"], windows):
            found[row.operation].append(row)
    return {operation: _past(rows) for operation, rows in found.items()}


@retry_lost
def write_history(
    engine: Engine, run_id: str, measured: Mapping[Key, Totals], chosen: Mapping[str, Choice]
) -> None:
    """Add what a process measured and chose; one statement."""
    columns = {
        "calls": [totals.calls for totals in measured.values()],
        "failures": [totals.failures for totals in measured.values()],
        "fallbacks": [totals.fallbacks for totals in measured.values()],
        "seconds": [totals.seconds for totals in measured.values()],
        "statements": [totals.statements for totals in measured.values()],
        "rows": [totals.rows for totals in measured.values()],
    }
    with _autocommit(engine).connect() as connection:
        connection.execute(
            SQL["record"],
            {
                "run_id": run_id,
                "kept_days": KEPT_DAYS,
                "operations": [key.operation for key in measured],
                "implementations": [key.implementation for key in measured],
                "purposes": [key.purpose for key in measured],
                **columns,
                "chosen_operations": list(chosen),
                "chosen_implementations": [choice.implementation for choice in chosen.values()],
                "chosen_reasons": [choice.reason for choice in chosen.values()],
            },
        )


def _autocommit(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _past(rows: list[Row[Any]]) -> Past:
    evidence: dict[Implementation, Evidence] = {}
    given_up: dict[Implementation, float] = {}
    probed: list[float] = []
    side_by_side = stay = None
    for row in rows:
        implementation = Implementation(row.implementation)
        if row.purpose == "choice":
            stay = Stay(implementation, row.age_seconds)
        elif row.purpose == "side by side":
            side_by_side = SideBySide(row.calls, row.seconds)
        elif row.purpose == Purpose.WORK:
            evidence[implementation] = Evidence(
                recent_calls=row.recent_calls or 0,
                recent_failures=row.recent_failures or 0,
                timing=Timing(row.calls or 0, row.seconds or 0.0, row.rows or 0),
            )
        else:
            probed.append(row.age_seconds)
            if row.given_up_seconds is not None:
                given_up[implementation] = row.given_up_seconds
    return Past(
        evidence=evidence,
        side_by_side=side_by_side,
        probed_seconds_ago=min(probed, default=None),
        given_up_seconds_ago=given_up,
        stay=stay,
    )
