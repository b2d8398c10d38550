"""The life of batches: one thread that brings each batch one small step further when it is due.

Every step reads the batch from the database and ends in one guarded move, so that the process
may die between any two instructions and the next one goes on from where the database is.
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from batch_assets.domain.logs import open_log
from batch_assets_local.batch_server.batch_record import BatchRecord
from batch_assets_local.batch_server.batches import BatchStore
from batch_assets_local.batch_server.config import ReloadableConfig
from batch_assets_local.batch_server.fault_rules import BatchRule
from batch_assets_local.batch_server.files import FileStore, StoredFile, create_private
from batch_assets_local.batch_server.rows import RowRunner
from batch_assets_local.batch_server.validation import BatchError, inspect_input, lines_with

_LONGEST_SLEEP = 1.0
_PAUSE_AFTER_ERROR = 1.0
_STEPS_OF_PROCESSING = 5
_NEVER = 1e12
_LAST = frozenset({"finalizing", "cancelling"})

_log = open_log(__name__)


class Worker:
    """Runs batches in a thread of its own, the one that has waited longest first."""

    def __init__(
        self, batches: BatchStore, files: FileStore, config: ReloadableConfig, runner: RowRunner
    ) -> None:
        """Work on the stores; nothing happens before `start`."""
        self._batches = batches
        self._files = files
        self._config = config
        self._runner = runner
        self._results = ResultFiles(batches, files, config)
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="batch-worker", daemon=True)

    def start(self) -> None:
        """Begin, or go on where an earlier process stopped."""
        self._files.drop_inputs(self._batches.running_ids())
        self._thread.start()

    def stop(self) -> None:
        """Finish the step under way, and wait for that."""
        self._stopping = True
        self._woken.set()
        self._thread.join()

    def wake(self) -> None:
        """Look at once for what is due: a batch was created, cancelled or forced to its end."""
        self._woken.set()

    def timing_changed(self) -> None:
        """Look at every running batch anew, since the configuration has changed."""
        self._batches.wake_all()
        self._woken.set()

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            batch = self._batches.next_due()
            wait = _LONGEST_SLEEP
            if batch is not None and batch.due_at is not None:
                wait = batch.due_at - self._config.now()
            if batch is None or wait > 0:
                self._woken.wait(min(wait, _LONGEST_SLEEP))
            else:
                self._try_to_advance(batch)

    def _try_to_advance(self, batch: BatchRecord) -> None:
        try:
            self._advance(batch)
        except Exception as error:
            # The message could hold a line of the input: only the kind of error is told.
            _log.exception("%s: %s", batch.id, type(error).__name__, exc_info=False)
            self._batches.look_again(batch, self._config.now() + _PAUSE_AFTER_ERROR)

    def _advance(self, batch: BatchRecord) -> None:
        if batch.ending is not None:
            self._end(batch)
        elif self._config.now() >= batch.expires_at and not batch.survives_window:
            self._batches.decide(batch, "expired")
        elif batch.status == "validating":
            self._validate(batch)
        else:
            self._process(batch)

    def _validate(self, batch: BatchRecord) -> None:
        config = self._config.current
        if not batch.scanned:
            report = inspect_input(
                self._files.input_path(batch.id),
                batch.endpoint,
                config.limits,
                self._config.catalog,
                config.played,
            )
            self._batches.record_scan(
                batch,
                model=report.model,
                total=report.total,
                tokens=report.tokens,
                errors=[asdict(error) for error in report.errors],
            )
            return
        ready_at = batch.created_at + config.timing.validation_seconds
        if self._config.now() < ready_at:
            self._batches.look_again(batch, ready_at)
            return
        errors = self._refusal(batch)
        if errors is None:
            self._batches.start(batch)
        elif self._batches.fail(batch, errors):
            self._forget_input(batch)

    def _refusal(self, batch: BatchRecord) -> str | None:
        """Why validation fails, as the JSON array of `errors.data`, or None."""
        rule = batch.refusal
        if rule is not None and rule.custom_id is None:
            return _as_json(_errors_of(rule))
        if batch.errors is not None:
            return batch.errors
        if rule is not None and rule.custom_id is not None:
            lines = lines_with(self._files.input_path(batch.id), rule.custom_id)
            named = lines if rule.name_lines else [None] * bool(lines)
            if named:
                return _as_json([BatchError(rule.code, rule.message, line=line) for line in named])
        limits = self._config.current.limits.enqueued_tokens
        model = self._config.catalog.find(batch.model or "")
        limit = limits.get(model.id if model else "", limits.get("*"))
        if limit is None:
            return None
        if self._batches.enqueued_tokens(batch) + batch.enqueued_tokens <= limit:
            return None
        message = (
            f"Enqueued token limit reached for {model.id if model else batch.model} in "
            f"organization org-local. Limit: {limit:,} enqueued tokens. Please try again once "
            "some in_progress batches have been completed."
        )
        return _as_json([BatchError("token_limit_exceeded", message)])

    def _process(self, batch: BatchRecord) -> None:
        if self._has_ended_early(batch):
            return
        if batch.rows_done == batch.total:
            self._batches.finalize(batch)
            return
        rows, next_look = self._allowance(batch)
        if rows <= 0:
            self._batches.look_again(batch, next_look)
            return
        chunk = self._runner.run(batch, self._files.input_path(batch.id), rows)
        self._batches.advance(
            batch,
            chunk.step(),
            due_at=self._config.now(),
            lines=chunk.lines,
            charges=chunk.charges,
        )

    def _has_ended_early(self, batch: BatchRecord) -> bool:
        """Whether a rule ends the batch here, or holds it."""
        rule = batch.early_end
        if rule is None or batch.rows_done < rule.after_rows:
            return False
        if rule.end_as == "stalled":
            until = batch.stalled_until("in_progress")
            if until is None or self._config.now() >= until:
                return False
            end = _NEVER if batch.survives_window else batch.expires_at
            self._batches.look_again(batch, min(until, end))
        elif rule.end_as == "cancelled":
            self._batches.cancel(batch.id)
        else:
            self._batches.decide(batch, "expired")
        return True

    def _allowance(self, batch: BatchRecord) -> tuple[int, float]:
        """How many rows may run now, and when to look again if none may."""
        timing = self._config.current.timing
        seconds = timing.processing_seconds
        started = batch.in_progress_at or batch.created_at
        now = self._config.now()
        share = 1.0 if now >= started + seconds else (now - started) / seconds
        allowed = int(batch.total * share)
        next_look = min(started + seconds, now + seconds / _STEPS_OF_PROCESSING)
        if timing.hold_after_rows is not None and allowed >= timing.hold_after_rows:
            allowed, next_look = timing.hold_after_rows, batch.expires_at
        rule = batch.early_end
        if rule is not None and batch.rows_done < rule.after_rows:
            allowed = min(allowed, rule.after_rows)
        return allowed - batch.rows_done, next_look

    def _end(self, batch: BatchRecord) -> None:
        ready_at = self._end_ready_at(batch)
        if self._config.now() < ready_at:
            self._batches.look_again(batch, ready_at)
            return
        if batch.in_progress_at is not None and batch.rows_done < batch.total:
            path = self._files.input_path(batch.id)
            chunk = self._runner.leave(batch, path, batch.ending or "")
            now = self._config.now()
            self._batches.advance(batch, chunk.step(), due_at=now, lines=chunk.lines)
            return
        written = self._results.write(batch)
        if self._batches.finish(batch, written):
            self._forget_input(batch)
        else:
            self._results.discard(written)

    def _end_ready_at(self, batch: BatchRecord) -> float:
        timing = self._config.current.timing
        ready_at = 0.0
        if batch.ending == "completed":
            ready_at = (batch.finalizing_at or 0) + timing.finalizing_seconds
        elif batch.ending == "cancelled":
            ready_at = (batch.cancelling_at or 0) + timing.cancel_seconds
        stalled_until = batch.stalled_until(batch.status) if batch.status in _LAST else None
        return min(max(ready_at, stalled_until or 0), _NEVER)

    def _forget_input(self, batch: BatchRecord) -> None:
        self._files.input_path(batch.id).unlink(missing_ok=True)


def _errors_of(rule: BatchRule) -> list[BatchError]:
    """What a rule that names no rows writes into `errors.data`; nothing is shown as null."""
    if rule.without_errors:
        return []
    listed = [BatchError(**error.model_dump()) for error in rule.errors]
    return listed or [BatchError(rule.code, rule.message)]


def _as_json(errors: Sequence[BatchError]) -> str:
    return json.dumps([asdict(error) for error in errors])


_THIRTY_DAYS = 30 * 24 * 3600


class ResultFiles:
    """Writes result files; they are known only once `BatchStore.finish` has said so."""

    def __init__(self, batches: BatchStore, files: FileStore, config: ReloadableConfig) -> None:
        """Read lines from the batches, place files in the store."""
        self._batches = batches
        self._files = files
        self._config = config

    def write(self, batch: BatchRecord) -> dict[str, StoredFile]:
        """The files that the batch shall have, by `output` and `error`; none without lines."""
        written: dict[str, StoredFile] = {}
        for target in ("output", "error"):
            spooled = self._files.spool / f"{batch.id}.{target}"
            self._spool(batch, target, spooled)
            if spooled.stat().st_size == 0 and not self._wants_empty(batch, target):
                spooled.unlink()
                continue
            written[target] = self._files.place(
                spooled,
                filename=f"{batch.id}_{target}.jsonl",
                purpose="batch_output",
                lifetime=batch.output_expires_seconds or _THIRTY_DAYS,
            )
        return written

    def discard(self, written: dict[str, StoredFile]) -> None:
        """Remove files that were placed for an end that did not come."""
        for file in written.values():
            self._files.path(file.id).unlink()

    def _spool(self, batch: BatchRecord, target: str, path: Path) -> None:
        position: int | None = None
        with create_private(path) as stream:
            while rows := self._batches.result_lines(batch.id, target, position):
                stream.writelines(row["line"] for row in rows)
                position = rows[-1]["sort_key"]

    def _wants_empty(self, batch: BatchRecord, target: str) -> bool:
        quirks = self._config.current.quirks
        return target == "error" and batch.ending == "completed" and quirks.empty_error_file
