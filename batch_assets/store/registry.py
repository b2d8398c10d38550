"""Which installation this is, and what keeps it from acting; this has one implementation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.allowances import TRIAL_SECONDS, InUse
from batch_assets.domain.breakers import Breaker
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.estimates import LearntUsage
from batch_assets.domain.policy import Cooldown
from batch_assets.domain.states import BatchState
from batch_assets.store.base import EngineQueries, return_rows
from batch_assets.store.breakers import breakers_in
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.drains import drain_in
from batch_assets.store.installation import AccountCooldown, Doubt, Installation
from batch_assets.store.livedash_contract import NEEDS, named
from batch_assets.store.sql import load
from batch_assets.store.strategy.history import stored_mode_in
from batch_assets.store.strategy.records import StoredMode

SQL = load(Path(__file__).with_suffix(".sql"))

_LEARNT: Final = tuple(one.name for one in fields(LearntUsage))


@dataclass(frozen=True, slots=True)
class WorkSnapshot:
    """What one statement sees of everything, so that a run without work asks little more."""

    installation: Installation
    newest_at: datetime | None
    """When the newest batch of ours that the server has was claimed."""
    has_unwatched: bool
    """LiveDash has batches in flight that are not watched yet."""
    has_earlier_installation: bool
    """An earlier installation, whose schema was lost, has left batches or requests half-made."""
    has_in_flight: bool
    has_ended: bool
    """Batches have ended that nobody reads."""
    has_unresolved: bool
    """Batches were claimed and not submitted, and nobody works on them."""
    has_pending_files: bool
    """Batches wait for the server to process their input files, and nobody works on them."""
    has_anchor: bool
    """A file may be on the server that was uploaded only to be seen in its list."""
    has_leftovers: bool
    """Files of finished batches may be on the server."""
    has_abandoned: bool
    """Batches that were given up are to be looked at."""
    has_due_retries: bool
    has_synchronous_requests: bool
    """An operator has asked for requests to be sent synchronously."""
    has_followers: bool
    """Requests share the answer of another one that asks the same."""
    has_any_to_lose: bool
    """There is something that a timer of LiveDash's could move: under way, put off, or dead."""
    breakers: tuple[Breaker, ...]
    """Of the API operations whose last call failed."""
    stored_mode: StoredMode | None
    """Which implementation an operator has chosen for all runs."""
    upload_bytes: int | None = None
    """What the server has turned out to take in one file lately."""
    livedash_lacks: tuple[str, ...] = ()
    """Tables and columns that a run needs and that LiveDash does not have any more."""
    learnt_usage: Mapping[str, Mapping[str, LearntUsage]] = field(default_factory=dict)
    """What answers have used, by model, and by processing type."""


