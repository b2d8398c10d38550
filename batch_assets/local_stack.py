"""What this project asks of a local stack, which is a distribution of its own and may be missing.

It registers itself under an entry point, so that nothing here imports it by its name: the one of
this repository is `local_stack/`.
"""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Protocol

from batch_assets.domain.errors import ConfigurationError

ENTRY_POINTS: Final = "batch_assets.local_stack"
"""The group in which a distribution names its `LocalStack`, a module or an object."""


class RunningStack(Protocol):
    """A local stack that answers."""

    @property
    def database_url(self) -> str:
        """A plain libpq URL; the caller puts the driver in."""

    @property
    def api_base_url(self) -> str:
        """The Batch API server's address; ends in `/v1`."""

    @property
    def api_key(self) -> str:
        """The one key that the server lets in."""

    @property
    def state_dir(self) -> Path:
        """A directory of this stack's alone, which only this user may enter."""

    @property
    def supervisor_pid(self) -> int:
        """The process that keeps the stack and ends with it."""


class LocalStack(Protocol):
    """Starts stacks of a project; `name` separates them."""

    def attach(self, project_dir: Path, *, name: str) -> RunningStack:
        """Make this process a user of the stack, which is started if need be.

        Raises:
            LocalStackError: it does not start.
        """

    def detach(self, project_dir: Path, *, name: str) -> None:
        """Let go of the stack before this process ends."""

    def is_used(self, project_dir: Path, *, name: str) -> bool:
        """Whether a living process, this one included, uses the stack."""


def find_local_stack() -> LocalStack:
    """The local stack that is installed.

    Raises:
        ConfigurationError: none is.
    """
    for found in entry_points(group=ENTRY_POINTS):
        stack: LocalStack = found.load()
        return stack
    raise ConfigurationError(
        "No local stack is installed here: set DATABASE_URL and OPENAI_API_KEY, and not "
        "BATCH_LOCAL_STACK, or work in a clone of the project, where `make setup` installs one."
    )
