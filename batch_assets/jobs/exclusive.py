"""What keeps runs that submit from going on side by side."""

from collections.abc import Mapping
from typing import Final

EXCLUSIVE: Final[Mapping[str, str]] = {"batch_assets/exclusive": "batch_processing_job"}
"""`dagster.yaml` lets one run with this tag start at a time, whichever job it is of."""
