"""What an earlier installation has left half-made in LiveDash's tables, its schema being lost.

LiveDash leaves no batch in PENDING or UPLOADING, so one in such a status of which nothing is here
was made by this project. It is adopted without an owner: read to its end, and otherwise let alone,
since the database that made it may live on elsewhere. This has one implementation.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Adopted:
    """What is taken care of from now on."""

    orphaned_batches: int = 0
    orphaned_requests: int = 0
    """Those in no batch: they wait again, or follow one that asks the same and is under way."""


class Orphans(EngineQueries):
    """Adopts what was left, and tells what of the server's belongs to it."""

    @retry_lost
    def adopt(self) -> Adopted:
        """Watch over every batch that was left, and let requests that are in none go on."""
        with self.engine.begin() as connection:
            batches = connection.execute(SQL["adopt"]).scalar_one()
            requests = connection.execute(SQL["free"]).scalar_one()
        return Adopted(batches, requests)

    @retry_lost
    def are_named(self, found: Mapping[str, str]) -> bool:
        """Whether a row of this database names any of these: our batches' ids, by the server's."""
        which = {"openai_batch_ids": list(found), "batch_ids": list(found.values())}
        with self.autocommit.connect() as connection:
            return bool(connection.execute(SQL["are_named"], which).scalar_one())

    @retry_lost
    def requests_of(self, company_id: str, request_ids: Collection[str]) -> set[str]:
        """Those of these ids that are requests of this company, whatever became of them."""
        which = {"company_id": company_id, "request_ids": list(request_ids)}
        with self.autocommit.connect() as connection:
            return set(connection.execute(SQL["requests_of"], which).scalars())
