"""What rests for a while: the schedule after failed runs, models without room on the server.

Each operation here is one statement.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class SchedulerPause:
    """What is kept of the pauses after failed runs."""

    failed_runs: int = 0
    until: datetime | None = None
    """When a run is tried again, or was; `None` if there is no pause."""
    reason: str = ""
    reset_at: datetime | None = None
    """Runs that failed before are not counted."""
    reset_by: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether the schedule rests at this moment."""
        return self.until is not None and self.until > datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RestingModel:
    """A model for which nothing is submitted until then."""

    model: str
    until: datetime
    reason: str


@dataclass(frozen=True)
class Pauses(EngineQueries):
    """Reads and moves the pauses."""

    @retry_lost
    def scheduler(self) -> SchedulerPause:
        """The pause, or what is left of the last one."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["scheduler_pause"]).one_or_none()
        return SchedulerPause() if row is None else SchedulerPause(*row)

    @retry_lost
    def pause_scheduler(self, pause: SchedulerPause) -> None:
        """Show a pause, unless it is shown already or was reset since `pause.reset_at`."""
        parameters = {
            "failed_runs": pause.failed_runs,
            "until": pause.until,
            "reason": pause.reason,
            "reset_at": pause.reset_at,
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["pause_scheduler"], parameters)

    @retry_lost
    def end_scheduler_pause(self) -> None:
        """Show that there is no pause any more."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["end_scheduler_pause"])

    @retry_lost
    def reset_scheduler(self, reset_by: str) -> bool:
        """End the pause, and count failed runs from now on; whether there was a pause."""
        with self.autocommit.connect() as connection:
            return bool(
                connection.execute(SQL["reset_scheduler_pause"], {"reset_by": reset_by}).scalar()
            )

    @retry_lost
    def resting_models(self) -> list[RestingModel]:
        """The models that rest now, by name."""
        with self.autocommit.connect() as connection:
            return [RestingModel(*row) for row in connection.execute(SQL["resting_models"])]

    @retry_lost
    def is_account_resting(self) -> bool:
        """Whether nothing is submitted since the server refuses the account."""
        with self.autocommit.connect() as connection:
            return bool(connection.execute(SQL["is_account_resting"]).scalar_one())

    @retry_lost
    def end_account_rest(self) -> bool:
        """Submit again; whether the account rested."""
        with self.autocommit.connect() as connection:
            return connection.execute(SQL["end_account_rest"]).rowcount == 1
