"""A drain: nothing is submitted, and what is under way comes to its end or is handed over.

It lasts until it is lifted, and is what comes before the way back to LiveDash's own batches. This
state is ours alone and has one implementation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batch_assets.domain.display import plural
from batch_assets.domain.health import Health, Hold
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Drain:
    """A drain that is under way: since when, and who began it."""

    began_at: datetime
    began_by: str

    @property
    def hold(self) -> Hold:
        """Why nothing is submitted, and what to do about it."""
        return Hold(
            f"It is drained: {self.began_by} has stopped submissions at "
            f"{self.began_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC. What is under way is read as "
            "ever.",
            "`batch-assets drain --resume` lets submissions go on; `batch-assets drain` says what "
            "is left under way.",
            Health.ATTENTION,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What is ours and not at its end."""

    began_at: datetime | None
    """Since when it is drained; `None`: it is not."""
    began_by: str | None
    unresolved: int
    """Batches of which it is not known whether the server has them."""
    running: int
    """Batches that the server had not ended when last asked."""
    running_for_default: int
    """Those among them that are the default account's: LiveDash can ask for no others."""
    unread: int
    """Batches that have ended and are not read to their end."""
    unwatched: int
    """Batches that an earlier installation has left half-made, and that nobody watches yet."""
    put_off: int
    """Requests that wait for their next try."""
    following: int
    """Requests that share the answer of another one."""
    dead: int
    """Dead letters: they keep nothing from being drained."""

    @property
    def batches(self) -> int:
        """All batches that are not at their end."""
        return self.unresolved + self.running + self.unread + self.unwatched

    @property
    def is_empty(self) -> bool:
        """Whether nothing of ours is under way any more."""
        return not (self.batches or self.put_off or self.following)

    @property
    def sentence(self) -> str:
        """What is under way, in words."""
        parts = {
            "on the server": self.running,
            "to be read": self.unread,
            "of which it is not known whether the server has them": self.unresolved,
            "of an earlier installation that nobody watches yet": self.unwatched,
        }
        said = ", ".join(f"{number:,} {where}" for where, number in parts.items() if number)
        rest = {"put off": self.put_off, "following another one": self.following}
        requests = ", ".join(f"{number:,} {what}" for what, number in rest.items() if number)
        found = [f"{plural(self.batches, 'batch', 'batches')} ({said})"] if self.batches else []
        found += [f"requests in none: {requests}"] if requests else []
        return "; ".join(found) or "nothing"


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Batches that are LiveDash's from now on, and their requests."""

    batches: int = 0
    requests: int = 0


class Drains(EngineQueries):
    """Begins, serves and lifts a drain; each call is one statement."""

    @retry_lost
    def begin(self, began_by: str) -> None:
        """Let nothing be claimed any more; one that has begun stays as it is."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["begin"], {"began_by": began_by})

    @retry_lost
    def lift(self) -> bool:
        """Let submissions go on; whether they were stopped."""
        with self.autocommit.connect() as connection:
            return connection.execute(SQL["lift"]).rowcount == 1

    @retry_lost
    def standing(self) -> Standing:
        """What is left."""
        with self.autocommit.connect() as connection:
            return Standing(**connection.execute(SQL["standing"]).one()._mapping)

    @retry_lost
    def send_back(self) -> int:
        """Let what is put off or follows wait for a batch, whoever makes it; how many requests."""
        with self.autocommit.connect() as connection:
            return int(connection.execute(SQL["send_back"]).scalar_one())

    @retry_lost
    def hand_over(self) -> HandedOver:
        """Give what runs on the server for the default account to LiveDash."""
        with self.autocommit.connect() as connection:
            return HandedOver(**connection.execute(SQL["hand_over"]).one()._mapping)


def drain_in(document: Mapping[str, str] | None) -> Drain | None:
    """The drain as another statement has gathered it."""
    if document is None:
        return None
    return Drain(datetime.fromisoformat(document["began_at"]), document["began_by"])
