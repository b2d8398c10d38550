"""Where the migrations lie and what they are: Alembic's configuration and the SQL scripts."""

from collections.abc import Callable
from functools import cache
from typing import Final

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from batch_assets.project_files import PROJECT_FILES

_MIGRATIONS: Final = PROJECT_FILES / "migrations"

Report = Callable[[str], None]
"""Takes one sentence on what was done or found; for the command line to show."""


def alembic_config() -> Config:
    """Alembic's configuration, wherever the caller stands and from wherever this was installed."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


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


@cache
def needed_revision(revision: str) -> str:
    """Which revision code has to know to work with the tables at this one.

    The newest up to this one that does not say of itself `SUITS_OLDER_CODE`: that it adds what
    older code neither misses nor stumbles over, in its statements as in what rows mean.
    """
    scripts = ScriptDirectory.from_config(alembic_config())
    for script in scripts.iterate_revisions(revision, "base"):
        if not getattr(script.module, "SUITS_OLDER_CODE", False):
            return script.revision
    return "base"


def run_script(connection: Connection, name: str) -> None:
    """Run all statements of one file of `migrations/sql`, in the connection's transaction."""
    statements = (_MIGRATIONS / "sql" / name).read_text(encoding="utf-8")
    # Without parameters the driver sends the file as it is: `%` and `:` mean nothing in it.
    connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
