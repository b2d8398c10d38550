"""The server's inside, put together: one state directory, its stores, its worker."""

import fcntl
import os
from pathlib import Path
from typing import Self

from batch_assets.domain.errors import LocalStackError
from batch_assets_local.batch_server.batch_view import BatchViews
from batch_assets_local.batch_server.batches import BatchStore
from batch_assets_local.batch_server.completions import Answerer, default_answerer
from batch_assets_local.batch_server.config import ReloadableConfig
from batch_assets_local.batch_server.database import Database
from batch_assets_local.batch_server.files import FileStore
from batch_assets_local.batch_server.ledger import Ledger
from batch_assets_local.batch_server.rows import RowRunner
from batch_assets_local.batch_server.rules import Rules
from batch_assets_local.batch_server.worker import Worker


class BatchService:
    """Everything behind the routes. A context manager: the worker runs inside."""

    def __init__(self, state_dir: Path, answerer: Answerer | None = None) -> None:
        """Open a state directory, made with mode 0700 if it is new, and lock it."""
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _lock(state_dir)
        try:
            self.config = ReloadableConfig(state_dir)
            self.database = Database(state_dir)
        except BaseException:
            os.close(self._lock)
            raise
        self.answerer = answerer or default_answerer()
        self.ledger = Ledger(state_dir)
        self.rules = Rules(self.database, self.config)
        self.files = FileStore(state_dir, self.database, self.config)
        self.batches = BatchStore(self.database, self.config)
        self.views = BatchViews(self.config, self.rules)
        runner = RowRunner(self.config, self.rules, self.answerer)
        self.worker = Worker(self.batches, self.files, self.config, runner)
        self.config.on_change(self.rules.reset)
        self.config.on_change(self.worker.timing_changed)

    def __enter__(self) -> Self:
        self.worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.stop()
        self.database.close()
        os.close(self._lock)


def _lock(state_dir: Path) -> int:
    """Hold the directory for this process; the lock goes when the process does."""
    descriptor = os.open(state_dir / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LocalStackError(
            f"The state directory {state_dir} is in use by another local server; stop that one, "
            "or name another directory."
        ) from None
    return descriptor
