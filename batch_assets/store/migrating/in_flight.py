"""Whether our tables may go: not while they alone say what becomes of a request."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import Connection

from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.domain.wording import plural
from batch_assets.store.migrating.project import alembic_config
from batch_assets.store.sql import load

_SQL = load(Path(__file__).with_suffix(".sql"))
_OWN_TABLES: Final = "0002"
"""The revision that makes them, and takes them away on the way back."""


def refuse_while_in_flight(
    connection: Connection, current: str | None, target: str, where: str
) -> None:
    """Raise `MigrationRefusedError` if a downgrade would leave what is under way to nobody.

    A target that there is not is for Alembic to refuse.
    """
    if _OWN_TABLES not in steps_back(current, target):
        return
    if not connection.execute(_SQL["knows_followers"]).scalar_one():
        return
    row = connection.execute(_SQL["under_way"]).one()
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


def steps_back(current: str | None, target: str) -> Sequence[str]:
    """The revisions that a downgrade takes back; none if there is no such target."""
    if current is None:
        return ()
    scripts = ScriptDirectory.from_config(alembic_config())
    try:
        return [script.revision for script in scripts.iterate_revisions(current, target)]
    except RevisionError:
        return ()
