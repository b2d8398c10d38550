"""Where the local stack keeps things, and under which account its PostgreSQL runs.

Everything lies in the project's `.local/<name>`, or, where this user cannot have a `.local` in
the project, in the user's own state directory. Only directories that are made here ever get
their mode or owner set.

PostgreSQL refuses to run as root and its account cannot enter root's directories. So for root
alone its data and a copy of its programs lie in /var/lib/batch-assets (`belonging` tells whose
data they are), and it runs under an account without rights; everything else is the same for
everyone.
"""

import hashlib
import os
import pwd
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from batch_assets.domain.errors import LocalStackError
from batch_assets_local import belonging

ROOT_HOME = Path("/var/lib/batch-assets")
SOCKETS = Path("/tmp")  # noqa: S108 (only mkdtemp makes anything there)
UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """An account of this machine."""

    name: str
    uid: int
    gid: int


def state_dir(project_dir: Path, name: str = "default") -> Path:
    """The directory of one stack of a project, whether or not it exists yet.

    The answer is the same for every process of a user, as long as the project's `.local`
    neither comes nor goes by another hand.

    Raises:
        LocalStackError: the name cannot name a stack.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name):
        raise LocalStackError(
            f"{name!r} cannot name a local stack: use up to 40 of a-z, 0-9, '-' and '_'."
        )
    project = project_dir.resolve()
    inside = project / ".local"
    if _can_hold_state(inside):
        return inside / name
    state_home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state_home) / "batch-assets" / _key(project) / name


def make_state_dir(project_dir: Path, name: str = "default") -> Path:
    """`state_dir`, made so that only this user may enter it.

    Raises:
        LocalStackError: it cannot be made, or is another user's.
    """
    directory = state_dir(project_dir, name)
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LocalStackError(
            f"the local stack cannot make its directory {directory}: {error.strerror}."
        ) from error
    if directory.stat().st_uid != os.geteuid():
        raise LocalStackError(
            f"{directory} belongs to another user; remove it, or run as that user."
        )
    if data_lie_outside():
        belonging.mark_new(directory)
    return directory


def own_account() -> Account:
    """The account that this process runs under.

    Raises:
        LocalStackError: it has no entry in /etc/passwd.
    """
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        raise LocalStackError(
            f"user id {os.geteuid()} has no entry in /etc/passwd, which the embedded "
            "PostgreSQL needs; add one, or set DATABASE_URL and OPENAI_API_KEY."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def server_account() -> Account:
    """The account that PostgreSQL runs under: this process's own, unless that is root.

    Raises:
        LocalStackError: this is root, and the machine has no account without rights.
    """
    if os.geteuid() != 0:
        return own_account()
    for name in UNPRIVILEGED_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise LocalStackError(
        "PostgreSQL does not run as root, and this machine has no account named "
        f"{' or '.join(UNPRIVILEGED_ACCOUNTS)}; add one, or run as a normal user."
    )


def data_lie_outside() -> bool:
    """Whether PostgreSQL's data lie outside of the state directory, and so can outlive it."""
    return os.geteuid() == 0


def postgres_home(directory: Path) -> Path:
    """Where a stack's PostgreSQL data lies, made or not."""
    return ROOT_HOME / _key(directory) if data_lie_outside() else directory / "postgres"


def make_postgres_home(directory: Path) -> Path:
    """`postgres_home`, made so that the server's account can reach what lies in it."""
    home = postgres_home(directory)
    if data_lie_outside():
        _make_public(ROOT_HOME)
        _make_public(home)
    else:
        home.mkdir(mode=0o700, exist_ok=True)
    return home


def socket_dir(directory: Path, account: Account) -> Path:
    """The stack's directory for PostgreSQL's socket, made if need be, for `account` alone.

    A socket's path may have 107 bytes at most, which a project's path can exceed: so it lies
    in /tmp. Its name begins with the stack's key; the rest nobody can foresee and block.
    """
    for path in _socket_dirs(directory):
        if _is_private(path, account):
            return path
    return make_private(SOCKETS, _socket_prefix(directory), account)


def make_private(parent: Path, prefix: str, account: Account) -> Path:
    """Make a directory of a new name that only `account` (and root) may enter."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    if account.uid != os.geteuid():
        os.chown(path, account.uid, account.gid)
    return path


def remove(directory: Path) -> None:
    """Remove everything that a stopped stack has left on disk, its data included."""
    for path in _socket_dirs(directory):
        if _is_private(path, server_account()):
            shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(postgres_home(directory), ignore_errors=True)
    shutil.rmtree(directory)


def _can_hold_state(inside: Path) -> bool:
    try:
        owner = inside.stat().st_uid
    except FileNotFoundError:
        return _may_write(inside.parent)
    except PermissionError:
        return False
    return owner == os.geteuid() and _may_write(inside)


def _may_write(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=True)


def _socket_prefix(directory: Path) -> str:
    return f"batch-assets-{_key(directory)}-"


def _socket_dirs(directory: Path) -> list[Path]:
    return sorted(SOCKETS.glob(f"{_socket_prefix(directory)}*"))


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _make_public(path: Path) -> None:
    """Make a directory of root's that every account may pass through but none may change."""
    try:
        path.mkdir(mode=0o755)
        path.chmod(0o755)  # mkdir's mode is cut by the umask
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            raise LocalStackError(
                f"{path} is not a directory that only root can change; remove it."
            ) from None
    except OSError as error:
        raise LocalStackError(
            f"root's embedded PostgreSQL needs {path}, which cannot be made: {error.strerror}."
        ) from error


def _is_private(path: Path, account: Account) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == account.uid
        and stat.S_IMODE(found.st_mode) == 0o700
    )
