"""`batch-assets webserver` and `batch-assets daemon`: Dagster's own programs, where they belong.

`dagster-daemon` refuses to start without DAGSTER_HOME, and `dagster-webserver` starts without and
then keeps what belongs there in a directory that is gone with it: so both get the home that every
other command has.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from batch_assets.cli.dagster_home import WORKSPACE, dagster_home
from batch_assets.cli.job import open_instance
from batch_assets.cli.listening import require_port
from batch_assets.cli.opening import open_database
from batch_assets.domain.errors import BatchAssetsError

_WORKSPACE = ("--workspace", str(WORKSPACE))


def become_webserver(host: str, port: int, more: Sequence[str]) -> NoReturn:
    """Turn this process into Dagster's web server, which can listen where it is told to."""
    require_port(host, port)
    _become("dagster-webserver", ["--host", host, "--port", str(port), *_WORKSPACE, *more])


def become_daemon(more: Sequence[str]) -> NoReturn:
    """Turn this process into Dagster's daemon."""
    _become("dagster-daemon", ["run", *_WORKSPACE, *more])


def _become(name: str, arguments: Sequence[str]) -> NoReturn:
    """Start a program in place of this one, once it was seen that it can work.

    So whoever has started this one (systemd, a container, a shell) has that one in its hands.
    """
    home = dagster_home()
    with open_database(), open_instance():
        pass
    program = Path(sys.executable).with_name(name)
    os.environ["DAGSTER_HOME"] = str(home)
    sys.stdout.flush()
    try:
        os.execv(program, [str(program), *arguments])  # noqa: S606 (it is installed with Dagster)
    except OSError as error:
        raise BatchAssetsError(
            f"{program} cannot be started ({error.strerror}): install the project's requirements "
            "again, with `make setup`."
        ) from None