@dataclass(frozen=True)
class Registry(EngineQueries):
    """Reads and moves the installation's one row, and cooldowns."""

    external_quiet_seconds: float
    account_name: str = DEFAULT_ACCOUNT
    """Whose work, breakers and cooldowns are looked at."""

    def installation(self) -> Installation:
        """The installation as it is now; one statement."""
        return self.snapshot().installation

    @retry_lost
    def snapshot(self) -> WorkSnapshot:
        """What there is to do at this moment; one statement."""
        with self.autocommit.connect() as connection:
            row = connection.execute(
                SQL["snapshot"],
                {"quiet_seconds": self.external_quiet_seconds, **self._of_account} | NEEDS,
            ).one()
        is_doubted = row.incarnation != row.known_incarnation
        return WorkSnapshot(
            installation=Installation(
                id=row.id,
                is_confirmed=row.is_confirmed,
                is_at_home=row.is_at_home,
                home_database=row.database_name,
                external_batches=row.external_batches,
                livedash_acts=row.livedash_acts,
                quiet_seconds=self.external_quiet_seconds,
                account_cooldown=_account_cooldown(row.account_cooldown),
                drain=drain_in(row.drain),
                unknown_batches=row.unknown_batches,
                incarnation=row.incarnation,
                is_doubted=is_doubted,
                doubt=Doubt(row.doubt) if is_doubted and row.doubt else None,
                known_since=row.known_since,
            ),
            newest_at=row.newest_at,
            has_unwatched=row.has_unwatched,
            has_earlier_installation=row.has_orphans,
            has_in_flight=row.has_in_flight,
            has_ended=row.has_ended,
            has_unresolved=row.has_unresolved,
            has_pending_files=row.has_pending_files,
            has_anchor=row.has_anchor,
            has_leftovers=row.has_leftovers,
            has_abandoned=row.has_abandoned,
            has_due_retries=row.has_due_retries,
            has_synchronous_requests=row.has_synchronous_requests,
            has_followers=row.has_followers,
            has_any_to_lose=row.has_any_to_lose,
            breakers=breakers_in(row.breakers),
            stored_mode=stored_mode_in(row.stored_mode) if row.stored_mode else None,
            upload_bytes=row.upload_bytes,
            livedash_lacks=tuple(named(row.livedash_lacks)),
            learnt_usage=_learnt_usage(row.learnt_usage),
        )

    @retry_lost
    def confirm(self, confirmed_by: str) -> None:
        """Allow submissions from this database."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["confirm"], {"confirmed_by": confirmed_by})

    @retry_lost
    def make_home(self, confirmed_by: str, *, as_copy: bool) -> None:
        """Make this database the installation's home; a copy gets an id of its own.

        In a copy, requests of batches that the original had not submitted yet wait again. What
        others have made under the former id by now holds nothing any more.

        Raises:
            BatchAssetsError: a run may be sending these requests, which would be bought by it and
                once more.
        """
        with self.engine.begin() as connection:
            until = connection.execute(SQL["sent_until"]).scalar_one() if as_copy else None
            if until is not None:
                raise BatchAssetsError(
                    "A run may be sending batches from this database at this moment, and what it "
                    "sends cannot be left to another one: nothing was changed. Try again when no "
                    f"run is active, after {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
                )
            connection.execute(SQL["make_home"], {"as_copy": as_copy})
            connection.execute(SQL["forget_looks"])
            connection.execute(SQL["acknowledge_unknown"])
            if as_copy:
                left = connection.execute(SQL["leave_unresolved_to_the_original"]).scalars()
                return_rows(connection, list(left))
            connection.execute(SQL["confirm"], {"confirmed_by": confirmed_by})

    @retry_lost
    def know_incarnation(self, incarnation: str) -> None:
        """Keep that the server's lists show nothing that this incarnation does not know."""
        with self.autocommit.connect() as connection:
            which = {"incarnation": incarnation, **self._of_account}
            connection.execute(SQL["know_incarnation"], which)

    @retry_lost
    def note_doubt(self, doubt: Doubt) -> None:
        """Keep why the server's lists do not tell whether this is the only database of its id."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["note_doubt"], {"doubt": doubt, **self._of_account})

    @retry_lost
    def note_upload_bytes(self, most: int) -> None:
        """Keep what the server takes in one file, which is less than was sent."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["note_upload_bytes"], {"bytes": most})

    @retry_lost
    def note_cancelled(self, batch_ids: Sequence[str]) -> None:
        """Keep when these batches were cancelled for the first time; they are still in flight."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["note_cancelled"], {"batch_ids": list(batch_ids)})

    @retry_lost
    def note_retrieved(self, batch_ids: Sequence[str]) -> None:
        """Keep that the server was asked for these batches alone now."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["note_retrieved"], {"batch_ids": list(batch_ids)})

    @retry_lost
    def abandon(self, batch_id: str, openai_batch_id: str, state: BatchState, *, word: str) -> None:
        """End a batch that is on the server under this id as far as is known, without results.

        `word`, one of `GIVEN_UP`, stands in the place of the server's. One that is not in `state`
        any more, or that somebody reads, stays as it is. From now on it is looked at now and then.
        One statement.
        """
        which = {"batch_id": batch_id, "openai_batch_id": openai_batch_id, "state": state}
        with self.autocommit.connect() as connection:
            connection.execute(SQL["abandon"], which | {"word": word})

    @retry_lost
    def give_up_unresolved(self, batch_id: str) -> bool:
        """Release a batch although nothing proves that the server does not have it.

        False: a run works on it, or has finalized it.
        """
        with self.engine.begin() as connection:
            moved = connection.execute(SQL["give_up_unresolved"], {"batch_id": batch_id})
            released = list(moved.scalars())
            return_rows(connection, released)
        return bool(released)

    @retry_lost
    def cool_model(self, model: str, cooldown: Cooldown) -> None:
        """Use a model for nothing for a while; a longer cooldown that is under way stays."""
        with self.autocommit.connect() as connection:
            which = {"model": model, **asdict(cooldown), **self._of_account}
            connection.execute(SQL["cool_model"], which)

    @retry_lost
    def allowances_in_use(self, account: str) -> InUse:
        """What counts against the allowances of an account now. One statement."""
        with self.autocommit.connect() as connection:
            which = {"account": account, **self._of_account}
            row = connection.execute(SQL["allowances_in_use"], which).one()
        return InUse(**row.in_use)

    @retry_lost
    def note_creation_refused(self, account: str, least: int) -> None:
        """Keep how many batches the server takes in an hour: those that it has just taken.

        Fewer than `least` say nothing of the hour. One statement.
        """
        which = {"account": account, "least": least, "trial_seconds": TRIAL_SECONDS}
        with self.autocommit.connect() as connection:
            connection.execute(SQL["note_creation_refused"], which)

    @retry_lost
    def note_tokens_refused(self, batch_ids: Sequence[str]) -> None:
        """Keep how many tokens the server takes of the models of batches that it had no room for.

        One statement.
        """
        which = {"batch_ids": list(batch_ids), "trial_seconds": TRIAL_SECONDS}
        with self.autocommit.connect() as connection:
            connection.execute(SQL["note_tokens_refused"], which)

    @retry_lost
    def cool_account(self, cooldown: Cooldown) -> None:
        """Submit nothing for a while; a longer cooldown that is under way stays."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["cool_account"], asdict(cooldown) | self._of_account)

    @property
    def _of_account(self) -> dict[str, str]:
        return {"account_name": self.account_name}


def _account_cooldown(found: Mapping[str, str] | None) -> AccountCooldown | None:
    if found is None:
        return None
    return AccountCooldown(datetime.fromisoformat(found["until"]), found["reason"])


def _learnt_usage(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, LearntUsage]]:
    by_model: dict[str, dict[str, LearntUsage]] = {}
    for row in rows:
        learnt = LearntUsage(**{name: row[name] for name in _LEARNT})
        by_model.setdefault(row["model"], {})[row["processing_type"]] = learnt
    return by_model
