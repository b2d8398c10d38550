"""Whether our tables may go: not while a run works with them.

Runs outlive the daemon, so that nothing of Dagster's need be up while one is at work.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.domain.run_processes import SILENT_SECONDS, UNHEARD_SECONDS, WATCHED_TAG
from batch_assets.store.sql import load

_SQL = load(Path(__file__).with_suffix(".sql"))
_OURS: Final = "batch_assets.run_process"
_DAGSTERS: Final = frozenset({"dagster.runs", "dagster.run_tags"})


def refuse_while_at_work(connection: Connection, database: str) -> None:
    """Raise `MigrationRefusedError` while a run is at work, or may be for all that is known."""
    runs = sorted(_at_work(connection))
    if not runs:
        return
    said, it_has = f"Run {runs[0]} is", "it has"
    if runs[1:]:
        said, it_has = f"Run {runs[0]} and {len(runs) - 1:,} more are", "they have"
    raise MigrationRefusedError(
        f"{said} still at work on the {database}: wait until {it_has} ended, or terminate "
        f"{'them' if runs[1:] else 'it'}."
    )


def _at_work(connection: Connection) -> set[str]:
    """By their processes' word, and by Dagster's, where its tables are in this database."""
    readable = set(connection.execute(_SQL["readable"]).scalars())
    heard: Mapping[str, Any] = {}
    if _OURS in readable:
        heard = {row.run_id: row for row in connection.execute(_SQL["heard"])}
    found = {run_id for run_id, row in heard.items() if _works(row)}
    if readable >= _DAGSTERS:
        found.update(_under_way(connection, heard))
    return found


def _works(heard: Any) -> bool:
    silent = heard.working_silent_seconds
    return not heard.is_given_up and silent is not None and silent <= SILENT_SECONDS


def _under_way(connection: Connection, heard: Mapping[str, Any]) -> Iterator[str]:
    """Those that Dagster has in progress, without what is known to be dead."""
    for run in connection.execute(_SQL["in_process"], {"watched": WATCHED_TAG}):
        known = heard.get(run.run_id)
        if known is None or (known.silent_seconds is None and not known.is_given_up):
            is_dead = run.is_watched and run.seconds > UNHEARD_SECONDS
        else:
            is_dead = known.is_given_up or known.silent_seconds > SILENT_SECONDS
        if not is_dead:
            yield run.run_id
