"""What the strategy has to know of each operation: whether it writes, and how many rows it moves.

The rows are what both implementations would count alike: the answer's, or the argument's where an
operation has no answer.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from batch_assets.domain.batches import Claim, Written
from batch_assets.domain.packing import Packing

READS: Final = frozenset(
    {
        "active_companies",
        "batches_in_flight",
        "conversations",
        "leftovers",
        "model_prices",
        "open_rows",
        "pending_by_company",
        "preview",
        "rows_of",
        "statistics",
    }
)
WRITES: Final = frozenset(
    {
        "adopt_external",
        "claim",
        "expire",
        "notice_pending",
        "record_absences",
        "record_deleted",
        "record_statuses",
        "record_submissions",
        "record_uploads",
        "release",
        "renew",
        "requeue_due",
        "finalize",
        "take_ended",
        "take_unresolved",
        "write_results",
    }
)
HAVE_TWO: Final = (READS | WRITES) - {
    "active_companies",
    "batches_in_flight",
    "leftovers",
    "model_prices",
    "preview",
    "take_ended",
    "take_unresolved",
}
"""The others are one statement in both; the preview is the original's in both."""

# Conversations are as many bytes as a run has, and nothing of the statistics can be left out.
PROBED: Final = (READS & HAVE_TWO) - {"conversations", "statistics"}
"""What may be done a second time, by the other implementation, only to measure it."""


def rows_of_claim(claim: Claim) -> int:
    """Requests that came into a batch or were refused."""
    rejected = sum(claim.rejected.values())
    return rejected + sum(batch.requests for batch in claim.batches)


def rows_of_preview(packings: Sequence[Packing]) -> int:
    """Requests that would come into a batch or be refused."""
    return sum(
        len(packing.rejections) + sum(len(draft.candidates) for draft in packing.drafts)
        for packing in packings
    )


def rows_of_results(written: Mapping[str, Written]) -> int:
    """Outcomes that were applied."""
    return sum(
        one.completed + one.retry + one.dead + one.returned + one.discarded
        for one in written.values()
    )
