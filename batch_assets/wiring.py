"""On which database and which server everything runs, and what the stages are given there.

Where that is, is decided here, from the settings, alone.

The local stack is chosen only when nothing is configured, so that what is made up never meets what
is real. It is looked for only once it is asked for.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.breakers import Breaker
from batch_assets.domain.errors import WrongSettingsError
from batch_assets.domain.policy import Policy
from batch_assets.local_stack import find_local_stack
from batch_assets.openai_batch.account import Project
from batch_assets.openai_batch.account import account_of as account_of_key
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import CallGuard
from batch_assets.openai_batch.profiles import COMPATIBLE, Profile, profile_of
from batch_assets.project_files import PROJECT_DIR
from batch_assets.settings import CONFIGURED_BY, Settings
from batch_assets.stages.circuit_breakers import CircuitBreakerGuard
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.reports import Reports
from batch_assets.store.breakers import Breakers
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.protocol import Queries
from batch_assets.store.registry import Registry

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
    account_name: str = DEFAULT_ACCOUNT
    """Whose key that is."""
    project: Project | None = None
    """In whose name calls are made; `None`: as the environment has it."""

    @property
    def cache_dir(self) -> Path:
        """Where processes of this host keep answers for each other: within what is ours alone."""
        return self.spool_dir / "companies"


def connect(settings: Settings) -> Endpoints:
    """The configured endpoints of an account, or a local stack's when nothing is configured.

    BATCH_LOCAL_STACK asks for a local stack whatever is configured. Nothing is opened on a
    configured database; the local stack is started and prepared if need be.

    Raises:
        WrongSettingsError: when a part is missing or cannot be used, with a line for each.
    """
    given = settings.configured()
    if settings.local_stack is not None or not settings.is_configured:
        return connect_local(
            settings.local_stack or DEFAULT_STACK,
            spool_dir=settings.spool_dir,
            account_name=settings.account_name,
        )
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
        account_name=settings.account_name,
        project=settings.project,
    )


def connect_local(
    name: str = DEFAULT_STACK,
    *,
    spool_dir: Path | None = None,
    account_name: str = DEFAULT_ACCOUNT,
) -> Endpoints:
    """The endpoints of the project's local stack `name`, whatever is configured.

    All accounts have its one server and key there.

    Starts the stack if it does not run, and migrates its database if need be. Raises
    `LocalStackError`, or `ConfigurationError` where no local stack is installed.
    """
    # Alembic takes nine megabytes, and a process that is told its database migrates nothing.
    from batch_assets.store.migrate import current, upgrade  # noqa: PLC0415 (see above)
    from batch_assets.store.migrating.project import head_revision  # noqa: PLC0415 (see above)

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
        account_name=account_name,
    )


@dataclass(frozen=True, kw_only=True)
class PipelineParts:
    """What a pipeline is put together from, wherever that is done."""

    endpoints: Endpoints
    policy: Policy
    """As the settings have it; the server's profile has yet to bound it."""
    engine: Engine
    queries: Queries
    open_api: Callable[[CallGuard], BatchApi]
    """Opens the client, which whoever gives this closes."""
    purpose: str
    """Stands in the name under which leases are held, after host and process."""
    run_id: str = ""
    reports: Reports = field(default_factory=Reports)
    known_breakers: Callable[[], Sequence[Breaker]] | None = None
    """See `CircuitBreakerGuard`."""


def build_pipeline(parts: PipelineParts) -> Pipeline:
    """Put together what every stage is given. Nothing is asked of the database or the API yet.

    Raises:
        ConfigurationError: The key or the address cannot be those of an API.
    """
    policy = parts.endpoints.profile.bound(parts.policy)
    account_name = parts.endpoints.account_name
    breakers = Breakers(parts.engine, account_name)
    guard = CircuitBreakerGuard(breakers, policy, parts.known_breakers)
    return Pipeline(
        queries=parts.queries,
        registry=Registry(parts.engine, policy.external_quiet_seconds, account_name),
        api=parts.open_api(guard),
        policy=policy,
        spool_dir=parts.endpoints.spool_dir,
        owner=f"{socket.gethostname()}:{os.getpid()}:{parts.purpose}",
        run_id=parts.run_id,
        reports=parts.reports,
    )


def open_api(endpoints: Endpoints, policy: Policy, guard: CallGuard) -> BatchApi:
    """Make the client of the API at these endpoints, which connects with its first call.

    Raises:
        ConfigurationError: The key or the address cannot be those of an API.
    """
    return BatchApi(
        endpoints.api_key,
        endpoints.base_url,
        profile=endpoints.profile,
        project=endpoints.project,
        window_seconds=policy.batch_timeout_seconds,
        input_expires_seconds=policy.output_expires_seconds,
        guard=guard,
    )


def account_of(endpoints: Endpoints) -> str:
    """Name the account that is spoken to there, as batches and allowances are kept by it."""
    return account_of_key(endpoints.api_key, endpoints.base_url, endpoints.project)


def local_environment(
    environ: Mapping[str, str] | None = None, *, name: str = DEFAULT_STACK
) -> dict[str, str]:
    """An environment, by default this process's, for programs that must use the local stack `name`.

    Nothing that is configured is in it; and where Dagster finds it again in the file `.env`, the
    stack's name still decides.
    """
    given = os.environ if environ is None else environ
    kept = {key: value for key, value in given.items() if not _is_real(key)}
    return {**kept, "BATCH_LOCAL_STACK": name}


def _is_real(variable: str) -> bool:
    """Whether it leads to something real, for the default account or for a further one."""
    of_accounts = ("BATCH_ACCOUNTS", "OPENAI_API_KEY_", "OPENAI_BASE_URL_")
    return variable in CONFIGURED_BY or variable.startswith(of_accounts)
