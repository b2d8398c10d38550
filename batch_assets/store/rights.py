"""The rights of the role that runs, in one list: `migrate --grant-to` gives them, an error names
the one that is missing, and `docs/rights.md` says them.

Of LiveDash's companies only columns are given: `csvPassword` stays where it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from batch_assets.store.sql import load
from batch_assets.store.tables.base import LIVEDASH_SCHEMA, OWN_SCHEMA

_SQL = load(Path(__file__).with_suffix(".sql"))

LIVEDASH_RIGHTS: Final = {
    "Company": "SELECT(id) SELECT(name) SELECT(status)",
    "Session": "SELECT UPDATE",
    "Message": "SELECT",
    "AIBatchRequest": "SELECT INSERT UPDATE DELETE",
    "AIProcessingRequest": "SELECT UPDATE",
    "AIModel": "SELECT",
    "AIModelPricing": "SELECT",
    "SessionProcessingStatus": "SELECT INSERT UPDATE",
    "Question": "SELECT INSERT",
    "SessionQuestion": "SELECT INSERT DELETE",
}
OWN_RIGHTS: Final = {
    "abandoned_batch": "SELECT INSERT UPDATE",
    "account_cooldown": "SELECT INSERT UPDATE",
    "account_look": "SELECT INSERT UPDATE",
    "alembic_version": "SELECT",
    "alert": "SELECT INSERT UPDATE",
    "alert_delivery": "SELECT INSERT UPDATE",
    "allowance": "SELECT INSERT UPDATE",
    "attempt": "SELECT INSERT UPDATE",
    "batch": "SELECT INSERT UPDATE DELETE",
    "bisection_request": "SELECT INSERT UPDATE DELETE",
    "breaker": "SELECT INSERT UPDATE DELETE",
    "budget": "SELECT INSERT UPDATE DELETE",
    "company_account": "SELECT INSERT UPDATE DELETE",
    "daily_cost": "SELECT INSERT UPDATE",
    "dead_letter": "SELECT INSERT UPDATE DELETE",
    "drain": "SELECT INSERT DELETE",
    "duplicate_batch": "SELECT INSERT UPDATE",
    "follower": "SELECT INSERT UPDATE DELETE",
    "installation": "SELECT UPDATE",
    "intake": "SELECT INSERT UPDATE DELETE",
    "intake_progress": "SELECT INSERT UPDATE",
    "learnt_usage": "SELECT INSERT UPDATE",
    "livedash_act": "SELECT INSERT DELETE",
    "livedash_watch": "SELECT INSERT UPDATE",
    "model_cooldown": "SELECT INSERT UPDATE",
    "operation_choice": "SELECT INSERT UPDATE",
    "operation_run": "SELECT INSERT DELETE",
    "query_mode": "SELECT INSERT UPDATE DELETE",
    "question_staging": "SELECT INSERT DELETE",
    "result_staging": "SELECT INSERT DELETE",
    "retry": "SELECT INSERT UPDATE DELETE",
    "run_metric": "SELECT INSERT UPDATE DELETE",
    "run_process": "SELECT INSERT UPDATE DELETE",
    "run_reading": "SELECT INSERT UPDATE DELETE",
    "run_state": "SELECT INSERT UPDATE DELETE",
    "schedule_cooldown": "SELECT INSERT UPDATE",
    "search": "SELECT INSERT UPDATE",
    "session_staging": "SELECT INSERT DELETE",
    "synchronous_request": "SELECT INSERT DELETE",
    "unknown_batch": "SELECT INSERT UPDATE",
}
"""By table; a row that is locked (FOR UPDATE) or may be in an upsert needs UPDATE, too."""

_EACH: Final = [
    (schema, table, *word.rstrip(")").partition("(")[::2])
    for schema, rights in ((LIVEDASH_SCHEMA, LIVEDASH_RIGHTS), (OWN_SCHEMA, OWN_RIGHTS))
    for table, words in rights.items()
    for word in words.split()
]
_TABLES: Final = {
    "schemas": [schema for schema, _, _, _ in _EACH],
    "tables": [table for _, table, _, _ in _EACH],
}
_NEEDED: Final = {
    **_TABLES,
    "words": [word for _, _, word, _ in _EACH],
    "columns": [column or None for _, _, _, column in _EACH],
}


@dataclass(frozen=True, slots=True)
class Right:
    """What a role lacks."""

    said: str
    """As in `SELECT, UPDATE on public."Session"`."""
    given_by: str
    """The GRANT, as the server has quoted it."""


def missing_rights(connection: Connection, role: str | None = None) -> list[Right]:
    """What a role, by default the session's, lacks of the rights of whoever runs.

    Of Dagster's tables, too, where they are in this database.
    """
    rows = connection.execute(_SQL["missing"], {"role": role, **_NEEDED})
    return [Right(row.said, row.given_by) for row in rows]


def missing_rights_of_dagster(connection: Connection) -> list[Right]:
    """What the session's role lacks of those on Dagster's tables alone."""
    rows = connection.execute(_SQL["missing_of_dagster"], {"role": None})
    return [Right(row.said, row.given_by) for row in rows]


def given_on_later_dagster_tables(connection: Connection) -> list[str]:
    """The roles that have rights on what is made later in Dagster's schema."""
    return list(connection.execute(_SQL["given_later"]).scalars())


def missing_to_migrate(connection: Connection) -> list[str]:
    """What the session's role lacks of the rights of whoever migrates."""
    return list(connection.execute(_SQL["missing_to_migrate"]).scalars())


def hidden_tables(connection: Connection, role: str | None = None) -> list[str]:
    """The tables of which a policy would hide rows from a role, by default the session's."""
    return list(connection.execute(_SQL["hidden"], {"role": role, **_TABLES}).scalars())


def role_of(connection: Connection) -> str:
    """The role whose rights count in this session."""
    return str(connection.execute(_SQL["who"]).scalar_one())


def is_role(connection: Connection, role: str) -> bool:
    """Whether the server knows a role of that name."""
    return bool(connection.execute(_SQL["is_role"], {"role": role}).scalar_one())


def rights_on_later_tables(connection: Connection, role: str) -> Sequence[str]:
    """The statements that give a role its rights on what the session's user makes later."""
    return connection.execute(_SQL["later"], {"role": role}).scalars().all()
