"""Models and the account in cooldown: the server has no room, or nothing at all, for them.

Whether it has is also said by the answers to requests of a batch, one by one or all of them.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.records import ResultLine
from batch_assets.openai_batch.error_codes import OF_THE_QUOTA
from batch_assets.openai_batch.results import BrokenLine
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.bisection import Bisection

_ALONE = Failure(
    FailureKind.TRANSIENT,
    "no_room_alone",
    "The server has no room for this request by itself, and answered others of the same model.",
)


def cool_down(pipeline: Pipeline, models: Mapping[str, str], account: str | None) -> None:
    """Begin cooldowns of models, given with the server's codes, and of the account if it has one.

    Each is longer than the one before, as long as one follows upon another.
    """
    jitter = random.SystemRandom()
    for model, code in sorted(models.items()):
        pipeline.registry.cool_model(model, pipeline.policy.cooldown(code, jitter))
    if account is not None:
        pipeline.registry.cool_account(pipeline.policy.cooldown(account, jitter))


def cool_down_unpaid(pipeline: Pipeline, stopped_by: ApiError) -> None:
    """Begin a cooldown of the account if it was its quota for which a call was refused."""
    if stopped_by.failure.code in OF_THE_QUOTA:
        cool_down(pipeline, {}, stopped_by.failure.code)


class NoRoom:
    """Keeps lines for which the server had no room back until all of their batch was read.

    One request alone of a batch whose others were answered is too large by itself, and the attempt
    counts; so is one alone in its batch, if the server answered others of its model since it first
    refused it.
    """

    def __init__(self, batch: EndedBatch) -> None:
        self._batch = batch
        self._held: list[ResultLine] = []
        self._answers = batch.completed
        self.account: str | None = None
        """The server's code, if it refused the account for a request."""

    def holds(self, line: ResultLine | BrokenLine) -> bool:
        """Whether the line is kept back; else only looked at."""
        if isinstance(line, BrokenLine):
            return False
        kind = line.failure.kind if line.failure is not None else None
        if kind is FailureKind.CAPACITY:
            self._held.append(line)
            return True
        if kind is FailureKind.ACCOUNT and line.failure is not None:
            self.account = line.failure.code
        self._answers += line.response is not None
        return False

    def judged(self, bisection: Bisection) -> Sequence[ResultLine]:
        """Take the lines that were kept back, with what their failures mean."""
        if len(self._held) != 1:
            return self._held
        is_alone = self._answers > 0 or (
            self._batch.requests == 1 and bisection.was_answered_since(self._batch.id)
        )
        (line,) = self._held
        return [replace(line, failure=_ALONE)] if is_alone else self._held

    @property
    def model(self) -> tuple[str, str] | None:
        """The model whose cooldown is to begin, and the code: for several, if none was answered."""
        failure = self._held[0].failure if self._held else None
        if failure is None or self._batch.model is None or self._answers or len(self._held) < 2:
            return None
        return self._batch.model, failure.code


@dataclass(slots=True)
class Cooldowns:
    """What is to be in cooldown after batches were read."""

    _models: dict[str, str] = field(default_factory=dict)
    _account: str | None = None

    def note(self, batch: EndedBatch, no_room: NoRoom) -> None:
        """Note what was found in one batch; LiveDash's own say nothing of ours."""
        if not batch.is_ours:
            return
        if no_room.model is not None:
            model, code = no_room.model
            self._models[model] = code
        self._account = no_room.account or self._account

    def begin(self, pipeline: Pipeline) -> None:
        """Begin the cooldowns."""
        cool_down(pipeline, self._models, self._account)
