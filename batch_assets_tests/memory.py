"""Where tests write: in memory, if the machine has room there.

Dagster's files and those of the local server are SQLite's, which waits for the disk at each commit.
And on ext4 a file takes the longer to make the more were deleted within the last minute, as those
of databases are, some hundred each.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
_BYTES: Final = 4 << 30
"""As much has to be free; what the tests have written at one time is some hundred MB."""


def has_room() -> bool:
    """Whether files can be kept in memory, and programs among them be run."""
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(MEMORY)
    return found.f_bavail * found.f_frsize >= _BYTES and not found.f_flag & os.ST_NOEXEC


def write_to_memory() -> None:
    """Have this process, and all that it starts, make temporary files there, if there is room.

    Whoever has set TMPDIR is heeded.
    """
    if "TMPDIR" not in os.environ and has_room():
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None
