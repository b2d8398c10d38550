"""Where the migrations lie and what they are: Alembic's configuration and the SQL scripts."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

PROJECT: Final = Path(__file__).resolve().parents[3]

Report = Callable[[str], None]
"""Takes one sentence on what was done or found; for the command line to show."""


def alembic_config() -> Config:
    """Alembic's configuration as `pyproject.toml` gives it, wherever the caller stands."""
    return Config(toml_file=PROJECT / "pyproject.toml")


@cache
def head_revision() -> str:
    """The newest revision that this version of the code knows."""
    (head,) = ScriptDirectory.from_config(alembic_config()).get_heads()
    return head


@cache
def known_revisions() -> frozenset[str]:
    """All revisions that this version of the code knows."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return frozenset(script.revision for script in scripts.walk_revisions())


def run_script(connection: Connection, name: str) -> None:
    """Run all statements of one file of `migrations/sql`, in the connection's transaction."""
    statements = (PROJECT / "migrations" / "sql" / name).read_text(encoding="utf-8")
    # Without parameters the driver sends the file as it is: `%` and `:` mean nothing in it.
    connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
