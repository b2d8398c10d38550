"""The configuration in force: loaded from the state directory, replaced while the server runs."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from batch_assets_local.batch_server.config import ServerConfig, parse_config
from batch_assets_local.batch_server.models import Catalog

CONFIG_NAME = "config.json"
KEY_NAME = "key"
"""A file of the state directory. Where it exists, the key in it is the only one that is let in."""


class LiveConfig:
    """Holds the configuration, its model catalog and the clock that it can put forward."""

    def __init__(self, state_dir: Path) -> None:
        """Read `config.json` of the state directory; without one the defaults hold."""
        self._path = state_dir / CONFIG_NAME
        self._listeners: list[Callable[[], None]] = []
        config = ServerConfig()
        if self._path.exists():
            config = parse_config(self._path.read_bytes())
        self._use(config)
        key_file = state_dir / KEY_NAME
        self.only_key = key_file.read_text(encoding="ascii") if key_file.exists() else None

    def _use(self, config: ServerConfig) -> None:
        self.current = config
        self.catalog = Catalog(extra.model() for extra in config.models)

    def replace(self, config: ServerConfig) -> None:
        """Put another configuration in force, on disk (atomically) and then in memory."""
        document = config.model_dump_json(indent=2, exclude_defaults=True)
        write_atomically(self._path, document + "\n")
        self._use(config)
        for listener in self._listeners:
            listener()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call the listener, in the changing thread, after each change."""
        self._listeners.append(listener)

    def now(self) -> float:
        """The server's Unix time, put forward by `timing.clock_offset_seconds`."""
        return self.shown_now() + self.current.timing.clock_offset_seconds

    def shown_now(self) -> float:
        """Unix time as the header `Date` has it: off by `timing.clock_skew_seconds`."""
        return time.time() + self.current.timing.clock_skew_seconds


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content so that readers see the old text or the new, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    draft.replace(path)
