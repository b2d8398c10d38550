"""The file `.env` in the project's folder: read by all commands, as Dagster reads it by itself.

Each of Dagster's processes (`dagster dev`, web server, daemon, code server, run) puts the `.env` of
its working directory, which is the project's folder, into its environment, over what is there. So
that all go by the same settings, a command does likewise, and refuses what the two contradict in.
"""

import os
from pathlib import Path

from typer.core import TyperCommand

from batch_assets.domain.errors import ConfigurationError, WrongSettingsError
from batch_assets.project_files import PROJECT_DIR


class CommandWithoutSettings(TyperCommand):
    """A command that takes nothing that is configured, so that no `.env` is read for it."""


def read_env_file(folder: Path = PROJECT_DIR) -> None:
    """Put what a folder's `.env` sets into this process's environment; no file sets nothing.

    Raises:
        ConfigurationError: if it cannot be read.
        WrongSettingsError: with a line for each setting of which the environment says otherwise;
            nothing is changed then.
    """
    path = folder / ".env"
    if not path.is_file():
        return
    # Imported here: without such a file no command waits for these.
    from dotenv import dotenv_values

    from batch_assets.settings import setting_names

    try:
        lines = dotenv_values(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"{path} cannot be read ({why}): correct it, or take it away."
        ) from None
    given = {name: value for name, value in lines.items() if value is not None}
    contradicted = [
        name
        for name, value in given.items()
        if name in setting_names() and os.environ.get(name, value).strip() != value.strip()
    ]
    if contradicted:
        raise WrongSettingsError(
            [
                f"{name} is set in the environment, and otherwise in {path}: leave it out of one."
                for name in contradicted
            ]
        )
    os.environ.update(given)
