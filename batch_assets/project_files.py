"""Where the files lie that belong to the project and are no modules: migrations, Dagster's, `.env`.

In a clone they lie beside this package; a wheel has the first two kinds within it.
"""

import os
from pathlib import Path
from typing import Final


def _working_directory() -> Path:
    """The folder in which a command is typed; one that is gone has the name that it had."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path(os.environ.get("PWD", "/gone"))


_PACKAGE: Final = Path(__file__).resolve().parent
_PACKED: Final = _PACKAGE / "packed_files"
"""Where `pyproject.toml` puts them into a wheel."""

IS_CLONE: Final = not _PACKED.is_dir()
PROJECT_FILES: Final = _PACKAGE.parent if IS_CLONE else _PACKED
"""The directory with `migrations/`, `dagster.yaml` and `workspace.yaml`."""
PROJECT_DIR: Final = PROJECT_FILES if IS_CLONE else _working_directory()
"""Where `.env` and `.local` are, and Dagster's processes work: the clone, or without one the folder
in which a command is typed."""
