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
        ConfigurationError: if it cannot be read, or the folder is gone.
        WrongSettingsError: with a line for each setting of which the environment says otherwise,
            and for all else that is wrong with the settings; nothing is changed then.
    """
    if not folder.is_dir():
        raise ConfigurationError("The folder in which this was typed is gone: change to another.")
    path = folder / ".env"
    if not path.is_file():
        return
    # Imported here: without such a file no command waits for these.
    from dotenv import dotenv_values

    from batch_assets.settings import load_settings, setting_names

    try:
        lines = dotenv_values(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"{path} cannot be read ({why}): correct it, or take it away."
        ) from None
    given = {name: value for name, value in lines.items() if value is not None}
    if any("\0" in name + value or "=" in name for name, value in given.items()):
        raise ConfigurationError(
            f"{path} cannot be used (it has a NUL character, or a name that cannot be one): "
            "correct it, or take it away."
        )
    contradicted = [
        name
        for name, value in given.items()
        if name in setting_names() and os.environ.get(name, value).strip() != value.strip()
    ]
    if contradicted:
        faults = [
            f"{name} is set in the environment, and otherwise in {path}: leave it out of one."
            for name in contradicted
        ]
        try:
            load_settings({**given, **os.environ})
        except WrongSettingsError as error:
            faults += error.lines
        raise WrongSettingsError(faults)
    os.environ.update(given)
