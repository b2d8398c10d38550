"""A batch is cancelled because an operator says so. What ran of it is paid for, and is read.

The batch goes on as submitted until the server says that it has ended; then it is read like any
other, and what did not run waits again.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from batch_assets.domain.display import escaped, plural, span
from batch_assets.domain.errors import ApiError, BatchAssetsError, ConfigurationError, FailureKind
from batch_assets.domain.lookups import BatchRecord
from batch_assets.domain.states import SERVER_ENDED, BatchState
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.overdue import ABOUT_TO_END
from batch_assets.store.installation import Installation
from batch_assets.store.lookups import Lookups
from batch_assets.store.registry import Registry

_ENDS_WITHIN: Final = timedelta(minutes=15)
"""How long a batch that is about to end is left alone. The API says ten minutes."""


@dataclass(frozen=True)
class CancelReport:
    """The batch, and whether the server was asked to end it."""

    batch: BatchRecord
    dry_run: bool
    server_status: str | None
    """The server's answer; of a dry run its last word."""

    @property
    def sentence(self) -> str:
        """A sentence on what becomes of the batch."""
        batch = self.batch
        shown = f"Batch {batch.id} ({batch.openai_batch_id}) of {batch.company or batch.company_id}"
        requests = plural(batch.requests, "request")
        if self.dry_run:
            return (
                f"{shown} is {batch.server_status} and can be cancelled; it holds {requests}. "
                "Nothing was changed."
            )
        return (
            f"{shown} is {self.server_status}: it may take ten minutes to end. What has run of its "
            f"{requests} is paid for and read then; the rest waits again. If it never ends, "
            f"`batch-assets abandon {batch.id} --force` gives it up after BATCH_STUCK_HOURS."
        )


def find_batch(lookups: Lookups, wanted: str) -> BatchRecord:
    """Look up the batch with this id, ours or the server's.

    Raises:
        ConfigurationError: There is none.
    """
    found = lookups.batch(wanted)
    if found is None:
        raise ConfigurationError(
            f"No batch has the id '{escaped(wanted)}': give ours or the one of OpenAI (batch_…)."
        )
    return found


def batch_called(lookups: Lookups, beginning: str) -> BatchRecord:
    """Look up the one batch whose id is this or begins so, ours or the server's.

    Raises:
        ConfigurationError: There is none, or there are several.
    """
    found = lookups.batches_called(beginning) if beginning else []
    if len(found) == 1:
        return find_batch(lookups, found[0])
    exact = lookups.batch(beginning)
    if exact is not None:
        return exact
    if found:
        raise ConfigurationError(
            f"The ids of several batches begin with '{escaped(beginning)}': give more of it, as in "
            f"{found[0]}."
        )
    raise ConfigurationError(
        f"No batch has the id '{escaped(beginning)}', or one that begins so: `batch-assets "
        "batches` lists them."
    )


def cancel_batch(registry: Registry, api: BatchApi, wanted: str, *, dry_run: bool) -> CancelReport:
    """Ask the server to end a batch of ours; with `dry_run` only look whether that can be done.

    Raises:
        ConfigurationError: No batch has the id.
        BatchAssetsError: The batch cannot be cancelled, or was not seen to be.
        ApiError: The account is refused.
    """
    batch = find_batch(Lookups(registry.engine), wanted)
    _require_cancellable(batch, registry.installation())
    if dry_run or batch.openai_batch_id is None:
        return CancelReport(batch, dry_run, batch.server_status)
    try:
        remote = api.cancel(batch.openai_batch_id)
    except ApiError as error:
        if error.failure.kind is FailureKind.ACCOUNT:
            raise
        raise BatchAssetsError(
            f"{batch.named()} may run on: it was not seen to be cancelled ({error}). Cancel it "
            "again; twice does no harm. If it never ends, `batch-assets abandon "
            f"{batch.id} --force` gives it up."
        ) from None
    registry.note_cancelled([batch.id])
    noted = replace(batch, cancelled_at=batch.cancelled_at or datetime.now(UTC))
    return CancelReport(noted, dry_run, remote.status)


def _require_cancellable(batch: BatchRecord, installation: Installation) -> None:
    name = batch.named()
    if not batch.is_ours:
        raise BatchAssetsError(
            f"{name} is not ours (LiveDash made it, or the database that this one is a copy of): "
            "it is read to its end and never cancelled from here."
        )
    if not installation.may_touch:
        raise BatchAssetsError(
            f"{name} may be another database's, since {installation.why_not_touched}"
        )
    if batch.state in {BatchState.CLAIMED, BatchState.UPLOADED}:
        raise BatchAssetsError(
            f"{name} is not on the server yet, as far as is known ({batch.state}): the run that "
            "sends it, or the next one, resolves that first."
        )
    if batch.state != BatchState.SUBMITTED:
        raise BatchAssetsError(f"{name} is {batch.state}: there is nothing to cancel any more.")
    if batch.server_status in SERVER_ENDED:
        raise BatchAssetsError(
            f"{name} is {batch.server_status} on the server: the next run reads it, and there is "
            "nothing to cancel any more."
        )
    since = batch.server_status_since or datetime.now(UTC)
    if batch.server_status in ABOUT_TO_END and datetime.now(UTC) - since < _ENDS_WITHIN:
        raise BatchAssetsError(
            f"{name} is {batch.server_status} on the server: it ends by itself, within ten minutes "
            f"as a rule. If not within {span(_ENDS_WITHIN.total_seconds())}, cancel it again; if "
            f"it never does, `batch-assets abandon {batch.id} --force` gives it up."
        )
