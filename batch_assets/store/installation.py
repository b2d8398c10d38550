"""Which installation this database is, and what an earlier one has left half-made in LiveDash.

LiveDash leaves no batch in PENDING or UPLOADING, so one in such a status of which nothing is here
was made by this project, whose schema was lost. It is adopted without an owner: read to its end,
and otherwise let alone, since the database that made it may live on elsewhere.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from batch_assets.domain.display import plural
from batch_assets.domain.errors import ACCOUNT_REFUSED
from batch_assets.domain.health import Health, Hold
from batch_assets.domain.livedash_timers import hold_of
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.drains import Drain
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class Doubt(StrEnum):
    """Why the server's lists could not tell whether this database is the only one of its id."""

    UNREAD = "unread"
    """They could not be read."""
    UNLISTED = "unlisted"
    """They show nothing of what must be there: they are another account's."""
    NAMELESS = "nameless"
    """They show batches of which nothing says who has made them."""


_DECIDE: Final = (
    "Run `batch-assets confirm --copy` if another database like this one lives on, or "
    "`batch-assets confirm --moved` if this one goes on alone."
)
_DOUBTS: Final[Mapping[Doubt, Hold]] = {
    Doubt.UNREAD: Hold(
        "whether another one like it is at work cannot be told, since the server's lists could not "
        "be read. Each run asks for them again, and its warnings say what fails.",
        f"If they never can be read: {_DECIDE[0].lower()}{_DECIDE[1:]}",
    ),
    Doubt.UNLISTED: Hold(
        "whether another one like it is at work cannot be told, since the server lists none of the "
        "batches that must be there. Each run looks again.",
        f"See whether OPENAI_API_KEY is one of the project that they were made in. {_DECIDE}",
    ),
    Doubt.NAMELESS: Hold(
        "the server lists batches of which nothing says who has made them: they may be those of "
        "another one like it.",
        _DECIDE,
    ),
}


@dataclass(frozen=True, slots=True)
class AccountCooldown:
    """Nothing is submitted until then, since the server refused whatever it was sent."""

    until: datetime
    reason: str
    """The server's code."""

    @property
    def hold(self) -> Hold:
        """Why nothing is submitted, and what to do about it."""
        return Hold(
            f"{ACCOUNT_REFUSED} ({self.reason}), so it is in cooldown until "
            f"{self.until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC.",
            "Look at its quota and billing; `batch-assets reset account` ends its cooldown.",
        )


