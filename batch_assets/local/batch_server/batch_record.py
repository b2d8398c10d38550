"""A batch as the database holds it, and as the API shows it."""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Self

from batch_assets.local.batch_server.batch_rules import BatchRule
from batch_assets.local.batch_server.config import Quirks

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

    @property
    def _rule(self) -> BatchRule | None:
        return None if self.fate is None else BatchRule.model_validate_json(self.fate)

    def as_json(self, quirks: Quirks, now: float) -> dict[str, Any]:
        """The Batch object of the API."""
        errors = None if self.errors is None else json.loads(self.errors)
        shown: dict[str, Any] = {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": None if not errors else {"object": "list", "data": errors},
            "input_file_id": self.input_file_id,
            "completion_window": self.completion_window,
            "status": quirks.rename_status.get(self.status, self.status),
            **self._files(quirks, now),
            **self._times(),
            "request_counts": {
                "total": self.total,
                "completed": self.completed,
                "failed": self.failed,
            },
            "usage": self._usage(),
            "metadata": self.labels,
        }
        return {
            name: value for name, value in shown.items() if name not in quirks.omit_batch_fields
        }

    def _files(self, quirks: Quirks, now: float) -> dict[str, str | None]:
        absent = "" if quirks.empty_string_file_ids else None
        lags = (
            self.completed_at is not None
            and now < self.completed_at + quirks.output_file_lag_seconds
        )
        return {
            "output_file_id": absent if lags else self.output_file_id or absent,
            "error_file_id": absent if lags else self.error_file_id or absent,
        }

    def _times(self) -> dict[str, int | None]:
        times = {
            "created_at": self.created_at,
            "in_progress_at": self.in_progress_at,
            "expires_at": self.expires_at,
            "finalizing_at": self.finalizing_at,
            "completed_at": self.completed_at,
            "failed_at": self.failed_at,
            "expired_at": self.expired_at,
            "cancelling_at": self.cancelling_at,
            "cancelled_at": self.cancelled_at,
        }
        return {name: None if time is None else int(time) for name, time in times.items()}

    def _usage(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {"cached_tokens": self.cached_tokens},
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": self.input_tokens + self.output_tokens,
        }
