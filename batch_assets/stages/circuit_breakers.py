"""Circuit breakers around the calls to the API, one for each operation, shared by all runs.

A server that is not well is left alone for a while: calls are then refused at once, without the
time-outs, and operations that still work go on. What all runs know of each operation is in the
database; a run reads it once and writes only what changes.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from batch_assets.domain.breakers import BREAKER_OPEN, Breaker, BreakerState, is_answer, is_unwell
from batch_assets.domain.errors import ApiError, BatchAssetsError, Failure, FailureKind
from batch_assets.domain.health import Hold
from batch_assets.domain.logs import open_log
from batch_assets.domain.policy import Policy, Tier
from batch_assets.openai_batch.operations import Operation, Timeouts
from batch_assets.openai_batch.profiles import Profile
from batch_assets.store.breakers import Breakers
from batch_assets.store.installation import Installation
from batch_assets.store.registry import WorkSnapshot

log = open_log(__name__)

_TURN_SECONDS = Timeouts().turn
_DOES = {Operation.UPLOAD: "take files", Operation.CREATE_BATCH: "create batches"}


def hold_of(profile: Profile, installation: Installation) -> Hold | None:
    """Why nothing may be submitted, however well the server is; `None`: it may be.

    The server takes no batches, or this database may not send any now.
    """
    return profile.no_batches or installation.hold


def submission_held_by(profile: Profile, snapshot: WorkSnapshot) -> str | None:
    """Say why nothing can be submitted now; `None`: it can be. Claims would only be released.

    The server takes no batches, nothing may be submitted, or an operation that it takes is refused.
    """
    hold = hold_of(profile, snapshot.installation)
    return _held_by(snapshot.breakers, _DOES) if hold is None else hold.reason


def synchronous_held_by(breakers: Sequence[Breaker], tier: Tier) -> str | None:
    """Say why no synchronous request can be sent now, although it may be; `None`: one can be."""
    if tier is Tier.FLEX:
        return _held_by(breakers, {Operation.FLEX_COMPLETION: "answer requests by flex"})
    return _held_by(breakers, {Operation.CHAT_COMPLETION: "answer synchronous requests"})


def _held_by(breakers: Sequence[Breaker], does: Mapping[Operation, str]) -> str | None:
    for breaker in breakers:
        if breaker.operation in does and breaker.seconds_left > 0:
            what = does[Operation(breaker.operation)]
            return f"The API is not asked to {what} now: {breaker.refusal}."
    return None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A breaker as this run last saw it, and until when it refuses calls, on this run's clock."""

    breaker: Breaker
    refuses_until: float


class CircuitBreakerGuard:
    """The call guard of one run: asks the breakers before each call, and tells them how it ended.

    Calls of an operation whose breaker is not closed are made one after the other, so that those
    which wait learn from the trial. What cannot be written about a call never hides its outcome.
    """

    def __init__(
        self,
        breakers: Breakers,
        policy: Policy,
        known: Callable[[], Sequence[Breaker]] | None = None,
    ) -> None:
        """`known` gives the breakers where another statement has read them for this run.

        It is asked when the first call is made; without it they are read then, by one of their own.
        """
        self._breakers = breakers
        self._policy = policy
        self._known = known or breakers.all
        self._seen: dict[str, _Seen] | None = None
        self._lock = threading.Lock()
        self._turns: defaultdict[Operation, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def attempt(self, operation: Operation) -> Generator[None, None, None]:
        """Make a context for one call; see `CallGuard`.

        Raises:
            ApiError: On the way in: the breaker is open, or another call is on trial for too long.
        """
        if self._is_closed(operation):
            with self._judged(operation, None):
                yield
            return
        turn = self._turns[operation]
        if not turn.acquire(timeout=_TURN_SECONDS):
            raise _refused(operation, "another call is trying it, and takes long")
        try:
            with self._judged(operation, self._trial(operation)):
                yield
        finally:
            turn.release()

    @contextmanager
    def _judged(self, operation: Operation, trial: datetime | None) -> Generator[None, None, None]:
        try:
            yield
        except ApiError as error:
            self._remember(operation, error.failure, trial)
            raise
        self._remember(operation, None, trial)

    def _trial(self, operation: Operation) -> datetime | None:
        """The moment at which this call's trial begins; `None` if the breaker has closed by now.

        ApiError if the call may not be made.
        """
        seen = self._find(operation)
        if seen is None or seen.breaker.state is BreakerState.CLOSED:
            return None
        if time.monotonic() < seen.refuses_until:
            raise _refused(operation, seen.breaker.refusal, seen.breaker.seconds_left)
        trial = self._breakers.begin_trial(operation, self._policy.breaker_seconds)
        if trial is not None:
            log.info("Trying %s again after %d failures.", operation, trial.failures)
            return trial.changed_at
        self._look(operation)
        seen = self._find(operation)
        if seen is None or seen.breaker.state is BreakerState.CLOSED:
            return None
        raise _refused(operation, seen.breaker.refusal, seen.breaker.seconds_left)

    def _remember(
        self, operation: Operation, failure: Failure | None, trial: datetime | None
    ) -> None:
        try:
            if failure is None or is_answer(failure):
                self._forget(operation, trial)
            elif is_unwell(failure):
                self._count(operation, failure, trial)
        except (BatchAssetsError, SQLAlchemyError) as error:
            log.warning("The breaker of %s was not kept: %s", operation, type(error).__name__)

    def _count(self, operation: Operation, failure: Failure, trial: datetime | None) -> None:
        breaker = self._breakers.count(operation, failure, self._policy, trial)
        if breaker is None:
            self._look(operation)
            return
        self._note(operation, breaker)
        if breaker.state is BreakerState.OPEN:
            log.warning("%s: %s.", operation, breaker.refusal)

    def _forget(self, operation: Operation, trial: datetime | None) -> None:
        seen = self._find(operation)
        if seen is None or (trial is None and seen.breaker.state is not BreakerState.CLOSED):
            return
        if self._breakers.forget(operation, trial):
            self._note(operation, None)
        else:
            self._look(operation)

    def _look(self, operation: Operation) -> None:
        """See what other runs have made of a breaker."""
        found = {breaker.operation: breaker for breaker in self._breakers.all()}
        self._note(operation, found.get(operation))

    def _is_closed(self, operation: Operation) -> bool:
        seen = self._find(operation)
        return seen is None or seen.breaker.state is BreakerState.CLOSED

    def _find(self, operation: Operation) -> _Seen | None:
        with self._lock:
            if self._seen is None:
                self._seen = {breaker.operation: _seen(breaker) for breaker in self._known()}
            return self._seen.get(operation)

    def _note(self, operation: Operation, breaker: Breaker | None) -> None:
        with self._lock:
            seen = self._seen if self._seen is not None else {}
            if breaker is None:
                seen.pop(operation, None)
            else:
                seen[operation] = _seen(breaker)


def _seen(breaker: Breaker) -> _Seen:
    return _Seen(breaker, time.monotonic() + breaker.seconds_left)


def _refused(operation: Operation, reason: str, seconds_left: float | None = None) -> ApiError:
    return ApiError(operation, Failure(FailureKind.TRANSIENT, BREAKER_OPEN, reason, seconds_left))
