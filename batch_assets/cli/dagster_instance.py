"""Dagster's home and instance, as every command that needs them finds them.

And `batch-assets webserver`, `daemon` and `code-server`: Dagster's own programs, where they belong.
`dagster-daemon` refuses to start without DAGSTER_HOME, and `dagster-webserver` starts without and
then keeps what belongs there in a directory that is gone with it: so all get the home that every
other command has.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from batch_assets.cli.conventions import Port
from batch_assets.cli.opening import open_database
from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.project_files import IS_CLONE, PROJECT_DIR, PROJECT_FILES

if TYPE_CHECKING:
    import dagster as dg

    from batch_assets.store.sole_daemon import SoleDaemon
    from batch_assets.wiring import Endpoints

WORKSPACE: Final = PROJECT_FILES / "workspace.yaml"
"""What Dagster's programs are told of our code."""
DEFAULT_HOME: Final = PROJECT_DIR / ".local" / "dagster"
"""Where Dagster keeps its files while DAGSTER_HOME is not set."""
# From a clone's `.local/dagster`, so that the clone may be moved.
_SOURCE: Final = Path("..", "..", "dagster.yaml") if IS_CLONE else PROJECT_FILES / "dagster.yaml"
_QUEUE_PATIENCE: Final = timedelta(minutes=1)
commands = typer.Typer()

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
MODULE: Final = ("--module-name", "batch_assets.definitions")
"""What a code server of Dagster's is told of our code."""
Workspaces = Annotated[
    list[Path],
    typer.Option(
        "--workspace",
        "-w",
        metavar="FILE",
        show_default=False,
        help="A file that says where the code servers are.",
    ),
]
_NO_ADDRESS = {errno.EADDRNOTAVAIL, errno.EINVAL}


def dagster_home() -> Path:
    """DAGSTER_HOME if it is set, else a directory of ours that leads to the project's file.

    Also makes the project the working directory, since paths in `dagster.yaml` begin there.

    Raises:
        ConfigurationError: It is none, or cannot be made.
    """
    from batch_assets.settings import load_settings

    os.chdir(PROJECT_DIR)
    given = load_settings().dagster_home
    if given is not None:
        require_dagster_yaml(given)
        return given
    home = DEFAULT_HOME
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


def require_dagster_yaml(home: Path) -> None:
    """See that a DAGSTER_HOME has what Dagster looks for there.

    Raises:
        ConfigurationError: It has not.
    """
    if not (home / "dagster.yaml").is_file():
        raise ConfigurationError(
            f"DAGSTER_HOME is '{home}', where there is no dagster.yaml: copy the project's "
            "there, or leave DAGSTER_HOME unset."
        )


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """Open Dagster's instance, with the records of dead runs closed.

    Raises:
        BatchAssetsError: With the sentence that Dagster's own commands would print.
    """
    import dagster as dg

    from batch_assets.resources.dagster_storage import SaidByDagsterError
    from batch_assets.resources.run_launcher import RunWatch

    try:
        opened = dg.DagsterInstance.from_config(str(dagster_home()))
    except SaidByDagsterError as error:
        raise error.meant from None
    with opened as instance:
        RunWatch().close_dead_runs(instance)
        yield instance


@contextmanager
def sole_daemon(endpoints: Endpoints) -> Iterator[SoleDaemon]:
    """Be the one whose daemon is at work on Dagster's database, meanwhile.

    Raises:
        BatchAssetsError: Another one is, or the database does not answer.
    """
    from batch_assets.store.sole_daemon import SoleDaemon

    one = SoleDaemon(endpoints.dagster_database_url)
    try:
        one.take()
        yield one
    finally:
        one.close()


def active_run(instance: dg.DagsterInstance, account_name: str = DEFAULT_ACCOUNT) -> str | None:
    """The id of a run that has not ended and may submit: of the job or of force_batch_job.

    One that has been queued for a while does not count if nothing else is under way: there is no
    daemon to take it, and one that comes lets it wait for whatever is started now. Nor does one
    from the future: a session in local time has kept it, before ours were in UTC.
    """
    import dagster as dg

    from batch_assets.resources.run_executor import exclusive_of
    from batch_assets.resources.run_launcher import IN_PROCESS

    now = datetime.now(UTC)
    tags = dict(exclusive_of(account_name))
    for which in (
        dg.RunsFilter(tags=tags, statuses=list(IN_PROCESS)),
        dg.RunsFilter(
            tags=tags,
            statuses=[dg.DagsterRunStatus.QUEUED],
            created_after=now - _QUEUE_PATIENCE,
            created_before=now + _QUEUE_PATIENCE,
        ),
    ):
        for run in instance.get_runs(which, limit=1):
            return run.run_id
    return None


