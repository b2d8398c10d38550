"""The settings of a run, and what they lead to: the database and the Batch API.

None has a field: keys and addresses can neither be read nor changed in the Launchpad. None does
anything before an op asks for it, so that definitions load with an empty environment, and what
cannot be reached fails the op that needs it, with a sentence.
"""

import dagster as dg
from pydantic import PrivateAttr
from sqlalchemy import Engine

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import CallGuard
from batch_assets.resources.heartbeat import end_with_run
from batch_assets.resources.run_executor import account_of_run
from batch_assets.settings import Settings, load_settings
from batch_assets.store.counting import count_statements
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import require_suitable
from batch_assets.wiring import Endpoints, connect, open_api


class WiringResource(dg.ConfigurableResource[None]):
    """The settings, and the database and the API server that they lead to."""

    _account_name: str = PrivateAttr(default=DEFAULT_ACCOUNT)
    _settings: Settings | None = PrivateAttr(default=None)
    _endpoints: Endpoints | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Know whose run this is: where there are several accounts, each run is one account's."""
        if context.run:
            self._account_name = account_of_run(context.run.tags)

    @property
    def settings(self) -> Settings:
        """The settings of this process's environment, for the account whose run this is.

        Raises:
            ConfigurationError: one of them cannot be used, or there is no such account any more.
        """
        if self._settings is None:
            self._settings = load_settings().of_account(self._account_name)
        return self._settings

    @property
    def endpoints(self) -> Endpoints:
        """Where the settings lead.

        Raises:
            ConfigurationError: they do not fit together.
        """
        if self._endpoints is None:
            self._endpoints = connect(self.settings)
        return self._endpoints

    def of_account(self, account_name: str) -> tuple[Settings, Endpoints]:
        """The settings of an account, and where they lead.

        Raises:
            ConfigurationError: There is none of that name, or they do not fit together.
        """
        if account_name == self.settings.account_name:
            return self.settings, self.endpoints
        settings = load_settings().of_account(account_name)
        return settings, connect(settings)


class DatabaseResource(dg.ConfigurableResource[None]):
    """LiveDash's PostgreSQL database, with the schema batch_assets in it.

    One engine, from its first use to the end of the run.
    """

    wiring: dg.ResourceDependency[WiringResource]

    _engine: Engine | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Work on the database no longer than the run does, whatever process this is."""
        if context.run:
            end_with_run(context.run.run_id)

    @property
    def engine(self) -> Engine:
        """The engine, on a database that was seen to answer and to be migrated.

        Raises:
            ConfigurationError: the URL cannot be used.
            DatabaseUnavailableError: nothing answers there.
            MigrationsMissingError: tables are missing.
        """
        if self._engine is None:
            engine = open_engine(self.wiring.endpoints.database_url)
            count_statements(engine)
            try:
                require_suitable(engine)
            except BaseException:
                engine.dispose()
                raise
            self._engine = engine
        return self._engine

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()


class OpenAIResource(dg.ConfigurableResource[None]):
    """The OpenAI Batch API, or the local server that speaks it.

    One client of each account, from its first use to the end of the run.
    """

    wiring: dg.ResourceDependency[WiringResource]

    _apis: dict[str, BatchApi] = PrivateAttr(default_factory=dict)

    def api(self, guard: CallGuard, account_name: str) -> BatchApi:
        """The client of an account, whose calls all go through the guard that was given first.

        It connects with its first call.

        Raises:
            ConfigurationError: the settings lead to no API.
        """
        if account_name not in self._apis:
            settings, endpoints = self.wiring.of_account(account_name)
            self._apis[account_name] = open_api(endpoints, settings.policy(), guard)
        return self._apis[account_name]

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Give the connections back."""
        for api in self._apis.values():
            api.close()
