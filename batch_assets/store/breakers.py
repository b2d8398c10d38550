"""What is not used for a while: calls by circuit breakers, the schedule and models by cooldowns.

All runs share that state. Each call is one statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.breakers import Breaker, BreakerState
from batch_assets.domain.errors import Failure
from batch_assets.domain.policy import Policy
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True)
class Breakers(EngineQueries):
    """Reads and moves breakers. One that is closed, and whose last call was answered, has no row.

    `trial` is the moment at which a trial began, as `begin_trial` gave it, or `None`: a move from
    half open is made for the trial that is under way and for no other.
    """

    account_name: str = DEFAULT_ACCOUNT
    """Whose calls they stop."""

    @retry_lost
    def count(
        self, operation: str, failure: Failure, policy: Policy, trial: datetime | None
    ) -> Breaker | None:
        """Note that a call failed, and open the breaker if it is time for that; how it is then.

        It stays open for half to all of `policy.breaker_seconds`, doubled with every failed trial,
        and at least for as long as the server asks. `None`: another run has opened it meanwhile.
        """
        parameters = {
            "account_name": self.account_name,
            "operation": operation,
            "code": failure.code,
            "reason": failure.reason,
            "limit": policy.breaker_failures,
            "seconds": policy.breaker_seconds,
            "max_seconds": policy.breaker_max_seconds,
            "asked_seconds": failure.retry_after_seconds or 0.0,
            "trial": trial,
        }
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["count_failure"], parameters).one_or_none()
        return None if row is None else _breaker(row._asdict())

    @retry_lost
    def forget(self, operation: str, trial: datetime | None) -> bool:
        """Note that a call was answered; False if there was nothing that it could change."""
        parameters = {
            "account_name": self.account_name,
            "operation": operation,
            "trial": trial,
        }
        with self.autocommit.connect() as connection:
            return connection.execute(SQL["forget_failures"], parameters).rowcount > 0

    @retry_lost
    def begin_trial(self, operation: str, seconds: float) -> Breaker | None:
        """Take the trial of a breaker whose time is up; it is ours alone for `seconds`.

        `None`: another run has it, or has moved the breaker.
        """
        parameters = {
            "account_name": self.account_name,
            "operation": operation,
            "seconds": seconds,
        }
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["begin_trial"], parameters).one_or_none()
        return None if row is None else _breaker(row._asdict())

    @retry_lost
    def all(self) -> list[Breaker]:
        """Every breaker whose last call failed, by operation."""
        which = {"account_name": self.account_name}
        with self.autocommit.connect() as connection:
            return [_breaker(row._asdict()) for row in connection.execute(SQL["all"], which)]

    @retry_lost
    def reset(self, operations: Sequence[str]) -> list[str]:
        """Close these breakers and forget their failures; the ones that were not closed."""
        which = {"account_name": self.account_name, "operations": list(operations)}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["reset"], which).all()
        return sorted(row.operation for row in rows if row.state != BreakerState.CLOSED)


def breakers_in(document: Sequence[Mapping[str, Any]] | None) -> tuple[Breaker, ...]:
    """The breakers in the JSON that another statement has gathered; `None` stands for none."""
    times = ("retry_at", "changed_at")
    return tuple(
        _breaker({**one, **{name: _timestamp(one[name]) for name in times}})
        for one in document or ()
    )


def _timestamp(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _breaker(row: Mapping[str, Any]) -> Breaker:
    columns = {field.name: row[field.name] for field in fields(Breaker)}
    return Breaker(
        **{
            **columns,
            "state": BreakerState(row["state"]),
            "seconds_left": max(row["seconds_left"], 0.0),
        }
    )


@dataclass(frozen=True, slots=True)
class SchedulerCooldown:
    """What is kept of the cooldowns after failed runs."""

    failed_runs: int = 0
    until: datetime | None = None
    """When a run is tried again, or was; `None` if there is no cooldown."""
    reason: str = ""
    reset_at: datetime | None = None
    """Runs that failed before are not counted."""
    reset_by: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether the schedule starts nothing at this moment."""
        return self.until is not None and self.until > datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ModelCooldown:
    """A model for which nothing is submitted until then."""

    model: str
    until: datetime
    reason: str


@dataclass(frozen=True)
class Cooldowns(EngineQueries):
    """Reads and moves the cooldowns: the schedule's, and those of an account and its models."""

    account_name: str = DEFAULT_ACCOUNT

    @retry_lost
    def scheduler(self) -> SchedulerCooldown:
        """The schedule's cooldown, or what is left of the last one."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["scheduler"]).one_or_none()
        return SchedulerCooldown() if row is None else SchedulerCooldown(*row)

    @retry_lost
    def cool_scheduler(self, cooldown: SchedulerCooldown) -> None:
        """Show a cooldown, unless it is shown already or was reset since its `reset_at`."""
        parameters = {
            "failed_runs": cooldown.failed_runs,
            "until": cooldown.until,
            "reason": cooldown.reason,
            "reset_at": cooldown.reset_at,
        }
        with self.autocommit.connect() as connection:
            connection.execute(SQL["cool_scheduler"], parameters)

    @retry_lost
    def end_scheduler_cooldown(self) -> None:
        """Show that the schedule's cooldown is over."""
        with self.autocommit.connect() as connection:
            connection.execute(SQL["end_scheduler_cooldown"])

    @retry_lost
    def reset_scheduler(self, reset_by: str) -> bool:
        """End the cooldown, and count failed runs from now on; whether there was one."""
        with self.autocommit.connect() as connection:
            return bool(
                connection.execute(SQL["reset_scheduler_cooldown"], {"reset_by": reset_by}).scalar()
            )

    @retry_lost
    def models(self) -> list[ModelCooldown]:
        """The models that are in a cooldown now, by name."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["models"], {"account_name": self.account_name})
            return [ModelCooldown(*row) for row in rows]

    @retry_lost
    def is_account_cooling(self) -> bool:
        """Whether nothing is submitted since the server refuses the account."""
        with self.autocommit.connect() as connection:
            which = {"account_name": self.account_name}
            return bool(connection.execute(SQL["is_account_cooling"], which).scalar_one())

    @retry_lost
    def end_account_cooldown(self) -> bool:
        """Submit again; whether the account was in a cooldown."""
        with self.autocommit.connect() as connection:
            which = {"account_name": self.account_name}
            return connection.execute(SQL["end_account_cooldown"], which).rowcount == 1
