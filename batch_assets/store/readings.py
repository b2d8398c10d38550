"""How far the results of batches could be read, and when they are looked at again.

Of those that have ended only batches are touched whose lease is held. Those that an operator has
given up (`Registry.abandon`) may bring something all the same. This has one implementation; each
call is one statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.money import Price, price_in
from batch_assets.domain.records import Lease
from batch_assets.store.base import EngineQueries, columns_of
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.daily_costs import keep_again
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class NextLook:
    """A batch that is put down, to be looked at again."""

    lease: Lease
    seconds: float
    """From now on."""
    is_incomplete: bool
    """Whether the grace runs: it was read, and there has to be more of it."""
    output_bytes: int | None
    error_bytes: int | None
    """How much of each file was received; `None`: not all, or nothing of use."""


@dataclass(frozen=True)
class Readings(EngineQueries):
    """Keeps what was seen of ended batches."""

    @retry_lost
    def see_again(self, batches: Sequence[EndedBatch]) -> None:
        """Keep which files these batches have, how many answers and what was billed, by the
        server's last word."""
        which = columns_of(batch.lease for batch in batches) | {
            "output_file_ids": [batch.output_file_id for batch in batches],
            "error_file_ids": [batch.error_file_id for batch in batches],
            "server_answered": [batch.server_answered for batch in batches],
            "prompt_tokens": [one.billed and one.billed.prompt_tokens for one in batches],
            "cached_tokens": [one.billed and one.billed.cached_tokens for one in batches],
            "completion_tokens": [one.billed and one.billed.completion_tokens for one in batches],
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["see_again"], which)

    @retry_lost
    def look_later(self, looks: Sequence[NextLook]) -> None:
        """Give these batches up until their time comes."""
        which = columns_of(look.lease for look in looks) | {
            "seconds": [look.seconds for look in looks],
            "are_incomplete": [look.is_incomplete for look in looks],
            "output_bytes": [look.output_bytes for look in looks],
            "error_bytes": [look.error_bytes for look in looks],
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["look_later"], which)

    @retry_lost
    def note_completeness(self, found: Sequence[tuple[Lease, bool]]) -> None:
        """Say of batches that are about to be finalized whether something of them is missing."""
        which = columns_of(lease for lease, _ in found) | {
            "are_incomplete": [is_incomplete for _, is_incomplete in found]
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["note_completeness"], which)


LOOKED_FOR_DAYS: Final = 30
"""Nothing is expected of a batch that was given up so long ago: its files have expired."""


@dataclass(frozen=True, slots=True)
class AbandonedBatch:
    """A batch that was given up, whose requests have left it, and that is to be looked at now."""

    batch_id: str
    openai_batch_id: str
    model: str | None
    is_ours: bool
    """False for one that LiveDash made, or the database that this one is a copy of."""
    is_last: bool
    """Whether it is not looked at again after this."""
    price: Price | None = None
    """That of the day on which it was claimed."""


@dataclass(frozen=True, slots=True)
class Late:
    """Answers that came after their batch was given up, and what they cost."""

    answers: int = 0
    cost_eur: float = 0.0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class AbandonedStanding:
    """All batches that were ever given up."""

    looked_for: int
    """Those of them that may still bring something."""
    answers: int
    wasted_cost_eur: float


@dataclass(frozen=True)
class Abandoned(EngineQueries):
    """Reads and books what abandoned batches bring."""

    account_name: str = DEFAULT_ACCOUNT
    """Whose are taken."""

    @retry_lost
    def take(self, limit: int, *, whenever: bool) -> list[AbandonedBatch]:
        """At most `limit` that are due to be looked at, or `whenever` they are.

        The date of their next look is set. Those that are looked at for the last time count no more
        as estimated: where their day is kept as sums, these are written anew.
        """
        which = {
            "account_name": self.account_name,
            "limit": limit,
            "whenever": whenever,
            "days": LOOKED_FOR_DAYS,
        }
        with self.engine.begin() as connection:
            taken = [
                AbandonedBatch(**{**row._mapping, "price": price_in(row.price)})
                for row in connection.execute(SQL["take"], which)
            ]
            last = [batch.batch_id for batch in taken if batch.is_last]
            if last:
                keep_again(connection, last)
        return taken

    @retry_lost
    def rows(self, batch_id: str) -> Mapping[str, bool]:
        """The requests of a batch, and whether an answer to each is waste: none was read before."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["rows"], {"batch_id": batch_id})
            return {row.request_id: row.is_waste for row in rows}

    @retry_lost
    def book(self, batch_id: str, late: Late, *, is_read: bool) -> Late:
        """Keep all that could be read of a batch; how much of it is new.

        With `is_read` it is not looked at again. Where the day of the batch is kept as sums, these
        are written anew, in the same transaction.
        """
        which = {"batch_id": batch_id, **asdict(late), "is_read": is_read}
        with self.engine.begin() as connection:
            row = connection.execute(SQL["book"], which).one_or_none()
            new = Late() if row is None else Late(row.answers, row.cost_eur, row.cost_usd)
            if new.answers or (is_read and row is not None):
                keep_again(connection, [batch_id])
        return new

    @retry_lost
    def standing(self) -> AbandonedStanding:
        """How many there are, and what they have cost."""
        with self.autocommit.connect() as connection:
            return AbandonedStanding(**connection.execute(SQL["standing"]).one()._mapping)
