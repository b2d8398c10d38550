"""A batch that can be waited for no longer is given up because an operator says so.

Only an operator can. What the server does not know any more may run on, and be billed, in another
project; what it does know and does not end is given up by force. The batch ends without results;
ingestion then lets its requests wait again. What it still brings is read, see `stages.abandoned`.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NoReturn

from batch_assets.domain.display import plural
from batch_assets.domain.errors import ApiError, BatchAssetsError, FailureKind
from batch_assets.domain.lookups import BatchRecord
from batch_assets.domain.states import (
    ABANDONED,
    LOST,
    SERVER_ENDED,
    UNRESOLVED_BATCH_STATES,
    BatchState,
)
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.controls.cancel import find_batch
from batch_assets.stages.controls.criteria import Spelling, time_argument
from batch_assets.stages.overdue import require_long_unresolved, require_stuck
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.remote_ids import CLOCK_MARGIN, batch_of
from batch_assets.store.installation import Installation
from batch_assets.store.lookups import Lookups


@dataclass(frozen=True)
class AbandonReport:
    """The batch, and how the server was asked for it."""

    batch: BatchRecord
    dry_run: bool
    listed: int = 0
    """Batches that the server lists of the time since this one was submitted; it is not there."""
    listed_ours: int = 0
    """Those of them that this installation has made."""
    stuck: str = ""
    """How a batch stands that is given up by force; empty for one that the server does not know."""

    @property
    def open_requests(self) -> int:
        """Requests of the batch that wait again."""
        return self.batch.outcomes.get("open", 0)

    @property
    def duplicate_cost_eur(self) -> float:
        """The estimate of what is paid twice at most, if the server answers all of it after all."""
        batch = self.batch
        return batch.estimated_cost_eur * self.open_requests / max(batch.requests, 1)

    @property
    def sentence(self) -> str:
        """A sentence on what becomes of the batch and its requests, and what that may cost."""
        if self.batch.openai_batch_id is None:
            said = self._of_unresolved()
        else:
            said = self._of_stuck() if self.stuck else self._of_lost()
        return f"{said} Nothing was changed." if self.dry_run else said

    @property
    def _for_how_much(self) -> str:
        price = self.batch.price
        if price is not None and price.is_free:
            return "for nothing, since their model is free"
        if not self.duplicate_cost_eur:
            return "for an amount that is not known, since no price list has their model"
        return f"for about {self.duplicate_cost_eur:,.4f} EUR"

    def _of_stuck(self) -> str:
        batch = self.batch
        again = f"{plural(self.open_requests, 'request')} wait again, to be bought again"
        double = (
            f"{self._for_how_much}. What the server has answered of the batch, "
            "or still answers, is billed as well: up to as much again. Should it end later, its "
            "answers are read, and what they cost is booked as waste."
        )
        if not self.dry_run:
            return (
                f"{batch.named()} ({batch.openai_batch_id}) is given up: the next run lets its "
                f"{again} {double}"
            )
        return (
            f"{batch.named()} ({batch.openai_batch_id}) {self.stuck}. Giving it up lets its "
            f"{again} {double}"
        )

    def _of_unresolved(self) -> str:
        requests = f"its {plural(self.open_requests, 'request')} wait again"
        double = (
            "if the server has it all the same, in this project or another one, that work is paid "
            f"for twice, {self._for_how_much}, and its answers are not read"
        )
        if self.dry_run:
            return (
                f"{self.batch.named()} {self.stuck}. Giving it up lets {requests}; {double}. With "
                "the key that it was made with, a run finds out."
            )
        return f"{self.batch.named()} is given up: {requests}; {double}."

    def _of_lost(self) -> str:
        batch = self.batch
        requests = f"its {plural(self.open_requests, 'request')} wait again"
        double = (
            f"if it lives on in another project, that work is paid for twice, {self._for_how_much}"
        )
        if not self.dry_run:
            return (
                f"{batch.named()} ({batch.openai_batch_id}) is given up: the next run lets "
                f"{requests}; {double}."
            )
        return (
            f"The server accepts the key and does not know {batch.named('batch')} "
            f"({batch.openai_batch_id}). {self._project} Giving it up lets {requests}; {double}."
        )

    @property
    def _project(self) -> str:
        """What the list says of whether this is the project that made the batch."""
        seen = f"It lists {plural(self.listed, 'batch', 'batches')} of the time since then"
        if self.listed_ours:
            return f"{seen}, {self.listed_ours:,} of this installation."
        return (
            f"{seen} and none of this installation: make sure that OPENAI_API_KEY and "
            "OPENAI_BASE_URL are those that the batch was made with."
        )


def abandon_batch(
    pipeline: Pipeline,
    wanted: str,
    older_than: str,
    spelled: Spelling,
    *,
    force: bool = False,
    dry_run: bool,
) -> AbandonReport:
    """Give up a batch that the server says it does not know; with `dry_run` only look.

    With `force` one that the server knows, and that does not end or cannot be read for
    `policy.stuck_seconds`; or one of which it is not known for so long whether the server has it.
    It may be of this database, LiveDash's own, or of the database that this one is a copy of: only
    rows here are touched, in one guarded statement.

    Raises:
        ConfigurationError: No batch has the id, or `older_than` cannot be read.
        BatchAssetsError: The batch cannot be given up, or the server does not tell for certain.
        ApiError: The account is refused.
    """
    before = time_argument(spelled("older_than"), older_than)
    registry, api = pipeline.registry, pipeline.api
    lookups = Lookups(registry.engine)
    batch = find_batch(lookups, wanted)
    installation = registry.installation()
    if force and batch.state in UNRESOLVED_BATCH_STATES:
        _require_allowed(batch, installation)
        stuck = require_long_unresolved(batch, pipeline.policy)
        if not (dry_run or registry.give_up_unresolved(batch.id)):
            raise BatchAssetsError(
                f"A run works on {batch.named('batch')}, or has ended it: nothing was changed. "
                f"`batch-assets batch {batch.id}` shows how it is."
            )
        return AbandonReport(batch, dry_run, stuck=stuck)
    openai_id, submitted_at = _require_old(batch, before, spelled)
    _require_allowed(batch, installation)
    if force:
        report = AbandonReport(batch, dry_run, stuck=require_stuck(api, batch, pipeline.policy))
    else:
        _require_submitted(batch)
        _require_unknown(api, batch, openai_id)
        listed, ours = _require_unlisted(api, batch, openai_id, submitted_at, installation.id)
        report = AbandonReport(batch, dry_run, listed, ours)
    if dry_run:
        return report
    registry.abandon(
        batch.id, openai_id, BatchState(batch.state), word=ABANDONED if force else LOST
    )
    after = find_batch(lookups, batch.id)
    if after.abandoned_at is None:
        raise BatchAssetsError(
            f"{after.named()} has moved meanwhile, or is being read (it is {after.state}, "
            f"{after.server_status}): it goes on, and was not given up."
        )
    return replace(report, batch=after)


def _require_old(batch: BatchRecord, before: datetime, spelled: Spelling) -> tuple[str, datetime]:
    """The server's id of a batch that is on the server for long enough, and since when it is."""
    if batch.state in UNRESOLVED_BATCH_STATES:
        raise BatchAssetsError(
            f"{batch.named()} is not on the server yet, as far as is known ({batch.state}): the "
            f"next runs look it up and resolve it. If they cannot for long, `batch-assets abandon "
            f"{batch.id} --force` gives it up."
        )
    is_open = batch.state in {BatchState.SUBMITTED, BatchState.ENDED} and batch.kind == "batch"
    is_given_up = batch.abandoned_at is not None
    if not is_open or is_given_up or batch.openai_batch_id is None or batch.submitted_at is None:
        raise BatchAssetsError(f"{batch.named()} is {batch.state}: there is nothing to give up.")
    if batch.submitted_at > before:
        raise BatchAssetsError(
            f"{batch.named()} was submitted at {batch.submitted_at.astimezone(UTC):%Y-%m-%d %H:%M} "
            "UTC, which is too short a time ago to be sure: wait, or give a shorter "
            f"{spelled('older_than')}."
        )
    return batch.openai_batch_id, batch.submitted_at


