"""The queries of the pipeline: one Protocol, implemented twice.

Every query is set-shaped, so that an implementation may do it row by row or at once. Each call
is atomic for each batch (or company) that it moves unless it says otherwise: it commits before it
returns, and what it returns is what was committed. Errors are SQLAlchemy's; a lost lease is no
error but shows in the answer. Nothing here speaks to the API, so a query may be repeated.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.batches import (
    BatchOutcomes,
    BatchRow,
    Claim,
    EndedBatch,
    InFlightBatch,
    Leftover,
    SubmittedBatch,
    UnresolvedBatch,
    UploadedBatch,
    Written,
)
from batch_assets.domain.lookups import CompanyStatistics
from batch_assets.domain.money import Price
from batch_assets.domain.packing import Packing, Terms
from batch_assets.domain.policy import NO_WAIT, FlexWait, Policy
from batch_assets.domain.records import (
    Backlog,
    Company,
    Conversation,
    Lease,
    RemoteBatch,
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who takes leases: kept with each batch, so that a person can find the run again."""

    owner: str
    run_id: str
    installation_id: str
    lease_seconds: float
    account: str | None = None
    """A short hash of the key and the address that the calls are made with."""
    account_name: str = DEFAULT_ACCOUNT
    """The account that they are made with, as settings call it."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Requests and their estimated cost that count against a cap."""

    requests: int = 0
    cost_eur: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.requests + other.requests, self.cost_eur + other.cost_eur)

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.requests - other.requests, self.cost_eur - other.cost_eur)


class Queries(Protocol):
    """Everything that the stages ask of the database and that has two implementations."""

    def active_companies(self) -> list[Company]:
        """The companies whose status is ACTIVE, by id."""
        ...

    def model_prices(self) -> Mapping[str, Price]:
        """LiveDash's prices that are in effect now, by the model's name."""
        ...

    def notice_pending(self, limit: int) -> int:
        """Bring the intake up to date: at most `limit` new rows; how many came in.

        Of every company, whatever its status: one that is made active again finds its rows there.
        Entries of requests that no longer wait go, a bounded number of them at a time.
        """
        ...

    def pending_by_company(
        self, company_ids: Sequence[str], account_name: str = DEFAULT_ACCOUNT
    ) -> list[Backlog]:
        """What waits in the intake for each of these companies that an account serves and that has
        anything waiting, oldest first.
        """
        ...

    def claim(
        self, company_ids: Sequence[str], terms: Terms, holder: Holder, spent: Spent
    ) -> Claim:
        """Claim due requests into batches, until `policy.batches_per_claim`, `rows_per_claim` or
        `bytes_per_claim` is reached or, by the last of them, exceeded.

        A batch ends where the policy's limits on batches, a cap or an allowance end it, or where no
        more of its company and model waits.

        All that is claimed for a company is one transaction: caps, token allowances, cooldowns and
        the company's status are checked in it, under a lock that lets one claim run at a time, and
        so is that the company is served by the account of `terms`. Rows that can never be sent
        become dead letters.
        """
        ...

    def preview(self, company_ids: Sequence[str], terms: Terms) -> list[Packing]:
        """What a run would claim for those of the companies that are due, in its order: where a
        request has waited longest first. Changes nothing.
        """
        ...

    def conversations(self, batch_ids: Sequence[str]) -> Iterator[Conversation]:
        """The conversations of claimed batches, streamed: batches in the order in which they are
        given, and each by its requests' positions, which is the oldest first.

        A request whose session was deleted meanwhile is not among them. A transaction may be open
        until the last one was taken: nothing is called over the network before.
        """
        ...

    def renew(self, leases: Sequence[Lease], seconds: float) -> set[str]:
        """Extend leases; the ids of the batches that are still held."""
        ...

    def expire(self, leases: Sequence[Lease]) -> None:
        """Give leases up, so that the next run may take the batches over."""
        ...

    def record_uploads(self, uploaded: Sequence[UploadedBatch], seconds: float) -> set[str]:
        """claimed -> uploaded, leases renewed; the ids of those that are still held.

        Dropped rows go back to waiting.
        """
        ...

    def record_submissions(self, submitted: Sequence[SubmittedBatch]) -> set[str]:
        """claimed or uploaded -> submitted, leases ended; the ids of those that were moved."""
        ...

    def release(self, leases: Sequence[Lease]) -> int:
        """claimed or uploaded -> released: nothing was bought; how many rows wait again."""
        ...

    def batches_in_flight(
        self, limit: int, account_name: str = DEFAULT_ACCOUNT
    ) -> list[InFlightBatch]:
        """Batches of an account that the server had not ended when last asked, oldest first."""
        ...

    def record_statuses(
        self, seen: Sequence[tuple[InFlightBatch, RemoteBatch]], ended: frozenset[str]
    ) -> int:
        """Keep the server's word; batches whose id is in `ended` go submitted -> ended."""
        ...

    def take_ended(self, holder: Holder, limit: int) -> list[EndedBatch]:
        """Take leases on ended batches of the holder's account that nobody works on, the oldest
        first.
        """
        ...

    def rows_of(self, rows: Sequence[BatchRow]) -> Mapping[BatchRow, str | None]:
        """The processing type of each of these that is a row of its batch.

        `None`: the request was deleted with its session. A pair that is missing here is a request
        of another batch, or of none.
        """
        ...

    def write_results(
        self, results: Sequence[BatchOutcomes], policy: Policy
    ) -> Mapping[str, Written]:
        """Apply the outcomes of some batches, each batch once; what was done, by the batch's id.

        Idempotent: a row whose attempt has ended is counted as a duplicate and left as it is. Of a
        batch that is missing in the answer the lease was lost, and nothing was written.
        """
        ...

    def open_rows(self, batch_ids: Sequence[str], limit: int) -> list[BatchRow]:
        """At most `limit` rows of these batches that have no outcome yet, by batch and request."""
        ...

    def finalize(self, leases: Sequence[Lease]) -> Mapping[str, int]:
        """ended -> finalized: rows without an answer wait again; how many, by the batch's id.

        Of a batch that is missing in the answer the lease was lost.
        """
        ...

    def leftovers(self, limit: int, account_name: str = DEFAULT_ACCOUNT) -> list[Leftover]:
        """Finalized and released batches of ours, made with an account, whose files may be on its
        server, oldest first.

        None while anything is kept that this database does not know: a copy may be at work.
        """
        ...

    def record_deleted(self, batch_ids: Sequence[str]) -> None:
        """Note that the files of these batches are gone from the server."""
        ...

    def requeue_due(self, limit: int, flex: FlexWait = NO_WAIT) -> int:
        """Failed requests whose retry date has come wait again, unless left to flex; how many."""
        ...

    def take_unresolved(self, holder: Holder, limit: int) -> list[UnresolvedBatch]:
        """Take over batches of the holder's account that were not submitted and whose lease has run
        out, oldest first.
        """
        ...

    def record_absences(self, leases: Sequence[Lease], account: str) -> None:
        """Note that the lists of this account did not show these batches, and give their leases up.

        The lists were proved to be those of the batches: they are this account's from now on.
        """
        ...

    def adopt_external(self) -> int:
        """Keep watch over batches that LiveDash itself has in flight; how many are new."""
        ...

    def statistics(self) -> list[CompanyStatistics]:
        """Every company with its requests by bucket and its money, largest first."""
        ...
