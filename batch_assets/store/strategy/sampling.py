"""The part of an operation that is done a second time, only to be measured.

The original needs a statement for each company or batch. It is given one of them, drawn by lot, so
that a probe costs one statement however many there are, and its time is compared by the item.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from batch_assets.domain.batches import BatchRow
from batch_assets.store.protocol import Queries

T = TypeVar("T")

SAMPLED_ROWS: Final = 10_000
"""So many rows of a batch at most are asked for, and as many at most are read a second time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some of the items that an operation was asked for: companies, batches or their rows."""

    act: Callable[[Queries], Any]
    """Does the operation for these alone."""
    items: int
    of: int
    """How many the operation was asked for."""


def sample_of_companies(company_ids: Sequence[str]) -> Sample:
    """One company of those whose backlog was asked for."""
    some = _draw(company_ids)
    return Sample(lambda queries: queries.pending_by_company(some), len(some), len(company_ids))


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
