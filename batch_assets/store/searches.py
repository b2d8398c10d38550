"""How far the server's lists were read for what is unresolved: a search may take several runs."""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

Reading = Literal["files", "batches"]


@dataclass(slots=True)
class Search:
    """One reading of the server's lists, from their beginning to their end."""

    account: str
    """With which key and address; under another one it begins anew."""
    opened_at: datetime
    """When this run went on with it; on the database's clock, as all moments here."""
    began_at: datetime
    running_accounts: frozenset[str]
    """Accounts under which the server has batches that have not ended: its list must show one."""
    reading: Reading = "files"
    after: str | None = None
    """The item after which the next page begins; `None`: the list's beginning."""
    lists_files: bool = True
    """False: the server has no list of files."""
    files: dict[str, str] = field(default_factory=dict)
    """Input files of what is looked for: our batches' ids by the server's of the files."""
    batches: dict[str, str] = field(default_factory=dict)
    """The same of batches, as far as earlier runs have seen them."""
    shown_batches: set[str] = field(default_factory=set)
    """Accounts of which the list of batches has shown one that the server must have."""
    shown_files: set[str] = field(default_factory=set)
    """The same of the list of files."""
    anchored_at: datetime | None = None
    """When a file was last uploaded only to be seen there."""
    is_kept: bool = False
    """Whether the database has a row of it that is not over."""

    def shows(self, account: str | None) -> bool:
        """Whether the lists are those of the account with which a batch was to be made.

        They show a batch of ours of it; or, where there is none that they must show, a file.
        """
        if _holds(self.running_accounts, account):
            return _holds(self.shown_batches, account)
        return _holds(self.shown_batches | self.shown_files, account)

    def has_batches_of(self, account: str | None) -> bool:
        """Whether batches of an account are shown, or must be."""
        return _holds(self.running_accounts | self.shown_batches, account)

    def begin_anew(self) -> None:
        """Forget what was seen, and begin with the first page."""
        self.began_at, self.reading, self.after = self.opened_at, "files", None
        self.files, self.batches = {}, {}
        self.shown_batches, self.shown_files = set(), set()
        self.lists_files = True


class Searches(EngineQueries):
    """Reads and writes the one search that may be under way; each call is one statement."""

    @retry_lost
    def open(self, account: str) -> Search:
        """Go on with the search that was left, or begin one if there is none of this account."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["open"]).one()
        running = frozenset(row.running_accounts)
        anchored_at = row.anchored_at if row.account == account else None
        if row.account != account or row.began_at is None:
            return Search(account, row.opened_at, row.opened_at, running, anchored_at=anchored_at)
        return Search(
            account=account,
            opened_at=row.opened_at,
            began_at=row.began_at,
            running_accounts=running,
            reading=row.reading,
            after=row.after,
            lists_files=row.lists_files,
            files=dict(row.files),
            batches=dict(row.batches),
            shown_batches=set(row.shown_batches),
            shown_files=set(row.shown_files),
            anchored_at=anchored_at,
            is_kept=True,
        )

    @retry_lost
    def keep(self, search: Search, *, is_over: bool) -> None:
        """Leave it to the next run; one that is over is begun anew, and keeps what outlasts it."""
        if is_over:
            search.begin_anew()
        with self.autocommit.connect() as connection:
            connection.execute(SQL["keep"], _row(search, is_over=is_over))
        search.is_kept = not is_over


def _holds(accounts: Set[str], account: str | None) -> bool:
    """Whether an account is among these; of a batch that does not know its own any will do."""
    return bool(accounts) if account is None else account in accounts


def _row(search: Search, *, is_over: bool) -> Mapping[str, object]:
    return {
        "account": search.account,
        "began_at": None if is_over else search.began_at,
        "reading": search.reading,
        "after": search.after,
        "lists_files": search.lists_files,
        "files": json.dumps(search.files),
        "batches": json.dumps(search.batches),
        "shown_batches": sorted(search.shown_batches),
        "shown_files": sorted(search.shown_files),
        "anchored_at": search.anchored_at,
    }
