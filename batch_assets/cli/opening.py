"""What most commands begin with: the settings, the endpoints, and a database that is ready."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batch_assets.domain.errors import AccountRefusedError, ApiError, BatchAssetsError, FailureKind

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from batch_assets.domain.allowances import AllowanceUse
    from batch_assets.domain.health import Hold
    from batch_assets.settings import Settings
    from batch_assets.stages.pipeline import Pipeline
    from batch_assets.store.breakers import Breakers, Cooldowns
    from batch_assets.store.protocol import Queries
    from batch_assets.store.registry import Registry
    from batch_assets.store.strategy import StoredModes, Strategy
    from batch_assets.wiring import Endpoints


@dataclass(frozen=True)
class OpenDatabase:
    """A database that answers and is migrated, and how it was found."""

    settings: Settings
    endpoints: Endpoints
    engine: Engine
    strategy: Strategy

    def of_account(self, account_name: str) -> OpenDatabase:
        """The same database, with the settings and the server of an account.

        Raises:
            ConfigurationError: There is none of that name, or its settings lead to no server.
        """
        from batch_assets.wiring import connect

        settings = self.settings.of_account(account_name)
        return replace(self, settings=settings, endpoints=connect(settings))

    def of_batch(self, batch: str) -> OpenDatabase:
        """The same for the account with which a batch was made; one that is not found: its own."""
        from batch_assets.store.company_accounts import CompanyAccounts

        name = CompanyAccounts(self.engine).of_batch(batch)
        return self if name is None else self.of_account(name)

    def of_company(self, company: str) -> OpenDatabase:
        """The same for the account that serves a company, by its id or name."""
        from batch_assets.store.company_accounts import CompanyAccounts
        from batch_assets.store.lookups import Lookups

        found = Lookups(self.engine).companies(company)
        return (
            self.of_account(CompanyAccounts(self.engine).of_company(found[0].id)) if found else self
        )

    @property
    def place(self) -> str:
        """Which database this is, for people; without the password."""
        from batch_assets.store.urls import describe

        if self.endpoints.is_local:
            return "database of the local stack"
        return describe(self.endpoints.database_url)

    @property
    def server(self) -> str:
        """Which server this one's batches go to, for people; without what may be secret."""
        return server_of(self.endpoints)

    @property
    def queries(self) -> Queries:
        """The operations on it."""
        return self.strategy.queries

    @property
    def breakers(self) -> Breakers:
        """The breakers of the API's operations."""
        from batch_assets.store.breakers import Breakers

        return Breakers(self.engine, self.endpoints.account_name)

    @property
    def cooldowns(self) -> Cooldowns:
        """The cooldowns of the schedule, the models and the account."""
        from batch_assets.store.breakers import Cooldowns

        return Cooldowns(self.engine, self.endpoints.account_name)

    @property
    def stored_modes(self) -> StoredModes:
        """The choice of an implementation for all runs."""
        from batch_assets.store.strategy import StoredModes

        return StoredModes(self.engine)

    @property
    def registry(self) -> Registry:
        """The installation."""
        from batch_assets.store.registry import Registry

        quiet_seconds = self.settings.policy().external_quiet_seconds
        return Registry(self.engine, quiet_seconds, self.endpoints.account_name)

    @property
    def allowances(self) -> list[AllowanceUse]:
        """What the account may create and enqueue, and how much of that is in use now."""
        from batch_assets.domain.allowances import uses
        from batch_assets.wiring import account_of

        in_use = self.registry.allowances_in_use(account_of(self.endpoints))
        return uses(self.settings.policy(), in_use, datetime.now(UTC))

    @property
    def prices_in_doubt(self) -> list[str]:
        """The models whose price in LiveDash's table is 0, and of which nobody has said so here."""
        prices = self.queries.model_prices()
        confirmed = self.settings.model_prices
        return sorted(
            model for model in prices if prices[model].is_in_doubt and model not in confirmed
        )

    @property
    def hold(self) -> Hold | None:
        """Why nothing can be submitted from it now, or `None`."""
        from batch_assets.stages.circuit_breakers import hold_of

        return hold_of(self.endpoints.profile, self.registry.installation())

    @property
    def held_because(self) -> str | None:
        """The same as one text."""
        hold = self.hold
        return None if hold is None else hold.reason


@contextmanager
def open_database() -> Iterator[OpenDatabase]:
    """Open the database that the environment leads to, until the end of the context.

    What its operations have cost is written then.

    Raises:
        ConfigurationError: The settings do not say where it is.
        DatabaseUnavailableError: It does not answer.
        MigrationsMissingError: It has not what this version needs.
        LocalStackError: The local stack does not start.
    """
    from batch_assets.settings import load_settings
    from batch_assets.store.engine import open_engine
    from batch_assets.store.migrate import require_suitable
    from batch_assets.store.strategy import StoredModes, Strategy
    from batch_assets.wiring import connect

    settings = load_settings()
    endpoints = connect(settings)
    engine = open_engine(endpoints.database_url)
    try:
        require_suitable(engine)
        strategy = Strategy(engine, settings.toggle(), stored=StoredModes(engine).read)
        try:
            yield OpenDatabase(settings, endpoints, engine, strategy)
        finally:
            strategy.flush()
    finally:
        engine.dispose()


@contextmanager
def open_pipeline(database: OpenDatabase, purpose: str) -> Iterator[Pipeline]:
    """Open what the stages are given, with a client whose calls the breakers see."""
    from batch_assets.wiring import PipelineParts, build_pipeline, open_api

    endpoints, policy = database.endpoints, database.settings.policy()
    with ExitStack() as stack:
        yield build_pipeline(
            PipelineParts(
                endpoints=endpoints,
                policy=policy,
                engine=database.engine,
                queries=database.queries,
                open_api=lambda guard: stack.enter_context(open_api(endpoints, policy, guard)),
                purpose=purpose,
            )
        )


def who() -> str:
    """Name who types, for what is kept of it."""
    return f"{getpass.getuser()} on {socket.gethostname()}"


def server_of(endpoints: Endpoints) -> str:
    """Name the server that batches go to, for people; without what may be secret."""
    if endpoints.is_local:
        return "server of the local stack"
    return f"API at {_address(endpoints.base_url)}"


def require_account(endpoints: Endpoints) -> timedelta:
    """See that the API takes the key, by one call that costs nothing.

    Returns the time that the server's clock is ahead of ours.

    Raises:
        AccountRefusedError: It refuses the account.
        BatchAssetsError: It does not answer as it should.
    """
    from batch_assets.openai_batch.client import BatchApi

    client = BatchApi(
        endpoints.api_key, endpoints.base_url, profile=endpoints.profile, project=endpoints.project
    )
    with client as api:
        try:
            api.check_account()
        except ApiError as error:
            if error.failure.kind is FailureKind.ACCOUNT:
                raise AccountRefusedError(error.sentence("try again")) from None
            advice = error.failure.advice or "check OPENAI_BASE_URL and the network, and try again"
            raise BatchAssetsError(
                f"The API at {_address(endpoints.base_url)} does not answer as it should "
                f"({error.failure.reason}): {advice}."
            ) from None
        return api.clock_ahead


def _address(url: str) -> str:
    """A URL without what may be secret in it: user and password, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
