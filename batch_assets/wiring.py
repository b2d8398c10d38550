"""On which database and which server everything runs: decided here, from the settings, alone.

The local stack is chosen only when nothing is configured, so that what is made up never meets what
is real. This is the one module that may import `local/`, and only once the stack is asked for.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from batch_assets.domain.errors import ConfigurationError
from batch_assets.openai_batch.profiles import (
    COMPATIBLE,
    DEFAULT_BASE_URL,
    Profile,
    profile_of,
    versioned,
)
from batch_assets.settings import Settings
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrate import current, upgrade
from batch_assets.store.migrating.project import head_revision

PROJECT_DIR = Path(__file__).resolve().parents[1]

DEFAULT_STACK = "default"

CONFIGURED_BY = ("DATABASE_URL", "DAGSTER_DATABASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")
"""What is real: each of these rules the local stack out, unless that is asked for by name."""


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
    configured database; the local stack is started and prepared if need be. Raises
    `ConfigurationError` when a part is configured and another is missing.
    """
    given = _configured(settings)
    if settings.local_stack is not None or not given:
        return connect_local(settings.local_stack or DEFAULT_STACK, spool_dir=settings.spool_dir)
    missing = [name for name in ("DATABASE_URL", "OPENAI_API_KEY") if name not in given]
    if missing:
        raise ConfigurationError(
            f"{_listed(missing)} missing although {_listed(list(given))} set: set DATABASE_URL and "
            f"OPENAI_API_KEY, or none of {', '.join(CONFIGURED_BY)} for the local stack."
        )
    base_url = given.get("OPENAI_BASE_URL", DEFAULT_BASE_URL)
    profile = profile_of(base_url, settings.server_profile)
    return Endpoints(
        database_url=given["DATABASE_URL"],
        dagster_database_url=given.get("DAGSTER_DATABASE_URL", given["DATABASE_URL"]),
        api_key=given["OPENAI_API_KEY"],
        base_url=versioned(base_url, settings.api_version) if profile.is_dated else base_url,
        profile=profile,
        spool_dir=settings.spool_dir or PROJECT_DIR / ".local" / "spool",
        is_local=False,
    )


def connect_local(name: str = DEFAULT_STACK, *, spool_dir: Path | None = None) -> Endpoints:
    """The endpoints of the project's local stack `name`, whatever is configured.

    Starts the stack if it does not run, and migrates its database if need be. Raises
    `LocalStackError`.
    """
    # Imported here, so that no production process loads it.
    from batch_assets.local.stack import attach  # noqa: PLC0415 (see above)

    stack = attach(PROJECT_DIR, name=name)
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

    Nothing that is configured is in it; and should Dagster find it again in an `.env` file, then
    the stack's name still decides.
    """
    given = os.environ if environ is None else environ
    kept = {key: value for key, value in given.items() if key not in CONFIGURED_BY}
    return {**kept, "BATCH_LOCAL_STACK": name}


def _configured(settings: Settings) -> dict[str, str]:
    values = (
        settings.database_url,
        settings.dagster_database_url,
        settings.openai_api_key,
        settings.openai_base_url,
    )
    named: zip[tuple[str, SecretStr | None]] = zip(CONFIGURED_BY, values, strict=True)
    return {name: value.get_secret_value() for name, value in named if value is not None}


def _listed(names: list[str]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"
