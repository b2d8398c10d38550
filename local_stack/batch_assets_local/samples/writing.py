"""Writes companies, sessions and their requests as LiveDash would, in sets and all or nothing.

`seed_database` fills a database with those of the demo.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any, Final, LiteralString
from uuid import uuid5

import psycopg

from batch_assets_local.samples import seed_statements as statements
from batch_assets_local.samples.records import (
    NAMESPACE,
    SampleCompany,
    SampleMessage,
    SampleSession,
    sample_companies,
)
from batch_assets_local.samples.sessions import DEFAULT_SEED, sample_sessions

Target = psycopg.Connection[Any] | str
"""An open psycopg connection, or the URL of a database."""

_SESSIONS_A_STATEMENT: Final = 500
_TYPE: Final = "session_analysis"
"""The only one that LiveDash makes."""


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """How many rows were added; all 0 when everything was there already."""

    companies: int
    sessions: int
    messages: int
    requests: int


def connected(target: Target) -> AbstractContextManager[psycopg.Connection[Any]]:
    """The connection itself, which stays open, or a new one that is closed at the end."""
    return psycopg.connect(target) if isinstance(target, str) else nullcontext(target)


def write_samples(
    connection: psycopg.Connection[Any],
    companies: Sequence[SampleCompany],
    sessions: Iterable[SampleSession],
    now: datetime,
) -> SeedSummary:
    """Adds what is not there yet, in one transaction; reads `sessions` a few hundred at a time.

    Within a transaction of the caller's it is a part of that one. psycopg's errors come through.
    """
    with connection.transaction():
        added_companies = _add(connection, statements.COMPANIES, _company_rows(companies, now))
        added = [0, 0, 0]
        for chunk in _chunks(sessions):
            added[0] += _add(connection, statements.SESSIONS, map(_session_row, chunk))
            added[1] += _add(connection, statements.MESSAGES, _message_rows(chunk))
            _add(connection, statements.STAGES, map(_stage_row, chunk))
            added[2] += _add(connection, statements.REQUESTS, map(_request_row, chunk))
    return SeedSummary(added_companies, *added)


def _chunks(sessions: Iterable[SampleSession]) -> Iterator[list[SampleSession]]:
    remaining = iter(sessions)
    while chunk := list(islice(remaining, _SESSIONS_A_STATEMENT)):
        yield chunk


def _add(
    connection: psycopg.Connection[Any],
    statement: LiteralString,
    rows: Iterable[Sequence[object]],
) -> int:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return connection.execute(statement, columns).rowcount if columns else 0


def _company_rows(
    companies: Iterable[SampleCompany], now: datetime
) -> Iterator[tuple[object, ...]]:
    for company in companies:
        yield company.id, company.name, company.status, company.csv_url, now


def _session_row(session: SampleSession) -> tuple[object, ...]:
    asked = [message.content for message in session.messages if message.role == "user"]
    return (
        session.id,
        session.company_id,
        session.start,
        session.end,
        session.ip,
        session.country,
        _response_seconds(session.messages),
        asked[0] if asked else None,
        _transcript_url(session),
        session.imported,
    )


def _transcript_url(session: SampleSession) -> str:
    return f"https://export.example/livedash/{session.id}.txt"


def _response_seconds(messages: Sequence[SampleMessage]) -> float | None:
    """How long an answer took on average."""
    waits = [
        (after.timestamp - before.timestamp).total_seconds()
        for before, after in pairwise(messages)
        if before.role == "user" and after.role == "assistant"
        if before.timestamp and after.timestamp
    ]
    return sum(waits) / len(waits) if waits else None


def _message_rows(sessions: Iterable[SampleSession]) -> Iterator[tuple[object, ...]]:
    for session in sessions:
        for message in session.messages:
            yield (
                str(uuid5(NAMESPACE, f"{session.id}:{message.order}")),
                session.id,
                message.timestamp,
                message.role,
                message.content,
                message.order,
                session.imported,
            )


def _stage_row(session: SampleSession) -> tuple[object, ...]:
    return (
        session.id,
        session.imported,
        session.requested,
        session.transcript_characters,
        _transcript_url(session),
    )


def _request_row(session: SampleSession) -> tuple[object, ...]:
    return (
        str(uuid5(NAMESPACE, f"{session.id}:{_TYPE}")),
        session.id,
        session.model,
        _TYPE,
        session.requested,
    )


@dataclass(frozen=True, slots=True)
class SampleModel:
    """A model as LiveDash lists it. Prices are in USD a token; `None`: LiveDash has none."""

    name: str
    max_tokens: int
    prompt_price: float | None = None
    completion_price: float | None = None

    @property
    def id(self) -> str:
        """The same on every machine."""
        return str(uuid5(NAMESPACE, f"model:{self.name}"))


def write_models(
    connection: psycopg.Connection[Any], models: Sequence[SampleModel], since: datetime
) -> None:
    """Adds the models that are not there yet, with their prices from `since` on."""
    rows = [(model.id, model.name, model.max_tokens, since) for model in models]
    _add(connection, statements.MODELS, rows)
    prices = [
        (
            str(uuid5(NAMESPACE, f"price:{model.name}")),
            model.id,
            model.prompt_price,
            model.completion_price,
            since,
        )
        for model in models
        if model.prompt_price is not None
    ]
    _add(connection, statements.PRICES, prices)


# gpt-5-mini has no price here, so that the demo also shows the prices of the package.
_MODELS: Final = (
    SampleModel("gpt-4o-mini", 128_000, 0.15e-6, 0.60e-6),
    SampleModel("gpt-4.1-mini", 1_047_576, 0.40e-6, 1.60e-6),
    SampleModel("gpt-5-mini", 400_000),
)
_PRICED_SINCE: Final = datetime(2025, 8, 7, tzinfo=UTC)


def seed_database(target: Target, *, seed: int = DEFAULT_SEED, now: datetime) -> SeedSummary:
    """Adds the demo's companies, sessions, messages, pending requests, models and prices.

    All in one transaction. A second call with the same seed adds nothing, whatever became of the
    rows meanwhile; another seed adds other sessions of the same companies. `now` needs a time
    zone. The database has to be migrated; psycopg's errors come through.
    """
    with connected(target) as connection, connection.transaction():
        write_models(connection, _MODELS, _PRICED_SINCE)
        return write_samples(connection, sample_companies(), sample_sessions(seed, now=now), now)
