"""`batch-assets webserver` and `batch-assets daemon`: Dagster's own programs, where they belong.

`dagster-daemon` refuses to start without DAGSTER_HOME, and `dagster-webserver` starts without and
then keeps what belongs there in a directory that is gone with it: so both get the home that every
other command has.
"""

import errno
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from batch_assets.cli.conventions import Port
from batch_assets.cli.dagster_instance import WORKSPACE, dagster_home, open_instance
from batch_assets.cli.opening import open_database
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError

commands = typer.Typer()

_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
_WORKSPACE = ("--workspace", str(WORKSPACE))
_NO_ADDRESS = {errno.EADDRNOTAVAIL, errno.EINVAL}


@commands.command(context_settings=_PASSED_ON)
def webserver(
    passed_on: typer.Context,
    host: Annotated[str, typer.Option(help="The address that it listens on.")] = "127.0.0.1",
    port: Port = 3000,
) -> None:
    """Start Dagster's web server for production; more options are passed on to it."""
    require_port(host, port)
    listens_on = ["--host", host, "--port", str(port)]
    _become("dagster-webserver", [*listens_on, *_WORKSPACE, *passed_on.args])


@commands.command(context_settings=_PASSED_ON)
def daemon(passed_on: typer.Context) -> None:
    """Start Dagster's daemon for production: exactly one; options are passed on."""
    _become("dagster-daemon", ["run", *_WORKSPACE, *passed_on.args])


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