def _require_submitted(batch: BatchRecord) -> None:
    if batch.state != BatchState.SUBMITTED:
        raise BatchAssetsError(
            f"{batch.named()} has ended: the next runs read it. If they cannot for long, "
            f"`batch-assets abandon {batch.id} --force` gives it up."
        )


def _require_allowed(batch: BatchRecord, installation: Installation) -> None:
    if not (installation.may_touch and installation.is_confirmed):
        raise BatchAssetsError(
            f"{batch.named()} may be another database's, since {installation.why_not_touched}"
        )


def _require_unknown(api: BatchApi, batch: BatchRecord, openai_id: str) -> None:
    try:
        remote = api.retrieve(openai_id)
    except ApiError as error:
        failure = error.failure
        if failure.kind is FailureKind.PERMANENT and failure.code == error_codes.NOT_FOUND:
            return
        _not_certain(batch, error)
    known = f"The server knows {batch.named('batch')} (it is {remote.status}): it is not lost."
    if remote.status in SERVER_ENDED:
        raise BatchAssetsError(f"{known} The next run reads it.")
    raise BatchAssetsError(
        f"{known} `batch-assets cancel` ends it, and keeps what has run; if it never ends, "
        f"`batch-assets abandon {batch.id} --force` gives it up."
    )


def _require_unlisted(
    api: BatchApi, batch: BatchRecord, openai_id: str, since: datetime, installation_id: str
) -> tuple[int, int]:
    """How many batches the server lists that are as young as this one, and how many are ours."""
    listed = ours = 0
    try:
        for remote in api.list_batches(created_after=since - CLOCK_MARGIN):
            if remote.id == openai_id:
                raise BatchAssetsError(
                    f"The server lists {batch.named('batch')}, though it did not find it when "
                    f"asked for it alone: it is not lost. If it never ends, `batch-assets abandon "
                    f"{batch.id} --force` gives it up."
                )
            listed += 1
            ours += batch_of(remote, installation_id) is not None
    except ApiError as error:
        _not_certain(batch, error)
    return listed, ours


def _not_certain(batch: BatchRecord, error: ApiError) -> NoReturn:
    if error.failure.kind is FailureKind.ACCOUNT:
        raise error
    raise BatchAssetsError(
        f"Whether the server knows {batch.named('batch')} is not certain, and nothing was "
        f"changed ({error}). Try again when the API is well; if it never says, `batch-assets "
        f"abandon {batch.id} --force` gives the batch up."
    ) from None