def _lead(link: Path, source: Path) -> None:
    """Let the link lead to the file, if it does not lead to one yet."""
    if not link.exists():
        link.unlink(missing_ok=True)  # it leads to an environment that is gone
        with suppress(FileExistsError):
            link.symlink_to(source)


@commands.command(context_settings=PASSED_ON)
def webserver(
    passed_on: typer.Context,
    host: Annotated[str, typer.Option(help="The address that it listens on.")] = "127.0.0.1",
    port: Port = 3000,
    workspace: Workspaces = [WORKSPACE],  # noqa: B006 (typer copies it)
) -> None:
    """Start Dagster's web server for production; more options are passed on to it."""
    require_port(host, port)
    listens_on = ["--host", host, "--port", str(port)]
    _become("dagster-webserver", [*listens_on, *_told(workspace), *passed_on.args])


@commands.command(context_settings=PASSED_ON)
def daemon(
    passed_on: typer.Context,
    workspace: Workspaces = [WORKSPACE],  # noqa: B006 (typer copies it)
) -> None:
    """Start Dagster's daemon for production: exactly one; options are passed on."""
    with open_database() as database, sole_daemon(database.endpoints) as one:
        one.outlive_this_program()
        _become("dagster-daemon", ["run", *_told(workspace), *passed_on.args])


@commands.command(context_settings=PASSED_ON)
def code_server(
    passed_on: typer.Context,
    host: Annotated[str, typer.Option(help="The address that it listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="Its port.")] = 4000,
) -> None:
    """Start a code server for a web server and a daemon elsewhere; options are passed on."""
    require_port(host, port)
    listens_on = ["--host", host, "--port", str(port)]
    _become("dagster", ["api", "grpc", *MODULE, *listens_on, *passed_on.args])


def dagster_program(name: str) -> str:
    """Where a program is that was installed with Dagster."""
    return str(Path(sys.executable).with_name(name))


def require_port(host: str, port: int, otherwise: str = "give another one with --port") -> None:
    """See whether a server of Dagster's can listen there, before it has loaded for seconds.

    Raises:
        ConfigurationError: It cannot; `otherwise` says how to choose another port.
    """
    shown = host or "all addresses"
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in found:
            _bind(family, address)
    except (socket.gaierror, UnicodeError):
        raise _no_address(host) from None
    except OSError as error:
        if error.errno in _NO_ADDRESS:
            raise _no_address(host) from None
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {port} of {shown} is in use: {otherwise}, or end what listens there."
            ) from None
        if error.errno == errno.EACCES:
            raise ConfigurationError(
                f"This user may not listen on port {port} of {shown}: {otherwise}, from 1024 on."
            ) from None
        raise


def _become(name: str, arguments: Sequence[str]) -> NoReturn:
    """Start a program in place of this one, once it was seen that it can work.

    So whoever has started this one (systemd, a container, a shell) has that one in its hands.
    """
    home = dagster_home()
    with open_database(), open_instance():
        pass
    program = dagster_program(name)
    os.environ["DAGSTER_HOME"] = str(home)
    sys.stdout.flush()
    try:
        os.execv(program, [program, *arguments])  # noqa: S606 (it is installed with Dagster)
    except OSError as error:
        raise BatchAssetsError(
            f"{program} cannot be started ({error.strerror}): install the project's requirements "
            "again, with `make setup`."
        ) from None


def _told(workspaces: Sequence[Path]) -> list[str]:
    """The options of Dagster's programs; paths begin where the command was typed."""
    return [word for path in workspaces for word in ("--workspace", str(path.absolute()))]


def _bind(family: int, address: tuple[str | int, ...] | tuple[int, bytes]) -> None:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return  # the web server, too, does without IPv6 where there is none
        raise
    with probe:
        # As the web server does: a port that has just been left counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)


def _no_address(host: str) -> ConfigurationError:
    return ConfigurationError(
        f"'{host}' is no address of this machine: give one that is with --host, as 127.0.0.1, or "
        "0.0.0.0 for all of them."
    )
