"""What people ask for, by a name or an id. Each call is one statement that only reads."""

from dataclasses import dataclass
from pathlib import Path

from batch_assets.domain.batches import BatchRow
from batch_assets.domain.lookups import BatchRecord, LastRun, NamedCompany, OpenBatches
from batch_assets.domain.states import BatchState
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

_ORDER = list(BatchState)


@dataclass(frozen=True)
class Lookups(EngineQueries):
    """Reads what is looked up."""

    @retry_lost
    def companies(self, wanted: str) -> list[NamedCompany]:
        """Companies with this id or name; at most two, since one is wanted."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["companies"], {"wanted": wanted})
            return [NamedCompany(**row._mapping) for row in rows]

    @retry_lost
    def batch(self, wanted: str) -> BatchRecord | None:
        """The batch with this id, ours or the server's; `None` if there is none."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["batch"], {"wanted": wanted}).one_or_none()
        if row is None:
            return None
        given = dict(row._mapping)
        return BatchRecord(
            **given | {"outcomes": row.outcomes or {}, "server_errors": tuple(row.server_errors)}
        )

    @retry_lost
    def open_batches(self) -> list[OpenBatches]:
        """The batches that are not finished, by state, in the order of a batch's life."""
        with self.autocommit.connect() as connection:
            found = [OpenBatches(**row._mapping) for row in connection.execute(SQL["open_batches"])]
        return sorted(found, key=lambda one: _ORDER.index(BatchState(one.state)))

    @retry_lost
    def last_run(self) -> LastRun | None:
        """The run that was the last to write what its operations have cost."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["last_run"]).one_or_none()
        return None if row is None else LastRun(row.run_id, row.recorded_at)

    @retry_lost
    def newest_rows(self, batches: int, rows: int) -> list[BatchRow]:
        """At most so many rows of so many of the newest batches."""
        with self.autocommit.connect() as connection:
            found = connection.execute(SQL["newest_rows"], {"batches": batches, "rows": rows})
            return [(row.batch_id, row.request_id) for row in found]
