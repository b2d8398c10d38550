"""What the demo asks of the database: conversations that come in, those that are open, and results.

New conversations come in unless those that an earlier demo brought in are open.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from batch_assets.store.sql import load
from batch_assets_local.samples import DEFAULT_SEED, seed_database

SQL = load(Path(__file__).with_suffix(".sql"))


def bring_in(engine: Engine, database_url: str) -> int:
    """Add the first set of samples that is not there yet, and tell how many conversations it has.

    0, and nothing is added, if there are open conversations: then a demo was cut off, at whatever
    instant, and its conversations are to be finished first. Two demos at a time bring in one set.
    """
    with engine.begin() as connection:
        connection.execute(SQL["one_at_a_time"])
        if connection.execute(SQL["open_conversations"]).scalar_one():
            return 0
        seed = DEFAULT_SEED
        while True:
            added = seed_database(database_url, seed=seed, now=datetime.now(UTC)).sessions
            if added:
                return added
            seed += 1


def open_conversations(engine: Engine) -> int:
    """How many conversations of active companies have a request that has not come to its end."""
    with engine.begin() as connection:
        return int(connection.execute(SQL["open_conversations"]).scalar_one())


def release(engine: Engine) -> None:
    """Let the next run go on with what runs hold that were cut off, and with what waits for a date.

    Only while no run is active. A run that lives on after all has lost its leases, and sees it.
    """
    with engine.begin() as connection:
        connection.execute(SQL["expire_leases"])
        connection.execute(SQL["hasten_retries"])


@dataclass(frozen=True, slots=True)
class Example:
    """One analysed session. Its texts are a model's and an employee's: escape them."""

    company: str
    language: str
    category: str
    sentiment: str
    escalated: bool
    forwarded_hr: bool
    questions: int
    summary: str


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many requests of a company are in the dead letters for one reason."""

    company: str
    reason: str
    requests: int


def examples(engine: Engine, limit: int) -> list[Example]:
    """Some sessions that were analysed last and in full, each in another language."""
    with engine.begin() as connection:
        rows = connection.execute(SQL["examples"], {"limit": limit})
        return [Example(**row._mapping) for row in rows]


def failures(engine: Engine) -> list[FailureCount]:
    """The reasons of all dead letters, the most frequent first."""
    with engine.begin() as connection:
        return [FailureCount(**row._mapping) for row in connection.execute(SQL["failures"])]
