"""What is ours alone and has one implementation: which installation this is, and what rests."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from batch_assets.store.optimized.batches import return_rows
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Installation:
    """This database as an installation of ours. The id travels with all that we make remotely."""

    id: str
    is_confirmed: bool
    is_at_home: bool
    """False on a clone or a restored copy: nothing remote may be touched from here."""
    home_database: str
    foreign_batches: int
    """Batches that LiveDash itself has made a short while ago."""

    @property
    def hold_reason(self) -> str | None:
        """Why nothing may be submitted now and what to do about it, or `None`."""
        if not self.is_at_home:
            return (
                f"This database is a copy or has moved (it was installed as {self.home_database}): "
                "run `batch-assets confirm --moved` if the original is retired, or "
                "`batch-assets confirm --copy` if both live on."
            )
        if not self.is_confirmed:
            return (
                "Nothing has been submitted from this database yet: look at "
                "`batch-assets plan --dry-run`, then run `batch-assets confirm` to allow it."
            )
        if self.foreign_batches:
            return (
                f"LiveDash itself made {self.foreign_batches} batches a short while ago: turn its "
                "batch timers off (BATCH_PROCESSING_ENABLED=false in LiveDash's environment) so "
                "that no request is bought twice."
            )
        return None


@dataclass(frozen=True, slots=True)
class Registry:
    """Reads and moves the installation's one row and the models' pauses."""

    engine: Engine
    foreign_quiet_seconds: float

    def installation(self) -> Installation:
        """The installation as it is now; one statement."""
        with self.engine.begin() as connection:
            row = connection.execute(
                SQL["installation"], {"quiet_seconds": self.foreign_quiet_seconds}
            ).one()
        return Installation(
            id=row.id,
            is_confirmed=row.is_confirmed,
            is_at_home=row.is_at_home,
            home_database=row.database_name,
            foreign_batches=row.foreign_batches,
        )

    def confirm(self, confirmed_by: str) -> None:
        """Allow submissions from this database."""
        with self.engine.begin() as connection:
            connection.execute(SQL["confirm"], {"confirmed_by": confirmed_by})

    def settle_here(self, confirmed_by: str, *, as_copy: bool) -> None:
        """Make this database the installation's home; a copy gets an id of its own.

        In a copy, requests of batches that the original had not submitted yet wait again.
        """
        with self.engine.begin() as connection:
            connection.execute(SQL["settle_here"], {"as_copy": as_copy})
            if as_copy:
                left = connection.execute(SQL["leave_unresolved_to_the_original"]).scalars()
                return_rows(connection, list(left), "released")
            connection.execute(SQL["confirm"], {"confirmed_by": confirmed_by})

    def pause_model(self, model: str, seconds: float, reason: str) -> None:
        """Let a model rest; a longer rest that is under way stays."""
        with self.engine.begin() as connection:
            connection.execute(
                SQL["pause_model"], {"model": model, "seconds": seconds, "reason": reason}
            )
