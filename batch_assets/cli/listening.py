"""Whether a server of Dagster's will be able to listen: seen before it has loaded for seconds."""

import errno
import socket

from batch_assets.domain.errors import ConfigurationError

_NO_ADDRESS = {errno.EADDRNOTAVAIL, errno.EINVAL}


def require_port(host: str, port: int, otherwise: str = "give another one with --port") -> None:
    """Raise `ConfigurationError` if nothing can listen there; `otherwise` says how to choose."""
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
