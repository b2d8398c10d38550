"""Runs the rows of a batch, a chunk at a time: result lines, charges and the new position.

Nothing is written here; a chunk is committed, or thrown away, by `BatchStore.advance`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from batch_assets.domain.logs import open_log
from batch_assets_local.batch_server import lines, strict_json
from batch_assets_local.batch_server.api_errors import ApiError, error_for_status, server_error
from batch_assets_local.batch_server.batch_record import BatchRecord
from batch_assets_local.batch_server.batches import ResultLine, Step
from batch_assets_local.batch_server.chat_request import check_chat_request
from batch_assets_local.batch_server.completions import Answerer, Completion, complete
from batch_assets_local.batch_server.config import ReloadableConfig
from batch_assets_local.batch_server.fault_rules import (
    ErrorLineEffect,
    HttpErrorEffect,
    LineEffect,
    RowEffect,
)
from batch_assets_local.batch_server.identifiers import RowIds, row_ids, shuffle_key
from batch_assets_local.batch_server.ledger import Charge
from batch_assets_local.batch_server.rules import Rules

_CHUNK_ROWS = 250
_CHUNK_BYTES = 4 * 1024 * 1024
_UNRUN_ROWS = 1_000

_log = open_log(__name__)


@dataclass(slots=True)
class Chunk:
    """What some consecutive rows came to."""

    batch: BatchRecord
    offset: int
    line: int
    lines: list[ResultLine] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    completed: int = 0
    failed: int = 0
    reasoning_tokens: int = 0

    def add_line(self, target: Literal["output", "error"], line: bytes, copy: int = 0) -> None:
        """Put a result line of the current row at its shuffled place."""
        key = shuffle_key(self.batch.id, self.line, copy)
        self.lines.append(ResultLine(target, key, line))

    def step(self) -> Step:
        """The move that this chunk makes."""
        return Step(
            to_offset=self.offset,
            to_line=self.line,
            completed=self.completed,
            failed=self.failed,
            input_tokens=sum(charge.prompt_tokens for charge in self.charges),
            cached_tokens=sum(charge.cached_tokens for charge in self.charges),
            output_tokens=sum(charge.completion_tokens for charge in self.charges),
            reasoning_tokens=self.reasoning_tokens,
        )


class RowRunner:
    """Answers rows as the live endpoint would, with the configured faults put in."""

    def __init__(self, config: ReloadableConfig, rules: Rules, answerer: Answerer) -> None:
        """Answer with the answerer, under the configuration in force."""
        self._config = config
        self._rules = rules
        self._answerer = answerer

    def run(self, batch: BatchRecord, path: Path, most: int) -> Chunk:
        """Run the next rows, at most so many, and never more than one chunk."""
        chunk = Chunk(batch, batch.next_offset, batch.next_line)
        for raw in _next_lines(path, batch.next_offset, min(most, _CHUNK_ROWS)):
            self._run_row(chunk, strict_json.parse(raw))
            chunk.offset += len(raw)
            chunk.line += 1
        return chunk

    def leave(self, batch: BatchRecord, path: Path, ending: str) -> Chunk:
        """Write off the next thousand rows, which will not run since the batch ends early."""
        chunk = Chunk(batch, batch.next_offset, batch.next_line)
        quirks = self._config.current.quirks
        for raw in _next_lines(path, batch.next_offset, _UNRUN_ROWS):
            custom_id = strict_json.parse(raw)["custom_id"]
            ids = row_ids(batch.id, chunk.line)
            chunk.add_line("error", lines.unrun(ids, custom_id, ending, quirks))
            chunk.offset += len(raw)
            chunk.line += 1
        return chunk

    def _run_row(self, chunk: Chunk, request: dict[str, Any]) -> None:
        custom_id: str = request["custom_id"]
        ids = row_ids(chunk.batch.id, chunk.line)
        effect = self._rules.for_row(chunk.batch.seq, chunk.line, custom_id)
        quirks = self._config.current.quirks
        if isinstance(effect, ErrorLineEffect):
            chunk.failed += 1
            line = lines.never_ran(ids, custom_id, effect.code, effect.message, quirks)
            chunk.add_line("error", line)
            return
        try:
            completion = self._answer(request["body"], ids, effect)
        except ApiError as error:
            chunk.failed += 1
            line = lines.answered(ids, custom_id, error.status, error.body(), quirks)
            chunk.add_line("output" if quirks.errors_in_output_file else "error", line)
            return
        chunk.completed += 1
        chunk.reasoning_tokens += completion.reasoning_tokens
        chunk.charges.append(self._charge(chunk.batch, custom_id, completion))
        self._add_answer(chunk, ids, custom_id, completion, effect)

    def _answer(self, body: object, ids: RowIds, effect: RowEffect | None) -> Completion:
        if isinstance(effect, HttpErrorEffect):
            raise error_for_status(effect.status, effect.error)
        request = check_chat_request(body, self._config.catalog)
        try:
            return complete(request, self._answerer, ids, self._config.now(), effect)
        except Exception as error:
            _log.exception("the answerer failed with %s", type(error).__name__, exc_info=False)
            raise server_error() from error

    def _charge(self, batch: BatchRecord, custom_id: str, completion: Completion) -> Charge:
        return Charge(
            kind="batch",
            created_at=self._config.now(),
            model=completion.body["model"],
            prompt_tokens=completion.prompt_tokens,
            cached_tokens=completion.cached_tokens,
            completion_tokens=completion.completion_tokens,
            custom_id=custom_id,
            batch_id=batch.id,
            input_file_id=batch.input_file_id,
            metadata=batch.metadata,
        )

    def _add_answer(
        self,
        chunk: Chunk,
        ids: RowIds,
        custom_id: str,
        completion: Completion,
        effect: RowEffect | None,
    ) -> None:
        fault = effect.kind if isinstance(effect, LineEffect) else None
        if fault == "missing":
            return
        shown_id = f"stranger-{ids.http_request}" if fault == "unknown_custom_id" else custom_id
        quirks = self._config.current.quirks
        line = lines.answered(ids, shown_id, 200, completion.body, quirks)
        chunk.add_line("output", lines.broken(line) if fault == "invalid_json" else line)
        if fault == "duplicate":
            chunk.add_line("output", line, copy=1)


def _next_lines(path: Path, offset: int, most: int) -> Iterator[bytes]:
    size = 0
    with path.open("rb") as stream:
        stream.seek(offset)
        for raw in itertools.islice(stream, most):
            yield raw
            size += len(raw)
            if size >= _CHUNK_BYTES:
                return
