"""The mode that an operator has chosen for all runs: it stands until it is taken back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.sql import load
from batch_assets.store.strategy.modes import QueryMode

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class StoredMode:
    """A mode that goes before the environment's, by whom it was chosen and when."""

    mode: QueryMode
    chosen_by: str
    chosen_at: datetime

    @property
    def asked_in(self) -> str:
        """Where the mode was asked for, for people."""
        at = f"{self.chosen_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return f"a stored choice ({self.chosen_by}, {at})"


@dataclass(frozen=True)
class StoredModes(EngineQueries):
    """Keeps at most one choice. Each operation here is one statement."""

    @retry_lost
    def read(self) -> StoredMode | None:
        """The choice that stands; `None`: the environment says."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["read"]).one_or_none()
        return None if row is None else stored_mode_in(row._asdict())

    @retry_lost
    def keep(self, mode: QueryMode, chosen_by: str) -> StoredMode:
        """Let this mode stand from now on."""
        with self.autocommit.connect() as connection:
            row = connection.execute(
                SQL["keep"], {"mode": mode.stored, "chosen_by": chosen_by}
            ).one()
        return StoredMode(QueryMode(row.mode), row.chosen_by, row.chosen_at)

    @retry_lost
    def forget(self) -> None:
        """Let the environment say again."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["forget"])


def stored_mode_in(document: Mapping[str, Any]) -> StoredMode:
    """The choice as another statement has gathered it; a moment may be text, as JSON has it."""
    at = document["chosen_at"]
    return StoredMode(
        mode=QueryMode(document["mode"]),
        chosen_by=document["chosen_by"],
        chosen_at=datetime.fromisoformat(at) if isinstance(at, str) else at,
    )
