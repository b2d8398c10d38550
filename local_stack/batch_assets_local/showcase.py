"""What the demo shows of its results: a few analyses, and why requests have failed."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


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
