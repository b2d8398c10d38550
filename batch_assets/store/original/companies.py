"""Companies, prices and statistics, a company at a time."""

from collections.abc import Mapping
from pathlib import Path

from batch_assets.domain.batches import CompanyStatistics
from batch_assets.domain.logs import open_log
from batch_assets.domain.money import MOST_A_TOKEN, Price, can_be_price, livedash_price
from batch_assets.domain.records import Company
from batch_assets.store.base import EngineQueries
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

log = open_log(__name__)


class CompanyQueries(EngineQueries):
    """The part of `store.protocol.Queries` that reads companies."""

    def active_companies(self) -> list[Company]:
        """See `Queries.active_companies`."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["active_companies"])
            return [Company(row.id, row.name) for row in rows]

    def model_prices(self) -> Mapping[str, Price]:
        """See `Queries.model_prices`."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["model_prices"]).all()
        prices = {
            row.name: livedash_price(row.prompt, row.completion)
            for row in rows
            if can_be_price(row.prompt, row.completion)
        }
        if len(prices) < len(rows):
            log.warning(
                "LiveDash's price of %s is none (negative, infinite, no number, or more than %d "
                "USD a token): the published one counts until AIModelPricing is put right",
                ", ".join(repr(row.name) for row in rows if row.name not in prices),
                MOST_A_TOKEN,
            )
        return prices

    def statistics(self) -> list[CompanyStatistics]:
        """See `Queries.statistics`."""
        with self.autocommit.connect() as connection:
            found = []
            for company in connection.execute(SQL["all_companies"]).all():
                which = {"company_id": company.id}
                requests = connection.execute(SQL["company_requests"], which).one()
                money = connection.execute(SQL["company_money"], which).one()
                found.append(
                    CompanyStatistics(
                        company_id=company.id,
                        name=company.name,
                        status=company.status,
                        **requests._mapping,
                        **money._mapping,
                    )
                )
        return sorted(found, key=lambda company: (-company.sessions, company.company_id))
