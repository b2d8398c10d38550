"""What callers are shown of a batch, which need not be all that it is."""

import json
from typing import Any

from batch_assets_local.batch_server.batch_record import ACTIVE, BatchRecord
from batch_assets_local.batch_server.config import Late, ReloadableConfig
from batch_assets_local.batch_server.rules import Rules


class BatchViews:
    """The Batch objects of the API, as the configured quirks have them."""

    def __init__(self, config: ReloadableConfig, rules: Rules) -> None:
        """Show by the configuration in force; looks are counted beside the rules' strikes."""
        self._config = config
        self._rules = rules

    def retrieved(self, batch: BatchRecord) -> dict[str, Any]:
        """As `retrieve` shows it."""
        if batch.status not in ACTIVE and self._config.current.quirks.moves_on_retrieve:
            self._rules.count(f"retrieved {batch.id}")
        return self._with_late_files(batch, self.plain(batch))

    def listed(self, batch: BatchRecord) -> dict[str, Any]:
        """As the list shows it."""
        quirks = self._config.current.quirks
        if self._is_unmoved(batch):
            unmoved = quirks.rename_status.get("in_progress", "in_progress")
            hidden = {"status": unmoved, "output_file_id": None, "error_file_id": None}
            return self.plain(batch) | hidden
        if quirks.lists.without_file_ids:
            return self.plain(batch) | {"output_file_id": None, "error_file_id": None}
        return self._with_late_files(batch, self.plain(batch))

    def _is_unmoved(self, batch: BatchRecord) -> bool:
        """Whether the list does not know yet that the batch has ended: nobody retrieved it."""
        if batch.status in ACTIVE or not self._config.current.quirks.moves_on_retrieve:
            return False
        return self._rules.counted(f"retrieved {batch.id}") == 0

    def plain(self, batch: BatchRecord) -> dict[str, Any]:
        """With nothing that comes late."""
        quirks = self._config.current.quirks
        absent = "" if quirks.empty_string_file_ids else None
        errors = None if batch.errors is None else json.loads(batch.errors)
        counts = (batch.total, batch.completed, batch.failed)
        if quirks.zero_request_counts:
            counts = (0, 0, 0)
        shown: dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "model": batch.model,
            "errors": {"object": "list", "data": errors} if errors else None,
            "input_file_id": batch.input_file_id,
            "completion_window": batch.completion_window,
            "status": quirks.rename_status.get(batch.status, batch.status),
            "output_file_id": batch.output_file_id or absent,
            "error_file_id": batch.error_file_id or absent,
            **_times(batch),
            "request_counts": dict(zip(("total", "completed", "failed"), counts, strict=True)),
            "usage": _usage(batch),
            "metadata": batch.labels,
        }
        shown |= dict.fromkeys(quirks.null_batch_fields)
        return {
            name: value for name, value in shown.items() if name not in quirks.omit_batch_fields
        }

    def _with_late_files(self, batch: BatchRecord, shown: dict[str, Any]) -> dict[str, Any]:
        quirks = self._config.current.quirks
        lag = quirks.output_file_lag_seconds if batch.status == "completed" else 0
        absent = "" if quirks.empty_string_file_ids else None
        for target, late in (
            ("output_file_id", quirks.late_output_file),
            ("error_file_id", quirks.late_error_file),
        ):
            if shown[target] and self._is_late(batch, target, late, lag):
                shown[target] = absent
        return shown

    def _is_late(self, batch: BatchRecord, target: str, late: Late, lag: float) -> bool:
        seconds = max(late.seconds, lag)
        if self._config.now() < (batch.ended_at or 0) + seconds:
            return True
        return late.looks > 0 and self._rules.count(f"{target} {batch.id}") <= late.looks


def _times(batch: BatchRecord) -> dict[str, int | None]:
    times = {
        "created_at": batch.created_at,
        "in_progress_at": batch.in_progress_at,
        "expires_at": batch.expires_at,
        "finalizing_at": batch.finalizing_at,
        "completed_at": batch.completed_at,
        "failed_at": batch.failed_at,
        "expired_at": batch.expired_at,
        "cancelling_at": batch.cancelling_at,
        "cancelled_at": batch.cancelled_at,
    }
    return {name: None if time is None else int(time) for name, time in times.items()}


def _usage(batch: BatchRecord) -> dict[str, Any]:
    return {
        "input_tokens": batch.input_tokens,
        "input_tokens_details": {"cached_tokens": batch.cached_tokens},
        "output_tokens": batch.output_tokens,
        "output_tokens_details": {"reasoning_tokens": batch.reasoning_tokens},
        "total_tokens": batch.input_tokens + batch.output_tokens,
    }
