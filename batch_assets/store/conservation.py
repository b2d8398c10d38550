"""Whether each request is in exactly one bucket: over what is open, and over every row."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row

from batch_assets.domain.conservation import Audit, CompanyRows, Look, Violation, Violations
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.cost_audit import cost_differences
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

_SEEN: Final = "seen_"


class Conservation(EngineQueries):
    """Looks at rows and changes none."""

    @retry_lost
    def open_rows(self, finished_within_seconds: float) -> Look:
        """What is open, and what was finished so shortly ago; one statement, one moment.

        What it reads grows with that and not with the history.
        """
        which = {"seconds": finished_within_seconds}
        with self.autocommit.connect() as connection:
            return _look(connection.execute(SQL["look"], which))

    @retry_lost
    def all_rows(self) -> Audit:
        """Every row of every company and all money, at one moment; locks nobody out.

        What comes back is a row for each company and kind, whatever the number of requests.
        """
        reader = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        with reader.begin() as connection:
            connection.execute(SQL["patience"])
            companies = [CompanyRows(**row._mapping) for row in connection.execute(SQL["buckets"])]
            look = _look(connection.execute(SQL["look"], {"seconds": None}))
            counted = connection.execute(SQL["rows_and_leftovers"]).one()
            costs = cost_differences(connection)
        leftovers = {
            "intake_leftovers": counted.intake_leftovers,
            "entries_of_deleted": counted.entries_of_deleted,
        }
        look = Look({**look.seen, **leftovers}, look.violations)
        return Audit(companies=companies, look=look, rows=counted.rows, costs=costs)


def _look(rows: Iterable[Row[Any]]) -> Look:
    seen: dict[str, int] = {}
    violations = []
    for row in rows:
        if row.kind.startswith(_SEEN):
            seen[row.kind.removeprefix(_SEEN)] = row.things
        else:
            violations.append(Violations(Violation(row.kind), row.things, tuple(row.ids)))
    violations.sort(key=lambda found: (not found.meaning.is_error, found.kind))
    return Look(seen, violations)
