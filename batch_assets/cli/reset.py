"""`batch-assets reset`."""

import getpass
import socket
from collections.abc import Sequence

from batch_assets.cli.opening import open_database
from batch_assets.cli.output import console
from batch_assets.domain.errors import ConfigurationError
from batch_assets.openai_batch.operations import Operation


def reset(operations: Sequence[str], *, every: bool) -> None:
    """Close breakers, those of `operations` or all; without any named, end the pause as well."""
    _check(operations, every=every)
    said = []
    with open_database() as database:
        closed = database.breakers.reset(operations or list(Operation))
        said += [f"Calls of {operation} are made again." for operation in closed]
        who = f"{getpass.getuser()} on {socket.gethostname()}"
        if not operations and database.pauses.reset_scheduler(who):
            said.append("Schedule and sensors start runs again.")
    for line in said or ["Nothing to do: nothing was stopped."]:
        console().print(line)


def _check(operations: Sequence[str], *, every: bool) -> None:
    if operations and every:
        raise ConfigurationError("Name operations or say --all, not both.")
    unknown = [name for name in operations if name not in set(Operation)]
    if unknown:
        raise ConfigurationError(
            f"There is no operation {', '.join(unknown)}: the operations are "
            f"{', '.join(sorted(Operation))}."
        )
