"""A batch as the database holds it; batch_view.py has what the API shows of it."""

import json
import math
import sqlite3
from dataclasses import dataclass
from typing import Self

from batch_assets_local.batch_server.fault_rules import BatchRule

ACTIVE = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One row of the table `batch`, column by column; schema.sql says what each means."""

    seq: int
    id: str
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: str | None
    output_expires_seconds: int | None
    status: str
    model: str | None
    errors: str | None
    output_file_id: str | None
    error_file_id: str | None
    created_at: float
    expires_at: float
    in_progress_at: float | None
    finalizing_at: float | None
    completed_at: float | None
    failed_at: float | None
    expired_at: float | None
    cancelling_at: float | None
    cancelled_at: float | None
    total: int
    completed: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    enqueued_tokens: int
    scanned: int
    next_offset: int
    next_line: int
    ending: str | None
    fate: str | None
    due_at: float | None

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Self:
        """Read a row that was selected with all its columns."""
        return cls(**row)

    @property
    def rows_done(self) -> int:
        """How many of the input's lines have been dealt with."""
        return self.next_line - 1

    @property
    def labels(self) -> dict[str, str] | None:
        """The metadata that the batch was created with."""
        return None if self.metadata is None else json.loads(self.metadata)

    @property
    def refusal(self) -> BatchRule | None:
        """The rule that may strike this batch in validation, if one was drawn."""
        rule = self._rule
        return rule if rule is not None and rule.end_as == "failed" else None

    @property
    def early_end(self) -> BatchRule | None:
        """The rule that ends this batch while it runs, if one was drawn."""
        rule = self._rule
        return rule if rule is not None and rule.end_as != "failed" else None

    def stalled_until(self, status: str) -> float | None:
        """Until when a rule keeps this batch in a status: infinity is for ever; None if none does.

        What is to be stuck in `cancelling` waits in progress until it is cancelled.
        """
        rule = self.early_end
        if rule is None or rule.end_as != "stalled":
            return None
        since, is_held = {
            "in_progress": (self.in_progress_at, rule.stalls_in in {"in_progress", "cancelling"}),
            "finalizing": (self.finalizing_at, rule.stalls_in == "finalizing"),
            "cancelling": (
                self.cancelling_at,
                rule.stalls_in == "cancelling" or "cancel" in rule.survives,
            ),
        }[status]
        if not is_held or since is None:
            return None
        waits_to_be_cancelled = status == "in_progress" and rule.stalls_in == "cancelling"
        if rule.stalled_seconds is None or waits_to_be_cancelled:
            return math.inf
        return since + rule.stalled_seconds

    @property
    def survives_window(self) -> bool:
        """Whether a rule keeps it from expiring."""
        rule = self.early_end
        return rule is not None and "window" in rule.survives

    @property
    def _rule(self) -> BatchRule | None:
        return None if self.fate is None else BatchRule.model_validate_json(self.fate)

    @property
    def ended_at(self) -> float | None:
        """When it ended, however it did."""
        return self.completed_at or self.expired_at or self.cancelled_at or self.failed_at
