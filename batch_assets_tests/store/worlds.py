"""The same small world in any number of databases: every id and every date in it is given.

What an operation writes beside that, generated ids and the moment of the write, is told apart and
left out of the comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row

from batch_assets.domain.records import Lease
from batch_assets.store.protocol import Queries
from batch_assets.store.sql import load
from batch_assets_tests.one_database import empty
from batch_assets_tests.store.queries.support import Desk

LEASE = Lease("batch", 1)
LONG_AGO = datetime(2020, 2, 2, tzinfo=UTC)
FATES = ("reset", "finished", "closed", "in intake", "put off", "session deleted")
"""What may have happened to a request meanwhile, beside nothing (`open`)."""

_SEED = load(Path(__file__).with_suffix(".sql"))
_GENERATED = {"status": {"id"}, "question": {"id"}, "session_question": {"id", "questionId"}}


@dataclass(frozen=True)
class World:
    """What a database holds when the outcomes of its batch come.

    Session `n` is `s<n>`, request `n` of the batch is `r<n>`; `foreign` is one of another batch.
    """

    statuses: Sequence[str | None]
    """Of each session's analysis; `None`: LiveDash has no row for it yet."""
    sessions: Sequence[int]
    """The session of each request."""
    fates: Sequence[str]
    """One of `FATES`, or `open`, for each request."""
    failed_before: Sequence[int]
    """How many counted attempts each request has behind it, at most 3."""

    @property
    def request_ids(self) -> list[str]:
        """The requests of the batch."""
        return [f"r{number}" for number in range(len(self.sessions))]

    def make(self, engine: Engine) -> None:
        """Make a database hold this world and nothing else."""
        empty(engine)
        values: dict[str, Any] = {
            "long_ago": LONG_AGO,
            "statuses": list(self.statuses),
            "sessions": list(self.sessions),
            "failed_before": list(self.failed_before),
        }
        for fate in FATES:
            met = zip(self.request_ids, self.fates, strict=True)
            values[fate.replace(" ", "_")] = [request for request, own in met if own == fate]
        with engine.begin() as connection:
            for statement in _SEED.values():
                connection.execute(statement, values)


def rows_left(engine: Engine, queries: Queries) -> dict[str, list[dict[str, Any]]]:
    """Every table's rows, so that two databases can be compared."""
    tables = Desk(engine, queries).everything()
    content = {row.id: row.content for row in tables["question"]}
    left = {}
    for name, rows in tables.items():
        known = [_known(row, _GENERATED.get(name, set())) for row in rows]
        for row, shown in zip(rows, known, strict=True):
            if name == "session_question":
                shown["question"] = content[row.questionId]
        left[name] = sorted(known, key=repr) if name in _GENERATED else known
    return left


def _known(row: Row[Any], generated: set[str]) -> dict[str, Any]:
    return {
        column: "now" if isinstance(value, datetime) and value > LONG_AGO else value
        for column, value in row._mapping.items()
        if column not in generated
    }
