"""What we meant to make on the server, and how far its lists were read for what became of that.

What is meant is compared with what is there, or gone on with. A batch whose input file the server
still processes is left alone by recovery: no creation was called for it yet, and there is nothing
to be looked up. A search of the lists may take several runs. This has one implementation.
"""

import json
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.batches import ClaimedBatch
from batch_assets.domain.money import Usage
from batch_assets.domain.records import Lease
from batch_assets.domain.states import BatchState
from batch_assets.store.base import EngineQueries, columns_of
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.daily_costs import keep_again
from batch_assets.store.protocol import Holder
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))
Reading = Literal["files", "batches"]


@dataclass(frozen=True, slots=True)
class Intent:
    """A batch of ours, and what it uses on the server."""

    state: BatchState
    openai_batch_id: str | None
    input_file_id: str | None
    account: str | None = None
    """With which key and address it was made; `None` if that was not kept yet."""


@dataclass(frozen=True, slots=True)
class Named:
    """Something on the server that carries this installation's id."""

    remote_id: str
    batch_id: str
    made_at: datetime | None
    """By our clock; `None` where the server does not say."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A batch on the server whose intent has another one, or was given up."""

    openai_batch_id: str
    batch_id: str
    is_cancelled: bool
    """Whether it was cancelled now; else it had ended, or could not be cancelled."""
    billed: Usage | None = None
    """What it has used in all; `None`: it has not ended, or the server does not say."""


@dataclass(frozen=True)
class Intents(EngineQueries):
    """Reads batches of this database by their ids, and keeps the second ones; a statement each."""

    @retry_lost
    def known(self, batch_ids: Collection[str]) -> Mapping[str, Intent]:
        """Those of these batches that this database has made, by id."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["known"], {"batch_ids": sorted(batch_ids)})
            return {
                row.id: Intent(
                    BatchState(row.state), row.openai_batch_id, row.input_file_id, row.account
                )
                for row in rows
            }

    @retry_lost
    def accounts_of(self, openai_batch_ids: Collection[str]) -> set[str]:
        """The accounts that batches of ours were made with, by the server's ids; "" if not kept."""
        with self.autocommit.connect() as connection:
            which = {"openai_batch_ids": list(openai_batch_ids)}
            return set(connection.execute(SQL["accounts_of"], which).scalars())

    @retry_lost
    def recorded(self, openai_batch_ids: Sequence[str]) -> frozenset[str]:
        """Those of these batches on the server that this database knows, whoever made them."""
        with self.autocommit.connect() as connection:
            which = {"openai_batch_ids": openai_batch_ids}
            return frozenset(connection.execute(SQL["recorded"], which).scalars())

    @retry_lost
    def note_unknown(self, found: Sequence[Named]) -> int:
        """Keep what carries the id of a batch that this database does not know; how many are new.

        Not what an operator knows of already. As long as any is kept, nothing is submitted.
        """
        with self.autocommit.connect() as connection:
            which = {
                "remote_ids": [one.remote_id for one in found],
                "batch_ids": [one.batch_id for one in found],
                "made_at": [one.made_at for one in found],
            }
            return len(connection.execute(SQL["note_unknown"], which).all())

    @retry_lost
    def record_duplicates(self, found: Sequence[Duplicate], usd_to_eur: float) -> None:
        """Keep second batches with what they would have cost, or have cost, as far as is known.

        The price is that of their intent. Of one that is known already only what is new is kept.
        Where the day of the intent is kept as sums, these are written anew in one transaction.
        """
        batch_ids = [one.batch_id for one in found]
        with self.engine.begin() as connection:
            connection.execute(
                SQL["record_duplicates"],
                {
                    "openai_batch_ids": [one.openai_batch_id for one in found],
                    "batch_ids": batch_ids,
                    "are_cancelled": [one.is_cancelled for one in found],
                    "prompt_tokens": [one.billed and one.billed.prompt_tokens for one in found],
                    "cached_tokens": [one.billed and one.billed.cached_tokens for one in found],
                    "completion_tokens": [
                        one.billed and one.billed.completion_tokens for one in found
                    ],
                    "usd_to_eur": usd_to_eur,
                },
            )
            keep_again(connection, batch_ids)


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A batch that goes on with its creation once its file is processed; its lease is ours."""

    batch: ClaimedBatch
    input_file_id: str
    since: datetime
    """When it was first put off."""
    seconds: float
    """How long ago that is, on the database's clock."""


@dataclass(frozen=True)
class PendingFiles(EngineQueries):
    """Puts batches off until their files are processed, and takes them up again."""

    @retry_lost
    def put_off(self, batches: Sequence[tuple[Lease, datetime | None]]) -> None:
        """Give these leases up, each with the moment since which its file is waited for.

        Without one that is now. One statement; a lease that was lost changes nothing.
        """
        leases = columns_of(lease for lease, _ in batches)
        with self.autocommit.connect() as connection:
            connection.execute(SQL["put_off"], {**leases, "since": [since for _, since in batches]})

    def take(self, holder: Holder, limit: int) -> list[PendingFile]:
        """Take up what was put off and nobody works on, the oldest first. One statement."""
        which = {
            "owner": holder.owner,
            "lease_seconds": holder.lease_seconds,
            "account_name": holder.account_name,
            "limit": limit,
        }
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["take"], which).all()
        return [
            PendingFile(
                batch=ClaimedBatch(
                    lease=Lease(row.id, row.fence),
                    company_id=row.company_id,
                    model=row.model,
                    requests=row.requests,
                    tokens=row.estimated_tokens,
                    cost_eur=row.estimated_cost_eur,
                    is_priced=row.is_priced,
                    account_name=holder.account_name,
                ),
                input_file_id=row.input_file_id,
                since=row.file_pending_since,
                seconds=row.pending_seconds,
            )
            for row in sorted(rows, key=lambda row: (row.claimed_at, row.id))
        ]


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


@dataclass(frozen=True)
class Searches(EngineQueries):
    """Reads and writes the one search of an account that may be under way.

    Each call is one statement.
    """

    account_name: str = DEFAULT_ACCOUNT

    @retry_lost
    def open(self, account: str) -> Search:
        """Go on with the search that was left, or begin one if there is none of this account."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["open"], {"account_name": self.account_name}).one()
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
            kept = {"account_name": self.account_name, **_row(search, is_over=is_over)}
            connection.execute(SQL["keep"], kept)
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
