"""What the ops of a run hand on, by run and op: each operation is one statement.

It is for metrics, tags and sentences alone. What is sent, read or deleted is decided by the tables
of requests and batches.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class RunStates(EngineQueries):
    """Keeps what an op hands on for a day."""

    @retry_lost
    def keep(self, run_id: str, op: str, state: Mapping[str, Any]) -> None:
        """Keep what an op hands on, in place of what it handed on before."""
        which = {"run_id": run_id, "op": op, "state": json.dumps(state)}
        with self.autocommit.connect() as connection:
            connection.execute(SQL["keep"], which)

    @retry_lost
    def read(self, run_id: str, op: str) -> dict[str, Any] | None:
        """Read what an op has handed on; `None` if it has not, or more than a day ago."""
        with self.autocommit.connect() as connection:
            found = connection.execute(SQL["read"], {"run_id": run_id, "op": op}).scalar()
        return None if found is None else dict(found)
