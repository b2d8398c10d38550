"""The data directory of an embedded PostgreSQL, and the rules of who may enter it."""

import os
import shutil
import subprocess
from pathlib import Path

from batch_assets.domain.errors import LocalStackError
from batch_assets_local import paths, postgres_programs, processes

UNFINISHED = "unfinished-"


def make_data(home: Path, programs: Path, *, durable: bool) -> Path:
    """The data directory in `home`, made at once or not at all when there is none yet.

    Raises:
        LocalStackError: they cannot be made, or another release has made them.
    """
    data = home / "data"
    for left in home.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)
    if data.is_dir():
        _require_same_release(data)
        return data
    account = paths.server_account()
    # Under a new name each time: the initdb of a supervisor that was killed may still be writing.
    unfinished = paths.make_private(home, UNFINISHED, account)
    outcome = subprocess.run(
        [
            programs / "initdb",
            f"--pgdata={unfinished}",
            "--username=postgres",
            "--auth=peer",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *([] if durable else ["--no-sync"]),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env=environment(),
        **processes.as_account(account),
    )
    if outcome.returncode != 0:
        raise LocalStackError(
            f"PostgreSQL's data cannot be made: {processes.telling_line(outcome.stderr)}"
        )
    unfinished.rename(data)
    return data


def write_access_rules(home: Path) -> dict[str, str]:
    """Let in this operating-system user, as any role; gives the settings that say so.

    The socket's directory keeps strangers out already. But under root it belongs to an account
    that other programs may share, so the server also asks the kernel who is calling.
    """
    owner = paths.own_account().name
    rules = {
        "hba_file": (home / "pg_hba.conf", "local all all peer map=owner\n"),
        "ident_file": (home / "pg_ident.conf", f'owner "{owner}" all\n'),
    }
    for path, line in rules.values():
        path.write_text(line, encoding="utf-8")
        path.chmod(0o644)
    return {setting: str(path) for setting, (path, _) in rules.items()}


def environment() -> dict[str, str]:
    """What PostgreSQL's programs get of our environment: nothing that steers or unlocks."""
    return {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


def _require_same_release(data: Path) -> None:
    made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    installed = postgres_programs.major_version()
    if made_by != installed:
        raise LocalStackError(
            f"the local data was made by PostgreSQL {made_by}, and this is {installed}; "
            "`batch-assets local reset` makes it anew."
        )
