"""A local HTTP server that speaks the OpenAI Batch API, bills into a ledger and fails on demand.

It stands in for OpenAI in the demo, in tests and in fault drills; docs/local_server.md says how.
"""

from batch_assets_local.batch_server.config import ServerConfig, Timing
from batch_assets_local.batch_server.ledger import Ledger, LedgerEntry, LedgerTotals
from batch_assets_local.batch_server.running import RunningServer, running_server

__all__ = [
    "Ledger",
    "LedgerEntry",
    "LedgerTotals",
    "RunningServer",
    "ServerConfig",
    "Timing",
    "running_server",
]
