"""Whether each request is in exactly one bucket: after each run, and over every row."""

from typing import Final

from batch_assets.domain.conservation import Audit, Look
from batch_assets.store.conservation import Conservation

_MARGIN_SECONDS: Final = 1.0
"""So that what was finished in a run's first moment is among what is looked at."""


def check_open_rows(conservation: Conservation, run_seconds: float) -> Look:
    """What is open, and what was finished since the run began so many seconds ago."""
    return conservation.open_rows(run_seconds + _MARGIN_SECONDS)


def audit_rows(conservation: Conservation) -> Audit:
    """Every row of every company."""
    return conservation.all_rows()
