"""Where Dagster keeps its runs and events; `dagster.yaml` names this class.

A file cannot choose between a configured database and the local stack, and an unset variable in
it is an error: so the class chooses. The database's URL, with its password, is thus in no file,
process argument or page of Dagster. The web server, too, opens its storage before anything else,
and is given its origin check then: whoever starts it, and by whichever command.
"""

import sys
from typing import Any, Self

import click
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import BatchAssetsError, MigrationRefusedError
from batch_assets.settings import load_settings
from batch_assets.store.dagster_schema import require_dagster_schema
from batch_assets.store.database_errors import shorten
from batch_assets.store.urls import dagster_url, describe
from batch_assets.wiring import connect


def make_dagster_tables(url: str) -> None:
    """Make what is missing of Dagster's tables, which then belong to whoever migrates.

    Raises:
        DatabaseUnavailableError: The database cannot be reached.
        MigrationsMissingError: It lacks the schema.
        RightMissingError: The user may not use it.
        MigrationRefusedError: Dagster could not make them.
    """
    server_version = require_dagster_schema(url)
    try:
        DagsterPostgresStorage(dagster_url(url, server_version))
    except (DBAPIError, DagsterPostgresException):
        raise MigrationRefusedError(
            f"Dagster's tables could not be made in the {describe(url)}: run it again, as the user "
            "that owns the schema dagster."
        ) from None


class SaidByDagsterError(click.ClickException):
    """What a person has to put right, in the form that Dagster's commands print as one sentence."""

    def __init__(self, meant: BatchAssetsError) -> None:
        super().__init__(str(meant))
        self.meant = meant


class WiredPostgresStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage on the database that the wiring says, in its own schema."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in `dagster.yaml`."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, _config_value: Any) -> Self:
        """Open the storage, on a database that was seen to answer.

        Raises:
            SaidByDagsterError: The settings or the database do not suit, in our sentence.
        """
        try:
            settings = load_settings()
            url = connect(settings).dagster_database_url
            server_version = require_dagster_schema(url)
        except BatchAssetsError as error:
            raise SaidByDagsterError(error) from None
        if "dagster_webserver" in sys.modules:
            # Imported here: it takes a second, and no other process has a use for it.
            from batch_assets.resources.dagster_webserver import guard_webserver  # noqa: PLC0415

            guard_webserver(settings.ui_names)
        if not event.contains(Engine, "handle_error", shorten):
            event.listen(Engine, "handle_error", shorten)
        return cls(postgres_url=dagster_url(url, server_version), inst_data=inst_data)
