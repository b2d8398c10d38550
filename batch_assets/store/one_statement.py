"""Queries for which one statement was enough all along: both implementations have them."""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.batches import (
    EARLIER_INSTALLATION,
    EndedBatch,
    InFlightBatch,
    Leftover,
    UnresolvedBatch,
)
from batch_assets.domain.logs import open_log
from batch_assets.domain.money import MOST_A_TOKEN, Price, can_be_price, livedash_price, price_in
from batch_assets.domain.records import BatchErrorLine, Company, Lease
from batch_assets.store.base import EngineQueries
from batch_assets.store.protocol import Holder
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

log = open_log(__name__)


class OneStatementQueries(EngineQueries):
    """The part of `store.protocol.Queries` that has one implementation."""

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
            row.name: livedash_price(row.prompt, row.completion, row.since)
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

    def batches_in_flight(
        self, limit: int, account_name: str = DEFAULT_ACCOUNT
    ) -> list[InFlightBatch]:
        """See `Queries.batches_in_flight`."""
        which = {"limit": limit, "account_name": account_name}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["in_flight"], which)
            return [InFlightBatch(**row._mapping) for row in rows]

    def take_ended(self, holder: Holder, limit: int) -> list[EndedBatch]:
        """See `Queries.take_ended`."""
        which = {
            "owner": holder.owner,
            "run_id": holder.run_id,
            "lease_seconds": holder.lease_seconds,
            "account_name": holder.account_name,
            "limit": limit,
        }
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["take_ended"], which).all()
        return [
            EndedBatch(
                lease=Lease(row.id, row.fence),
                is_ours=row.installation_id == holder.installation_id,
                company_id=row.company_id,
                company=row.company,
                run_id=row.run_id,
                requests=row.requests,
                model=row.model,
                openai_batch_id=row.openai_batch_id,
                server_status=row.server_status,
                server_errors=tuple(
                    BatchErrorLine(code, line or None)
                    # Batches of before have no lines.
                    for code, line in zip_longest(row.server_errors, row.server_error_lines)
                ),
                server_answered=row.server_answered,
                ended_seconds=row.ended_seconds,
                input_file_id=row.input_file_id,
                output_file_id=row.output_file_id,
                error_file_id=row.error_file_id,
                is_synchronous=row.kind == "synchronous",
                is_of_earlier_installation=row.installation_id == EARLIER_INSTALLATION,
                answered=row.answered,
                completed=row.completed,
                returned=row.returned,
                polls=row.polls,
                incomplete_seconds=row.incomplete_seconds,
                output_bytes=row.output_bytes,
                error_bytes=row.error_bytes,
                price=price_in(row.price),
            )
            for row in rows
        ]

    def leftovers(self, limit: int, account_name: str = DEFAULT_ACCOUNT) -> list[Leftover]:
        """See `Queries.leftovers`."""
        which = {"limit": limit, "account_name": account_name}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["leftovers"], which).all()
        return [
            Leftover(
                row.batch_id,
                tuple(
                    file_id
                    for file_id in (row.output_file_id, row.error_file_id, row.input_file_id)
                    if file_id is not None
                ),
            )
            for row in rows
        ]

    def take_unresolved(self, holder: Holder, limit: int) -> list[UnresolvedBatch]:
        """See `Queries.take_unresolved`."""
        which = {
            "owner": holder.owner,
            "lease_seconds": holder.lease_seconds,
            "account_name": holder.account_name,
            "limit": limit,
        }
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["take_unresolved"], which).all()
        return [
            UnresolvedBatch(
                lease=Lease(row.id, row.fence),
                account=row.account,
                input_file_id=row.input_file_id,
                claimed_at=row.claimed_at,
                sought_at=row.sought_at,
                absences=row.absences,
                absent_since=row.absent_since,
                is_of_earlier_installation=row.is_orphan,
            )
            for row in sorted(rows, key=lambda row: (row.claimed_at, row.id))
        ]
