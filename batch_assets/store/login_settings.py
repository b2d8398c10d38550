"""What the drivers and our statements take for granted of a session: fixed at login.

A role's, a database's or a server's own settings would decide it otherwise: a role with the
DateStyle `SQL, DMY` has dates that the driver cannot read, one whose commits are not durable loses
the record of what was bought.
"""

import os
from collections.abc import Mapping
from typing import Final

SESSION: Final[Mapping[str, str]] = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # What a policy hides would be missed by nobody: it is an error instead.
    "row_security": "off",
    # A call is made once its intent is committed, which a crash of the server must not undo.
    "synchronous_commit": "on",
    # Every name of ours says its schema: what stands in a search path is a stranger's.
    "search_path": "pg_catalog",
}
"""What counts for every session of the application's and the migrations'."""

WITHOUT_LIMITS: Final[Mapping[str, str]] = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
"""For whoever sets limits of its own, or needs none."""

TRANSACTION_TIMEOUT_SINCE: Final = 170_000
WITHOUT_TRANSACTION_TIMEOUT: Final[Mapping[str, str]] = {"transaction_timeout": "0"}
"""Likewise, for servers of that version or a later one: an older one lets nobody in with it."""

_ENVIRONMENT: Final[Mapping[str, str]] = {"PGDATESTYLE": "ISO", "PGTZ": "UTC"}


def login_options(settings: Mapping[str, str]) -> str:
    """The settings as libpq's parameter `options`; of two with one name the last one holds."""
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def settle_libpq() -> None:
    """Let libpq's own variables say the same.

    They go before `options`, and they are all that a pooler takes that refuses those.
    """
    os.environ.update(_ENVIRONMENT)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace(" ", r"\ ")
