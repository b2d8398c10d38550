"""The output and error files of a batch that ends, written from its result lines."""

from pathlib import Path

from batch_assets_local.batch_server.batch_record import BatchRecord
from batch_assets_local.batch_server.batches import BatchStore
from batch_assets_local.batch_server.files import FileStore, StoredFile, create_private
from batch_assets_local.batch_server.live_config import LiveConfig

_THIRTY_DAYS = 30 * 24 * 3600


class ResultFiles:
    """Writes result files; they are known only once `BatchStore.finish` has said so."""

    def __init__(self, batches: BatchStore, files: FileStore, config: LiveConfig) -> None:
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
