"""What is not used for a while: the schedule after failed runs, models that the server refuses.

Each call is one statement.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class SchedulerCooldown:
    """What is kept of the cooldowns after failed runs."""

    failed_runs: int = 0
    until: datetime | None = None
    """When a run is tried again, or was; `None` if there is no cooldown."""
    reason: str = ""
    reset_at: datetime | None = None
    """Runs that failed before are not counted."""
    reset_by: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether the schedule starts nothing at this moment."""
        return self.until is not None and self.until > datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ModelCooldown:
    """A model for which nothing is submitted until then."""

    model: str
    until: datetime
    reason: str


@dataclass(frozen=True)
class Cooldowns(EngineQueries):
    """Reads and moves the cooldowns."""

    @retry_lost
    def scheduler(self) -> SchedulerCooldown:
        """The schedule's cooldown, or what is left of the last one."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["scheduler"]).one_or_none()
        return SchedulerCooldown() if row is None else SchedulerCooldown(*row)

    @retry_lost
    def cool_scheduler(self, cooldown: SchedulerCooldown) -> None:
        """Show a cooldown, unless it is shown already or was reset since its `reset_at`."""
        parameters = {
            "failed_runs": cooldown.failed_runs,
            "until": cooldown.until,
            "reason": cooldown.reason,
            "reset_at": cooldown.reset_at,
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["cool_scheduler"], parameters)

    @retry_lost
    def end_scheduler_cooldown(self) -> None:
        """Show that the schedule's cooldown is over."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["end_scheduler_cooldown"])

    @retry_lost
    def reset_scheduler(self, reset_by: str) -> bool:
        """End the cooldown, and count failed runs from now on; whether there was one."""
        with self.autocommit.connect() as connection:
            return bool(
                connection.execute(SQL["reset_scheduler_cooldown"], {"reset_by": reset_by}).scalar()
            )

    @retry_lost
    def models(self) -> list[ModelCooldown]:
        """The models that are in a cooldown now, by name."""
        with self.autocommit.connect() as connection:
            return [ModelCooldown(*row) for row in connection.execute(SQL["models"])]

    @retry_lost
    def is_account_cooling(self) -> bool:
        """Whether nothing is submitted since the server refuses the account."""
        with self.autocommit.connect() as connection:
            return bool(connection.execute(SQL["is_account_cooling"]).scalar_one())

    @retry_lost
    def end_account_cooldown(self) -> bool:
        """Submit again; whether the account was in a cooldown."""
        with self.autocommit.connect() as connection:
            return connection.execute(SQL["end_account_cooldown"]).rowcount == 1
