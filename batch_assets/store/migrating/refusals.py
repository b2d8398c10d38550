"""Whether our tables may go: not while they say what becomes of a request, and by whose key, or
what may be spent, or a run is at work.

Runs outlive the daemon, so that nothing of Dagster's need be up while one is at work.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import Connection

from batch_assets.domain.display import plural
from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.domain.hosts import SILENT_SECONDS, UNHEARD_SECONDS, WATCHED_TAG
from batch_assets.store.migrating.project import alembic_config
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))
_OURS: Final = "batch_assets.run_process"
_DAGSTERS: Final = frozenset({"dagster.runs", "dagster.run_tags"})
_OWN_TABLES: Final = "0002"
"""The revision that makes them, and takes them away on the way back."""
_BUDGETS: Final = "0021"
"""The same for that of budgets."""
_ACCOUNTS: Final = "0023"
"""The same for what says which account serves a company and has made a batch."""


def refuse_while_in_flight(
    connection: Connection, current: str | None, target: str, where: str
) -> None:
    """See that a downgrade leaves nothing that is under way to nobody.

    A target that there is not is for Alembic to refuse.

    Raises:
        MigrationRefusedError: it would.
    """
    if _OWN_TABLES not in steps_back(current, target):
        return
    if not connection.execute(SQL["knows_followers"]).scalar_one():
        return
    row = connection.execute(SQL["under_way"]).one()
    parts = [
        (row.batches, plural(row.batches, "batch", "batches")),
        (row.put_off, f"{plural(row.put_off, 'request')} to be tried again"),
        (row.following, f"{plural(row.following, 'request')} that wait for another one's answer"),
    ]
    said = ", ".join(words for number, words in parts if number)
    if said:
        raise MigrationRefusedError(
            f"{where} has work of this project under way ({said}): without its tables nobody would "
            "end that, and what the server answers and bills would be lost. Run `batch-assets "
            "drain` first, which reads it to the end, or `batch-assets drain --hand-over`, which "
            "gives to LiveDash what still runs on the server."
        )


def refuse_to_drop_budgets(
    connection: Connection, current: str | None, target: str, where: str
) -> None:
    """See that a downgrade takes no budget away: an older version would send without any.

    Raises:
        MigrationRefusedError: it would.
    """
    if _BUDGETS not in steps_back(current, target):
        return
    budgets = connection.execute(SQL["budgets"]).scalar_one()
    if budgets:
        raise MigrationRefusedError(
            f"{where} has {plural(budgets, 'budget')}, which an older version does not know: it "
            "would send without, and nobody could put them back. Keep what `batch-assets budgets "
            "--json` shows, then go back with --drop-budgets."
        )


def refuse_to_forget_accounts(
    connection: Connection, current: str | None, target: str, where: str
) -> None:
    """See that an older version takes nothing of a further account's for that of its one key.

    On the way to "base" nothing of this project sends any more.

    Raises:
        MigrationRefusedError: it would.
    """
    steps = steps_back(current, target)
    if _ACCOUNTS not in steps or _OWN_TABLES in steps:
        return
    row = connection.execute(SQL["of_accounts"]).one()
    parts = [
        (row.companies, plural(row.companies, "company", "companies")),
        (row.batches, f"{plural(row.batches, 'batch', 'batches')} under way"),
    ]
    said = " and ".join(words for number, words in parts if number)
    if said:
        raise MigrationRefusedError(
            f"{where} has {said} of further accounts, which an older version does not know: it "
            "would use the default account's key for them. Assign each company with `batch-assets "
            "account assign COMPANY default`, and let runs read what is under way; `batch-assets "
            "account list` says what is left."
        )


def steps_back(current: str | None, target: str) -> Sequence[str]:
    """The revisions that a downgrade takes back; none if there is no such target."""
    if current is None:
        return ()
    scripts = ScriptDirectory.from_config(alembic_config())
    try:
        return [script.revision for script in scripts.iterate_revisions(current, target)]
    except RevisionError:
        return ()


def refuse_while_at_work(connection: Connection, database: str) -> None:
    """See that no run is at work.

    Raises:
        MigrationRefusedError: one is, or may be for all that is known.
    """
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
    readable = set(connection.execute(SQL["readable"]).scalars())
    heard: Mapping[str, Any] = {}
    if _OURS in readable:
        heard = {row.run_id: row for row in connection.execute(SQL["heard"])}
    found = {run_id for run_id, row in heard.items() if _works(row)}
    if readable >= _DAGSTERS:
        found.update(_under_way(connection, heard))
    return found


def _works(heard: Any) -> bool:
    silent = heard.working_silent_seconds
    return not heard.is_given_up and silent is not None and silent <= SILENT_SECONDS


def _under_way(connection: Connection, heard: Mapping[str, Any]) -> Iterator[str]:
    """Those that Dagster has in progress, without what is known to be dead."""
    for run in connection.execute(SQL["in_process"], {"watched": WATCHED_TAG}):
        known = heard.get(run.run_id)
        if known is None or (known.silent_seconds is None and not known.is_given_up):
            is_dead = run.is_watched and run.seconds > UNHEARD_SECONDS
        else:
            is_dead = known.is_given_up or known.silent_seconds > SILENT_SECONDS
        if not is_dead:
            yield run.run_id
