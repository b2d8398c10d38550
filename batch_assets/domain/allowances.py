"""What the server takes of an account: settings bound it, refusals lower it, time raises it again.

An adaptive limit, as `openai_batch/concurrency_limit.py` has one for calls: what was taken when
more was refused is kept; then more is tried, a hundredth at first and twice as much each time that
it is taken. After a trial that is refused as well the next one comes later. `uses` says of each
allowance how it stands, for people.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from batch_assets.domain.policy import PUBLISHED_HOURLY_BATCHES, UNBOUNDED_TOKENS, Policy

OF_BATCHES: Final = ""
"""In the place of a model: batches that are created in an hour."""

TRIAL_SECONDS: Final = 10 * 60
"""From a first refusal to the first trial, and from there to the next."""

_LONGEST_TRIAL_SECONDS = 2 * 60 * 60
_PARTS = 100
_MOST_DOUBLINGS = 40


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the server was seen to take when it refused more."""

    most: int
    refusals: int
    """How often in a row more was refused."""
    seconds: float
    """Since the last time."""

    @property
    def now(self) -> int:
        """What is tried at this moment: more of it the longer nothing is refused."""
        trials = min(int(max(self.seconds, 0) / self._apart), _MOST_DOUBLINGS)
        return self.most + self._first_step * ((1 << trials) - 1)

    def seconds_until(self, wanted: int) -> float:
        """Seconds from this moment until so much is tried; 0: it is."""
        steps = -(-max(wanted - self.most, 0) // self._first_step)
        return max(steps.bit_length() * self._apart - self.seconds, 0.0)

    @property
    def _first_step(self) -> int:
        return max(1, self.most // _PARTS)

    @property
    def _apart(self) -> float:
        """Seconds from one trial to the next."""
        doublings = min(self.refusals - 1, _MOST_DOUBLINGS)
        return min(TRIAL_SECONDS * 2.0**doublings, _LONGEST_TRIAL_SECONDS)


@dataclass(frozen=True, slots=True)
class Allowances:
    """What may be sent of an account at one moment."""

    policy: Policy
    learnt: Mapping[str, Learnt]
    """By model, and by `OF_BATCHES`; what was never refused is not in it."""

    @property
    def hourly_batches(self) -> int:
        """Batches that may be created in an hour."""
        return self._within(OF_BATCHES, self.policy.hourly_batches)

    def tokens(self, model: str) -> int:
        """Prompt tokens that may be enqueued for a model at one time, all its batches together."""
        return self._within(model, self.policy.token_allowance(model))

    def seconds_until(self, name: str, wanted: int, most: int) -> float:
        """Seconds until so much is tried of an allowance that settings bound by `most`."""
        learnt = self.learnt.get(name)
        if wanted > most:
            return math.inf
        return 0.0 if learnt is None else learnt.seconds_until(wanted)

    def _within(self, name: str, most: int) -> int:
        learnt = self.learnt.get(name)
        return most if learnt is None else min(most, learnt.now)


def read_allowances(policy: Policy, rows: Mapping[str, Sequence[float]]) -> Allowances:
    """Read the database's allowances: what was taken, the refusals, the seconds since the last."""
    learnt = {
        name: Learnt(int(most), int(refusals), float(seconds))
        for name, (most, refusals, seconds) in rows.items()
    }
    return Allowances(policy, learnt)


class Source(StrEnum):
    """Where the figure of an allowance comes from."""

    SETTING = "setting"
    LEARNT = "learnt"
    """The server has refused more."""
    FIRST_GUESS = "first_guess"
    """The setting's default, as long as the server has refused nothing: what its documentation
    says, or no bound at all. No header of an answer has either figure."""


@dataclass(frozen=True, slots=True)
class InUse:
    """What counts against an account's allowances at one moment, as the database has it."""

    rows: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """See `read_allowances`."""
    created: Sequence[Sequence[int]] = ()
    """Seconds until some of the hour's batches are an hour old, and how many are then: soonest
    first, to the minute."""
    enqueued: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """By model: the estimated tokens of batches that have not ended, and their requests."""


@dataclass(frozen=True, slots=True)
class AllowanceUse:
    """One allowance: how much of it is in use, and where its figure comes from."""

    what: str
    """`batches_an_hour` or `enqueued_tokens`."""
    model: str | None
    """Of enqueued tokens."""
    allowed: int | None
    """`None`: no bound is known."""
    in_use: int
    left: int | None
    """What may be created or enqueued now."""
    source: Source
    setting: str
    """The setting that bounds it, by its name."""
    refused_at: datetime | None
    """When the server has last refused more, if the figure is learnt."""
    holds: bool
    """Whether there is no room for another batch, or another request of the usual length."""
    possible_at: datetime | None
    """When there is room again at the latest, where something is held and that is known."""

    @property
    def sentence(self) -> str:
        """What is in use, what is possible now or from when on, and where the figure comes from."""
        return f"{self._used} {self._origin}"

    @property
    def _used(self) -> str:
        name = "Batches an hour" if self.model is None else f"Tokens of {self.model}"
        done = "created" if self.model is None else "enqueued"
        if self.allowed is None:
            return f"{name}: {self.in_use:,} are {done}, and any number more may be."
        used = f"{name}: {self.in_use:,} of {self.allowed:,} are {done}"
        if not self.holds:
            return f"{used}, and {self.left:,} more may be now."
        until = "" if self.possible_at is None else f" {self.possible_at:%Y-%m-%d %H:%M} UTC"
        if self.model is None:
            return f"{used}: no other batch is created before{until}, and what is due waits."
        until = f", or until{until}, when more is tried" if until else ""
        return f"{used}: what is due of this model waits until batches of it end{until}."

    @property
    def _origin(self) -> str:
        if self.source is Source.LEARNT and self.refused_at is not None:
            return f"The server refused more at {self.refused_at:%Y-%m-%d %H:%M} UTC."
        if self.source is Source.SETTING:
            return f"{self.setting} says so."
        return f"That is a first guess, {self.setting}'s default: the server has refused nothing."


def uses(policy: Policy, in_use: InUse, now: datetime) -> list[AllowanceUse]:
    """Say of each allowance how it stands: batches an hour first, then the models by name.

    Models are those of which something is enqueued, refused or set.
    """
    allowances = read_allowances(policy, in_use.rows)
    models = {*in_use.rows, *in_use.enqueued, *policy.token_allowances} - {OF_BATCHES}
    return [
        _of_batches(allowances, in_use, now),
        *(_of_tokens(allowances, model, in_use, now) for model in sorted(models)),
    ]


def _of_batches(allowances: Allowances, in_use: InUse, now: datetime) -> AllowanceUse:
    used = sum(batches for _, batches in in_use.created)
    seconds = _until_another(allowances, in_use.created)
    return _use(
        allowances,
        _Figure(
            "batches_an_hour",
            OF_BATCHES,
            allowances.policy.hourly_batches,
            used,
            "BATCH_HOURLY_BATCHES",
        ),
        now,
        seconds if used >= allowances.hourly_batches else None,
    )


def _of_tokens(allowances: Allowances, model: str, in_use: InUse, now: datetime) -> AllowanceUse:
    tokens, requests = in_use.enqueued.get(model, (0, 0))
    most = allowances.policy.token_allowance(model)
    wanted = tokens + -(-tokens // max(requests, 1))
    holds = tokens > 0 and wanted > allowances.tokens(model)
    is_single = model in allowances.policy.token_allowances
    setting = "BATCH_TOKEN_ALLOWANCES" if is_single else "BATCH_TOKEN_ALLOWANCE"
    return _use(
        allowances,
        _Figure("enqueued_tokens", model, most, tokens, setting),
        now,
        allowances.seconds_until(model, wanted, most) if holds else None,
    )


@dataclass(frozen=True, slots=True)
class _Figure:
    """An allowance by name, what is in use of it, and what its setting says."""

    what: str
    name: str
    most: int
    in_use: int

    setting: str

    @property
    def is_guess(self) -> bool:
        """Whether the setting is as it is by default."""
        guess = UNBOUNDED_TOKENS if self.name else PUBLISHED_HOURLY_BATCHES
        return self.most == guess


def _use(
    allowances: Allowances, figure: _Figure, now: datetime, held_seconds: float | None
) -> AllowanceUse:
    """How an allowance stands; `held_seconds`: until when it holds something back, if it does."""
    learnt = allowances.learnt.get(figure.name)
    allowed = figure.most if learnt is None else min(figure.most, learnt.now)
    is_learnt = learnt is not None and allowed < figure.most
    is_bounded = is_learnt or figure.name == OF_BATCHES or not figure.is_guess
    is_known = held_seconds is not None and not math.isinf(held_seconds)
    if is_learnt:
        source = Source.LEARNT
    else:
        source = Source.FIRST_GUESS if figure.is_guess else Source.SETTING
    return AllowanceUse(
        what=figure.what,
        model=figure.name or None,
        allowed=allowed if is_bounded else None,
        in_use=figure.in_use,
        left=max(allowed - figure.in_use, 0) if is_bounded else None,
        source=source,
        setting=figure.setting,
        refused_at=now - timedelta(seconds=learnt.seconds) if learnt and is_learnt else None,
        holds=held_seconds is not None,
        possible_at=now + timedelta(seconds=held_seconds or 0.0) if is_known else None,
    )


def _until_another(allowances: Allowances, created: Sequence[Sequence[int]]) -> float:
    """Seconds until one more batch may be created: some are an hour old, or more is tried."""
    used = sum(batches for _, batches in created)
    begins = 0.0
    for ends, batches in (*created, (math.inf, 0)):
        tried = allowances.seconds_until(OF_BATCHES, used + 1, allowances.policy.hourly_batches)
        if tried < ends:
            return max(begins, tried)
        begins = ends
        used -= int(batches)
    return math.inf
