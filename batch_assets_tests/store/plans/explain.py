"""What the server does for an operation: each of its statements is explained as it is sent."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Engine, event

from batch_assets_tests.store.queries.support import Desk

LARGE = frozenset(
    {
        "AIProcessingRequest",
        "Session",
        "SessionProcessingStatus",
        "Message",
        "AIBatchRequest",
        "attempt",
        "batch",
        "intake",
        "run_metric",
    }
)
"""Tables that grow with the history or the backlog: nobody reads one from end to end."""

_EXPLICABLE = ("WITH", "SELECT", "INSERT", "UPDATE", "DELETE")
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


@dataclass(frozen=True)
class Scan:
    """One read of a table, or of rows that the statement has itself, in a plan as carried out."""

    kind: str
    source: str
    index: str | None
    is_table: bool
    rows: int
    """Rows that were read, those among them that a filter or a recheck refused."""

    def __str__(self) -> str:
        by = f" by {self.index}" if self.index else ""
        return f"{self.kind} on {self.source}{by}: {self.rows:,} rows"


@dataclass(frozen=True)
class Plan:
    """One statement and how it was carried out."""

    statement: str
    scans: tuple[Scan, ...]

    def __str__(self) -> str:
        start = " ".join(_COMMENT.sub("", self.statement).split())[:100]
        return "\n    ".join([start, *map(str, self.scans)])


@dataclass(frozen=True)
class Plans:
    """The plans of an operation, in the order of its statements."""

    all: list[Plan]

    @property
    def scans(self) -> list[Scan]:
        """Every read of every statement."""
        return [scan for plan in self.all for scan in plan.scans]

    @property
    def touched(self) -> int:
        """How many rows of tables were read, each as often as it was."""
        return sum(scan.rows for scan in self.scans if scan.is_table)

    @property
    def carried(self) -> int:
        """How many rows of the statements' own were read: parameters and what they have made."""
        return sum(scan.rows for scan in self.scans if not scan.is_table)

    @property
    def indexes(self) -> set[str]:
        """The indexes that were used, by name."""
        return {scan.index for scan in self.scans if scan.index}

    @property
    def read_whole(self) -> list[Scan]:
        """Large tables that were read from end to end."""
        return [
            scan
            for scan in self.scans
            if scan.kind == "Seq Scan" and scan.source in LARGE and scan.rows
        ]

    def __str__(self) -> str:
        return "\n".join(map(str, self.all))


def plans_of(desk: Desk, act: Callable[[], object], *, touching: int) -> Plans:
    """The plans of an operation, which reads no large table whole and touches no more than said."""
    plans = bounded_plans_of(desk, act, touching=touching)
    assert plans.read_whole == [], str(plans)
    return plans


def bounded_plans_of(desk: Desk, act: Callable[[], object], *, touching: int) -> Plans:
    """The plans of an operation, which touches no more than said, however it does so."""
    with explained(desk.engine) as plans:
        act()
    assert plans.touched <= touching, str(plans)
    # A table that is joined to the parameters row by row shows here.
    assert plans.carried <= 2 * touching, str(plans)
    return plans


@contextmanager
def explained(engine: Engine) -> Iterator[Plans]:
    """Collect the plans of all that is sent within the context.

    Each statement is carried out twice: first by EXPLAIN ANALYZE, with its own parameters and in
    its own transaction, whose effect is rolled back.
    """
    plans = Plans([])

    def explain(
        connection: Any, cursor: Any, statement: str, parameters: Any, *_unused: object
    ) -> None:
        driver: psycopg.Connection[Any] = connection.connection.driver_connection
        if not _COMMENT.sub("", statement).lstrip().startswith(_EXPLICABLE):
            return
        cursor_for = "DECLARE c CURSOR FOR " if isinstance(cursor, psycopg.ServerCursor) else ""
        command = f"EXPLAIN (ANALYZE, FORMAT JSON) {cursor_for}{statement}"
        with driver.transaction(force_rollback=True):
            row = driver.execute(command.encode(), parameters).fetchone()
        assert row is not None
        plans.all.append(Plan(statement, tuple(_scans(row[0][0]["Plan"]))))

    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", explain)


def _scans(node: Mapping[str, Any]) -> Iterator[Scan]:
    if node["Node Type"].endswith("Scan") and not node["Node Type"].startswith("Bitmap Index"):
        rows = (
            node["Actual Rows"]
            + node.get("Rows Removed by Filter", 0)
            + node.get("Rows Removed by Index Recheck", 0)
        )
        table = node.get("Relation Name")
        yield Scan(
            kind=node["Node Type"],
            source=table or node.get("CTE Name") or node.get("Alias", ""),
            index=node.get("Index Name"),
            # The catalogs grow with the tables that there are, and with nothing that is in them.
            is_table=table is not None and not table.startswith("pg_"),
            rows=round(rows * node["Actual Loops"]),
        )
    for child in node.get("Plans", ()):
        yield from _scans(child)
