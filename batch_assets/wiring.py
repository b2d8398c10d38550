"""On which database and which server everything runs: decided here, from the settings, alone.

The local stack is chosen only when nothing is configured, so that what is made up never meets what
is real. It is looked for only once it is asked for.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batch_assets.domain.errors import WrongSettingsError
from batch_assets.local_stack import find_local_stack
from batch_assets.openai_batch.profiles import COMPATIBLE, Profile, profile_of
from batch_assets.project_files import PROJECT_DIR
from batch_assets.settings import CONFIGURED_BY, Settings
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrate import current, upgrade
from batch_assets.store.migrating.project import head_revision

DEFAULT_STACK = "default"

_OF_THE_API = {"OPENAI_API_KEY", "OPENAI_BASE_URL"}
"""What is wrong with these alone is found where the API is called: not every command does."""


@dataclass(frozen=True)
class Endpoints:
    """Everything that a process has to know to reach the database and the API."""

    database_url: str = field(repr=False)
    """As it was given, with the password; `store.urls` puts a driver in."""
    dagster_database_url: str = field(repr=False)
    """Where the schema `dagster` is; as it was given, too."""
    api_key: str = field(repr=False)
    base_url: str
    spool_dir: Path
    is_local: bool
    profile: Profile = COMPATIBLE
    """What the server at that address is like."""

    @property
    def cache_dir(self) -> Path:
        """Where processes of this host keep answers for each other: within what is ours alone."""
        return self.spool_dir / "companies"


def connect(settings: Settings) -> Endpoints:
    """The configured endpoints, or those of the local stack when nothing is configured.

    BATCH_LOCAL_STACK asks for a local stack whatever is configured. Nothing is opened on a
    configured database; the local stack is started and prepared if need be.

    Raises:
        WrongSettingsError: when a part is missing or cannot be used, with a line for each.
    """
    given = settings.configured()
    if settings.local_stack is not None or not given:
        return connect_local(settings.local_stack or DEFAULT_STACK, spool_dir=settings.spool_dir)
    faults = list(settings.unusable())
    if any(not fault.names <= _OF_THE_API for fault in faults):
        raise WrongSettingsError([fault.sentence for fault in faults])
    base_url, profile = settings.server()
    return Endpoints(
        database_url=given["DATABASE_URL"],
        dagster_database_url=given.get("DAGSTER_DATABASE_URL", given["DATABASE_URL"]),
        api_key=given["OPENAI_API_KEY"],
        base_url=base_url,
        profile=profile,
        spool_dir=settings.spool_dir or PROJECT_DIR / ".local" / "spool",
        is_local=False,
    )


def connect_local(name: str = DEFAULT_STACK, *, spool_dir: Path | None = None) -> Endpoints:
    """The endpoints of the project's local stack `name`, whatever is configured.

    Starts the stack if it does not run, and migrates its database if need be. Raises
    `LocalStackError`, or `ConfigurationError` where no local stack is installed.
    """
    stack = find_local_stack().attach(PROJECT_DIR, name=name)
    if current(stack.database_url) != head_revision():
        upgrade(stack.database_url)
    create_dagster_schema(stack.database_url)
    return Endpoints(
        database_url=stack.database_url,
        dagster_database_url=stack.database_url,
        api_key=stack.api_key,
        base_url=stack.api_base_url,
        profile=profile_of(stack.api_base_url),
        spool_dir=spool_dir or stack.state_dir / "spool",
        is_local=True,
    )


def local_environment(
    environ: Mapping[str, str] | None = None, *, name: str = DEFAULT_STACK
) -> dict[str, str]:
    """An environment, by default this process's, for programs that must use the local stack `name`.

    Nothing that is configured is in it; and where Dagster finds it again in the file `.env`, the
    stack's name still decides.
    """
    given = os.environ if environ is None else environ
    kept = {key: value for key, value in given.items() if key not in CONFIGURED_BY}
    return {**kept, "BATCH_LOCAL_STACK": name}
