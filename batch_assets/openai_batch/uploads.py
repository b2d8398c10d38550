"""The file that an upload reads."""

import io
import time
from pathlib import Path


class TimedFile(io.FileIO):
    """A file to upload that gives no more bytes after `seconds`: a slow upload ends some time."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__(path, "rb")
        self._end = time.monotonic() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file, but TimeoutError when the time is up."""
        if time.monotonic() > self._end:
            raise TimeoutError("the upload takes too long")
        return super().read(-1 if size is None else size) or b""
