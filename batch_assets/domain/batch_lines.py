"""The lists of batches that stages report, for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MOST_LINES = 20
"""How many batches a report lists; the database has all of them."""

HIDDEN: Mapping[str, bool] = MappingProxyType({"hidden": True})
"""Metadata of a report's field that is for the program alone."""


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One line of a list of batches, for people."""

    batch_id: str
    openai_batch_id: str
    company: str
    """Its name where that is known, else its id."""
    requests: int
    state: str
    sent_by_run: str
