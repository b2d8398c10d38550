"""Where Dagster finds its `dagster.yaml` and keeps what is not in the database."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from batch_assets.domain.errors import ConfigurationError
from batch_assets.project_files import IS_CLONE, PROJECT_FILES
from batch_assets.settings import load_settings
from batch_assets.wiring import PROJECT_DIR

WORKSPACE: Final = PROJECT_FILES / "workspace.yaml"
"""What Dagster's programs are told of our code."""
# From a clone's `.local/dagster`, so that the clone may be moved.
_SOURCE: Final = Path("..", "..", "dagster.yaml") if IS_CLONE else PROJECT_FILES / "dagster.yaml"


def dagster_home() -> Path:
    """DAGSTER_HOME if it is set, else a directory of ours that leads to the project's file.

    Also makes the project the working directory, since paths in `dagster.yaml` begin there.
    Raises `ConfigurationError`.
    """
    os.chdir(PROJECT_DIR)
    given = load_settings().dagster_home
    if given is not None:
        if not (given / "dagster.yaml").is_file():
            raise ConfigurationError(
                f"DAGSTER_HOME is '{given}', where there is no dagster.yaml: copy the project's "
                "there, or leave DAGSTER_HOME unset."
            )
        return given
    home = PROJECT_DIR / ".local" / "dagster"
    try:
        home.parent.mkdir(mode=0o700, exist_ok=True)
        home.mkdir(exist_ok=True)
        _lead(home / "dagster.yaml", _SOURCE)
    except OSError as error:
        raise ConfigurationError(
            f"Dagster's files cannot be kept in {home} ({error.strerror}): "
            "set DAGSTER_HOME to a directory with a copy of dagster.yaml in it."
        ) from None
    return home


def _lead(link: Path, source: Path) -> None:
    """Let the link lead to the file, if it does not lead to one yet."""
    if not link.exists():
        link.unlink(missing_ok=True)  # it leads to an environment that is gone
        with suppress(FileExistsError):
            link.symlink_to(source)
