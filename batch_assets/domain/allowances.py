"""What the server takes of an account: settings bound it, refusals lower it, time raises it again.

An adaptive limit, as `openai_batch/concurrency_limit.py` has one for calls: what was taken when
more was refused is kept; then more is tried, a hundredth at first and twice as much each time that
it is taken. After a trial that is refused as well the next one comes later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from batch_assets.domain.policy import Policy

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
        doublings = min(self.refusals - 1, _MOST_DOUBLINGS)
        apart = min(TRIAL_SECONDS * 2.0**doublings, _LONGEST_TRIAL_SECONDS)
        trials = min(int(max(self.seconds, 0) / apart), _MOST_DOUBLINGS)
        return self.most + max(1, self.most // _PARTS) * ((1 << trials) - 1)


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
