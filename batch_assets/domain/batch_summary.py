"""The batches that a stage reports, as people read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MOST_LISTED = 20
"""How many batches a report lists; the database has all of them."""

HIDDEN: Mapping[str, bool] = MappingProxyType({"hidden": True})
"""Metadata of a report's field that is for the program alone."""


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """One batch in the list of a report."""

    batch_id: str
    openai_batch_id: str
    company: str
    """Its name where that is known, else its id."""
    requests: int
    state: str
    sent_by_run: str