@dataclass(frozen=True, slots=True)
class Installation:
    """This database as an installation of ours. The id travels with all that we make remotely."""

    id: str
    is_confirmed: bool
    is_at_home: bool
    """False on a clone or a restored copy: nothing remote may be touched from here."""
    home_database: str
    external_batches: int
    """Batches that LiveDash itself has made a short while ago."""
    livedash_acts: Mapping[str, int]
    """What LiveDash's timers were seen to do a short while ago: how many acts of each."""
    quiet_seconds: float
    """How long a short while is."""
    account_cooldown: AccountCooldown | None = None
    drain: Drain | None = None
    """Nothing is submitted, since what is under way is to come to its end."""
    unknown_batches: int = 0
    """Batches and files on the server with this id that this database does not know."""
    incarnation: str = ""
    """This database as it is run now: another one after each start of its server, and each copy."""
    is_doubted: bool = False
    """Whether the server's lists were not looked at from this incarnation, or could not tell."""
    doubt: Doubt | None = None
    """Why they could not."""
    known_since: datetime | None = None
    """When they showed nothing that this database does not know, or somebody said that it is alone;
    later looks do not count."""

    @property
    def may_read(self) -> bool:
        """Whether results on the server are this database's to read, as far as is known."""
        return self.is_at_home and not self.is_doubted

    @property
    def may_touch(self) -> bool:
        """Whether what is on the server under our name may be cancelled or deleted from here."""
        return self.may_read and not self.unknown_batches

    @property
    def needs_decision(self) -> bool:
        """Whether only an operator can say what this database is, as far as is known."""
        return not self.is_at_home or bool(self.unknown_batches) or self.doubt is not None

    @property
    def is_for_a_run_to_settle(self) -> bool:
        """Whether a run asks the server's lists what this database is, which nobody else does."""
        return not self.may_read and self.is_at_home and not self.unknown_batches

    @property
    def hold(self) -> Hold | None:
        """Why nothing may be submitted now and what to do about it, or `None`."""
        undecided = self._undecided
        if undecided is not None:
            return undecided
        if not self.is_confirmed:
            return Hold(
                "Nothing has been submitted from this database yet.",
                "Look at `batch-assets plan --dry-run`, then run `batch-assets confirm` to allow "
                "it.",
                Health.ATTENTION,
            )
        if self.drain is not None:
            return self.drain.hold
        if self.account_cooldown is not None:
            return self.account_cooldown.hold
        return self.hold_by_timers

    @property
    def hold_reason(self) -> str | None:
        """The same as one text."""
        return None if self.hold is None else self.hold.reason

    @property
    def hold_by_timers(self) -> Hold | None:
        """Why nothing may be submitted because of LiveDash's own timers, or `None`."""
        acts = dict(self.livedash_acts)
        if self.external_batches:
            acts["create"] = max(self.external_batches, acts.get("create", 0))
        return hold_of(acts, self.quiet_seconds)

    @property
    def _undecided(self) -> Hold | None:
        """Why an operator has to say what this database is, or `None`."""
        if not self.is_at_home:
            return Hold(
                f"This database is a copy or has moved (it was installed as {self.home_database}).",
                "Run `batch-assets confirm --moved` if the original is retired, or "
                "`batch-assets confirm --copy` if both live on.",
            )
        if self.unknown_batches:
            return _hold_by_unknown(self.unknown_batches)
        if self.doubt is not None:
            doubt = _DOUBTS[self.doubt]
            since = (
                "This database was copied, put back, promoted or started anew since a run last "
                "looked"
            )
            return Hold(f"{since}, and {doubt.why}", doubt.remedy)
        return None

    @property
    def why_not_touched(self) -> str:
        """Why a batch of this installation may not be this database's, and what to do about it."""
        if self.needs_decision:
            return "this one is a copy or has moved: run `batch-assets confirm` first."
        if not self.is_confirmed:
            return "this one is not confirmed: run `batch-assets confirm` first."
        return (
            "this one was copied, put back, promoted or started anew, and no run has looked at the "
            "server since: try again after the next run."
        )


def _hold_by_unknown(number: int) -> Hold:
    """Why nothing is submitted while others make batches under this installation's id."""
    things = plural(number, "batch or file", "batches or files")
    return Hold(
        f"The server has {things} with this installation's id that this database does not know: "
        "it is a copy whose original lives on, or it was put back to an earlier state, or it is a "
        "replica that had not seen everything.",
        "Run `batch-assets confirm --copy` if the other database lives on, or "
        "`batch-assets confirm --moved` if this one goes on alone; what those batches hold is not "
        "read here, and what of it still waits here is bought again.",
    )


@dataclass(frozen=True, slots=True)
class Adopted:
    """What is taken care of from now on."""

    orphaned_batches: int = 0
    orphaned_requests: int = 0
    """Those in no batch: they wait again, or follow one that asks the same and is under way."""


class EarlierInstallation(EngineQueries):
    """Adopts what was left, and tells what of the server's belongs to it."""

    @retry_lost
    def adopt(self) -> Adopted:
        """Watch over every batch that was left, and let requests that are in none go on."""
        with self.engine.begin() as connection:
            batches = connection.execute(SQL["adopt"]).scalar_one()
            requests = connection.execute(SQL["free"]).scalar_one()
        return Adopted(batches, requests)

    @retry_lost
    def are_named(self, found: Mapping[str, str]) -> bool:
        """Whether a row of this database names any of these: our batches' ids, by the server's."""
        which = {"openai_batch_ids": list(found), "batch_ids": list(found.values())}
        with self.autocommit.connect() as connection:
            return bool(connection.execute(SQL["are_named"], which).scalar_one())

    @retry_lost
    def requests_of(self, company_id: str, request_ids: Collection[str]) -> set[str]:
        """Those of these ids that are requests of this company, whatever became of them."""
        which = {"company_id": company_id, "request_ids": list(request_ids)}
        with self.autocommit.connect() as connection:
            return set(connection.execute(SQL["requests_of"], which).scalars())
