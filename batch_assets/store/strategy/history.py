"""What the database keeps of the strategy: measurements of all processes, and an operator's choice.

One statement reads the measurements, one adds to them.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, Row

from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load
from batch_assets.store.strategy.choose import LAST_CALLS, LAST_PROBES, SPEED_HOURS
from batch_assets.store.strategy.records import (
    Choice,
    Evidence,
    Implementation,
    Key,
    PairedProbes,
    Past,
    Purpose,
    QueryMode,
    Stay,
    StoredMode,
    Timing,
    Totals,
)

SQL = load(Path(__file__).with_suffix(".sql"))

KEPT_DAYS: Final = 30


@retry_lost
def read_history(engine: Engine) -> Mapping[str, Past]:
    """What is known of each query that was measured or chosen; one statement.

    Bounded by time: what is older than `SPEED_HOURS` is not looked at.
    """
    windows = {"hours": SPEED_HOURS, "last_calls": LAST_CALLS, "last_probes": LAST_PROBES}
    found: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    with _autocommit(engine).connect() as connection:
        for row in connection.execute(SQL["history"], windows):
            found[row.operation].append(row)
    return {query: _past(rows) for query, rows in found.items()}


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
                "operations": [key.query for key in measured],
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
    paired = stay = None
    for row in rows:
        implementation = Implementation(row.implementation)
        if row.purpose == "choice":
            stay = Stay(implementation, row.age_seconds)
        elif row.purpose == "paired":
            paired = PairedProbes(row.calls, row.seconds)
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
        paired=paired,
        probed_seconds_ago=min(probed, default=None),
        given_up_seconds_ago=given_up,
        stay=stay,
    )


@dataclass(frozen=True)
class StoredModes(EngineQueries):
    """Keeps at most one choice. Each query here is one statement."""

    @retry_lost
    def read(self) -> StoredMode | None:
        """The choice that stands; `None`: the environment says."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["read"]).one_or_none()
        return None if row is None else stored_mode_in(row._asdict())

    @retry_lost
    def keep(self, mode: QueryMode, chosen_by: str) -> StoredMode:
        """Let this mode stand from now on."""
        with self.autocommit.connect() as connection:
            row = connection.execute(
                SQL["keep"], {"mode": mode.stored, "chosen_by": chosen_by}
            ).one()
        return StoredMode(QueryMode(row.mode), row.chosen_by, row.chosen_at)

    @retry_lost
    def forget(self) -> None:
        """Let the environment say again."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["forget"])


def stored_mode_in(document: Mapping[str, Any]) -> StoredMode:
    """The choice as another statement has gathered it; a moment may be text, as JSON has it."""
    at = document["chosen_at"]
    return StoredMode(
        mode=QueryMode(document["mode"]),
        chosen_by=document["chosen_by"],
        chosen_at=datetime.fromisoformat(at) if isinstance(at, str) else at,
    )
