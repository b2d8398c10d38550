"""The queries on a database, each handed to the implementation that is chosen for it.

Each says how many rows it has moved: what both implementations would count alike, which is the
answer's, or the argument's where a query has no answer. What may be probed says also what part
of it the original is given then: it needs a statement for each company or batch, and gets one of
them, drawn by lot, so that a probe costs one statement however many there are.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

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
from batch_assets.domain.records import Backlog, Company, Conversation, Lease, RemoteBatch
from batch_assets.store.protocol import Holder, Spent
from batch_assets.store.strategy.run import SAMPLED_ROWS, Runner, Sample, StreamPosition

T = TypeVar("T")


class StrategicQueries:
    """`store.protocol.Queries`, handed on to the implementations, with the rows that were moved."""

    def __init__(self, runner: Runner) -> None:
        self._run = runner.run
        self._stream = runner.stream

    def active_companies(self) -> list[Company]:
        """See `Queries.active_companies`."""
        return self._run("active_companies", lambda queries: queries.active_companies(), len)

    def model_prices(self) -> Mapping[str, Price]:
        """See `Queries.model_prices`."""
        return self._run("model_prices", lambda queries: queries.model_prices(), len)

    def notice_pending(self, limit: int) -> int:
        """See `Queries.notice_pending`."""
        return self._run("notice_pending", lambda queries: queries.notice_pending(limit), int)

    def pending_by_company(
        self, company_ids: Sequence[str], account_name: str = DEFAULT_ACCOUNT
    ) -> list[Backlog]:
        """See `Queries.pending_by_company`."""
        return self._run(
            "pending_by_company",
            lambda queries: queries.pending_by_company(company_ids, account_name),
            len,
            lambda: sample_of_companies(company_ids, account_name),
        )

    def claim(
        self, company_ids: Sequence[str], terms: Terms, holder: Holder, spent: Spent
    ) -> Claim:
        """See `Queries.claim`."""
        return self._run(
            "claim",
            lambda queries: queries.claim(company_ids, terms, holder, spent),
            rows_of_claim,
        )

    def preview(self, company_ids: Sequence[str], terms: Terms) -> list[Packing]:
        """See `Queries.preview`."""
        return self._run(
            "preview", lambda queries: queries.preview(company_ids, terms), rows_of_preview
        )

    def conversations(self, batch_ids: Sequence[str]) -> Iterator[Conversation]:
        """See `Queries.conversations`."""
        return self._stream("conversations", StreamPosition(batch_ids))

    def renew(self, leases: Sequence[Lease], seconds: float) -> set[str]:
        """See `Queries.renew`."""
        return self._run("renew", lambda queries: queries.renew(leases, seconds), len)

    def expire(self, leases: Sequence[Lease]) -> None:
        """See `Queries.expire`."""
        self._run("expire", lambda queries: queries.expire(leases), lambda _: len(leases))

    def record_uploads(self, uploaded: Sequence[UploadedBatch], seconds: float) -> set[str]:
        """See `Queries.record_uploads`."""
        return self._run(
            "record_uploads", lambda queries: queries.record_uploads(uploaded, seconds), len
        )

    def record_submissions(self, submitted: Sequence[SubmittedBatch]) -> set[str]:
        """See `Queries.record_submissions`."""
        return self._run(
            "record_submissions", lambda queries: queries.record_submissions(submitted), len
        )

    def release(self, leases: Sequence[Lease]) -> int:
        """See `Queries.release`."""
        return self._run("release", lambda queries: queries.release(leases), int)

    def batches_in_flight(
        self, limit: int, account_name: str = DEFAULT_ACCOUNT
    ) -> list[InFlightBatch]:
        """See `Queries.batches_in_flight`."""
        return self._run(
            "batches_in_flight", lambda queries: queries.batches_in_flight(limit, account_name), len
        )

    def record_statuses(
        self, seen: Sequence[tuple[InFlightBatch, RemoteBatch]], ended: frozenset[str]
    ) -> int:
        """See `Queries.record_statuses`."""
        return self._run(
            "record_statuses", lambda queries: queries.record_statuses(seen, ended), int
        )

    def take_ended(self, holder: Holder, limit: int) -> list[EndedBatch]:
        """See `Queries.take_ended`."""
        return self._run("take_ended", lambda queries: queries.take_ended(holder, limit), len)

    def rows_of(self, rows: Sequence[BatchRow]) -> Mapping[BatchRow, str | None]:
        """See `Queries.rows_of`."""
        return self._run(
            "rows_of", lambda queries: queries.rows_of(rows), len, lambda: sample_of_rows(rows)
        )

    def write_results(
        self, results: Sequence[BatchOutcomes], policy: Policy
    ) -> Mapping[str, Written]:
        """See `Queries.write_results`."""
        return self._run(
            "write_results",
            lambda queries: queries.write_results(results, policy),
            rows_of_results,
        )

    def open_rows(self, batch_ids: Sequence[str], limit: int) -> list[BatchRow]:
        """See `Queries.open_rows`."""
        return self._run(
            "open_rows",
            lambda queries: queries.open_rows(batch_ids, limit),
            len,
            lambda: sample_of_batches(batch_ids, limit),
        )

    def finalize(self, leases: Sequence[Lease]) -> Mapping[str, int]:
        """See `Queries.finalize`."""
        return self._run("finalize", lambda queries: queries.finalize(leases), len)

    def leftovers(self, limit: int, account_name: str = DEFAULT_ACCOUNT) -> list[Leftover]:
        """See `Queries.leftovers`."""
        return self._run("leftovers", lambda queries: queries.leftovers(limit, account_name), len)

    def record_deleted(self, batch_ids: Sequence[str]) -> None:
        """See `Queries.record_deleted`."""
        self._run(
            "record_deleted",
            lambda queries: queries.record_deleted(batch_ids),
            lambda _: len(batch_ids),
        )

    def requeue_due(self, limit: int, flex: FlexWait = NO_WAIT) -> int:
        """See `Queries.requeue_due`."""
        return self._run("requeue_due", lambda queries: queries.requeue_due(limit, flex), int)

    def take_unresolved(self, holder: Holder, limit: int) -> list[UnresolvedBatch]:
        """See `Queries.take_unresolved`."""
        return self._run(
            "take_unresolved", lambda queries: queries.take_unresolved(holder, limit), len
        )

    def record_absences(self, leases: Sequence[Lease], account: str) -> None:
        """See `Queries.record_absences`."""
        self._run(
            "record_absences",
            lambda queries: queries.record_absences(leases, account),
            lambda _: len(leases),
        )

    def adopt_external(self) -> int:
        """See `Queries.adopt_external`."""
        return self._run("adopt_external", lambda queries: queries.adopt_external(), int)

    def statistics(self) -> list[CompanyStatistics]:
        """See `Queries.statistics`."""
        return self._run("statistics", lambda queries: queries.statistics(), len)


def sample_of_companies(company_ids: Sequence[str], account_name: str = DEFAULT_ACCOUNT) -> Sample:
    """One company of those whose backlog was asked for."""
    some = _draw(company_ids)
    return Sample(
        lambda queries: queries.pending_by_company(some, account_name), len(some), len(company_ids)
    )


def sample_of_batches(batch_ids: Sequence[str], limit: int) -> Sample:
    """One batch of those whose open rows were asked for."""
    some = _draw(batch_ids)
    return Sample(lambda queries: queries.open_rows(some, limit), len(some), len(batch_ids))


def sample_of_rows(rows: Sequence[BatchRow]) -> Sample:
    """Rows of one batch of those that were asked for.

    A row is drawn and not a batch: times the share of its batch that is what all of them take.
    """
    ((batch_id, _),) = _draw(rows)
    some = [row for row in rows if row[0] == batch_id][:SAMPLED_ROWS]
    return Sample(lambda queries: queries.rows_of(some), len(some), len(rows))


def _draw(items: Sequence[T]) -> Sequence[T]:
    at = secrets.randbelow(len(items))
    return items[at : at + 1]


def rows_of_claim(claim: Claim) -> int:
    """Requests that came into a batch or were refused."""
    rejected = sum(claim.rejected.values())
    return rejected + sum(batch.requests for batch in claim.batches)


def rows_of_preview(packings: Sequence[Packing]) -> int:
    """Requests that would come into a batch or be refused."""
    return sum(
        len(packing.rejections) + sum(len(draft.candidates) for draft in packing.drafts)
        for packing in packings
    )


def rows_of_results(written: Mapping[str, Written]) -> int:
    """Outcomes that were applied."""
    return sum(
        one.completed + one.retry + one.dead + one.returned + one.discarded
        for one in written.values()
    )
