"""Which stack the data outside of its directory belong to: a directory made anew inherits none.

Root's PostgreSQL data lie in a place that only the path of the state directory names (`paths`).
They outlive a project that is removed, and one that is made again at the same path would get a
database whose batches its new server has never heard of. So a state directory is given a random
token as soon as it is made, and the place of its data the same one before there are any. Only a
directory with a token, that is another one than its data's or that they have none of, has found
what a removed stack has left. A directory without a token was made before there were any, and
takes over what it finds.
"""

import os
import secrets
import shutil
from pathlib import Path

from batch_assets.domain.errors import LocalStackError
from batch_assets_local.locks import locked

TOKEN_FILE = "belongs-to"  # noqa: S105 (a file's name)


def mark_new(state_dir: Path) -> None:
    """Give the directory a token if there is nothing in it yet."""
    with locked(state_dir):
        if not any(state_dir.iterdir()):
            _write(state_dir, secrets.token_hex(16))


def is_left_over(state_dir: Path, home: Path) -> bool:
    """Whether the data in `home` are those of a stack that had `state_dir` before and is gone."""
    own = _read(state_dir)
    return own is not None and own != _read(home) and (home / "data").exists()


def remove_left_over(home: Path) -> None:
    """Remove the data of a stack that is gone; no server may run on them any more.

    Raises:
        LocalStackError: they cannot be removed.
    """
    try:
        shutil.rmtree(home / "data")
    except OSError as error:
        raise LocalStackError(
            f"{home} holds the data of a local stack that was removed, and they cannot be "
            f"removed: {error.strerror}. Remove them by hand."
        ) from error


def claim(state_dir: Path, home: Path) -> None:
    """Say in `home` and in `state_dir` that they belong together, once what was left is removed."""
    own, theirs = _read(state_dir), _read(home)
    token = own or theirs or secrets.token_hex(16)
    # Cut off between the two, a directory without a token takes over what it finds again.
    if theirs != token:
        _write(home, token)
    if own != token:
        _write(state_dir, token)


def _read(directory: Path) -> str | None:
    """The directory's token; one whose writing was cut off is none."""
    try:
        return (directory / TOKEN_FILE).read_text(encoding="ascii") or None
    except FileNotFoundError:
        return None


def _write(directory: Path, token: str) -> None:
    """Keep the token, also through a power cut: data without theirs would count as left over."""
    path = directory / TOKEN_FILE
    try:
        path.touch(mode=0o600)
        with path.open("w", encoding="ascii") as file:
            file.write(token)
            file.flush()
            os.fsync(file.fileno())
        _sync(directory)
    except OSError as error:
        raise LocalStackError(f"the local stack cannot write {path}: {error.strerror}.") from error


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
