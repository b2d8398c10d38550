"""Statistics of all companies at once; their list and the prices are one statement anyway."""

from pathlib import Path

from batch_assets.domain.batches import CompanyStatistics
from batch_assets.store.original.companies import CompanyQueries as OriginalCompanyQueries
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class CompanyQueries(OriginalCompanyQueries):
    """The part of `store.protocol.Queries` that reads companies."""

    def statistics(self) -> list[CompanyStatistics]:
        """See `Queries.statistics`; one statement."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["statistics"])
            return [CompanyStatistics(**row._mapping) for row in rows]
