"""The environment of the peer, which wants a newer Python than this project does, and much else.

It is made when it is first asked for, in `.local`; setup, tests and CI know nothing of it.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR

PEER: Final = "batchor"
REQUIREMENTS: Final = PROJECT_DIR / "requirements-peer.txt"

_NAMES: Final = ("python3.13", "python3.12", "python3.14", "python3", "python")
_SUITS: Final = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))"
_ADVICE: Final = (
    f"install one, or name one, as in 'make bench PEER={PEER} PEER_PYTHON=/path/to/python3.12'."
)
_PIP_ELSEWHERE: Final = frozenset(
    f"PIP_{name}"
    for name in (
        *("TARGET", "PREFIX", "ROOT", "PYTHON", "CONSTRAINT"),
        *("REQUIREMENT", "EDITABLE", "USER", "DRY_RUN"),
    )
)
"""Settings of the user's pip that would put packages elsewhere, or others; its index holds."""


class PeerMissingError(BatchAssetsError):
    """The peer cannot be measured on this machine; the sentence says why and what to do."""


def peer_python(project_dir: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The interpreter of the peer's environment, which takes a minute to make the first time.

    Raises:
        PeerMissingError: There is no suitable Python, or no index to install from.
    """
    folder = project_dir / ".local" / "bench-peer"
    python, ready = folder / "bin" / "python", folder / "ready"
    wanted = f"{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()} {folder.resolve()}"
    is_ready = ready.is_file() and ready.read_text(encoding="utf-8") == wanted
    if not (is_ready and _suits(python)):
        base = find_python(environ)
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _run([base, "-m", "venv", "--clear", folder], environ)
        _run([python, "-m", "pip", "install", "-q", "--no-deps", "-r", REQUIREMENTS], environ)
        ready.write_text(wanted, encoding="utf-8")
    return python


def find_python(environ: Mapping[str, str]) -> Path:
    """A Python that the peer runs on: `PEER_PYTHON`, else one on the PATH, else one of pyenv's.

    Raises:
        PeerMissingError: There is none.
    """
    named = environ.get("PEER_PYTHON")
    if named:
        if not _suits(Path(named)):
            raise PeerMissingError(
                f"{PEER} is not measured: PEER_PYTHON is '{named}', which is no Python 3.12 or "
                "newer with a venv module."
            )
        return Path(named)
    for candidate in _candidates(environ):
        if _suits(candidate):
            return candidate
    raise PeerMissingError(
        f"{PEER} is not measured: it wants Python 3.12 or newer with a venv module, and none is on "
        f"the PATH or among pyenv's: {_ADVICE}"
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    for name in _NAMES:
        # In every folder: the first may hold pyenv's stand-in for a version that is not chosen.
        for folder in filter(None, environ.get("PATH", "").split(os.pathsep)):
            yield Path(folder) / name
    home = Path(environ.get("HOME", "/"))
    versions = Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    yield from sorted(versions.glob("3.1[2-9]*/bin/python"))


def _suits(python: Path) -> bool:
    if not os.access(python, os.X_OK):
        return False
    asked = subprocess.run([python, "-c", _SUITS], capture_output=True, check=False)  # noqa: S603
    return asked.returncode == 0


def _run(command: list[str | Path], environ: Mapping[str, str]) -> None:
    ended = subprocess.run(  # noqa: S603 (an interpreter that was found, and this module's words)
        command,
        env={name: value for name, value in environ.items() if name not in _PIP_ELSEWHERE},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip().splitlines() or ["nothing"]
        raise PeerMissingError(
            f"{PEER} is not measured: its packages could not be installed from the index; "
            f"the last that was said: {said[-1]}"
        )
