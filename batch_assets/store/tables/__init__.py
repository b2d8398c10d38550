"""The tables as SQLAlchemy Core sees them: LiveDash's in `public`, ours in `batch_assets`.

To import the package is to know all of them: they are in `metadata`.
"""

from batch_assets.store.tables import batches, costs, livedash, requests, runs
from batch_assets.store.tables.base import metadata

__all__ = ["batches", "costs", "livedash", "metadata", "requests", "runs"]
