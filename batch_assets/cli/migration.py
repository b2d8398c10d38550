"""`batch-assets migrate`."""

from batch_assets.cli.output import console
from batch_assets.domain.errors import ConfigurationError
from batch_assets.resources.dagster_storage import make_dagster_tables
from batch_assets.settings import load_settings
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrate import current, downgrade, upgrade
from batch_assets.store.migrating.grants import grant, require_role
from batch_assets.store.urls import describe
from batch_assets.wiring import connect


def migrate(revision: str | None, *, drop_livedash: bool, grant_to: str | None = None) -> None:
    """Bring the database up to date, or back to `revision`, and say what was done to it.

    Then give the role `grant_to` what it needs to run the jobs.
    """
    if drop_livedash and revision is None:
        raise ConfigurationError("--drop-livedash goes with --downgrade only: leave it out.")
    if grant_to is not None and revision is not None:
        raise ConfigurationError("--grant-to does not go with --downgrade: leave one out.")
    endpoints = connect(load_settings())
    shown = console()

    def report(sentence: str) -> None:
        shown.say(sentence, indent=2)

    shown.say(f"The {describe(endpoints.database_url)}:")
    before = current(endpoints.database_url)
    if grant_to is not None:
        require_role(endpoints.database_url, grant_to)
    if revision is None:
        upgrade(endpoints.database_url, report)
        create_dagster_schema(endpoints.dagster_database_url)
        make_dagster_tables(endpoints.dagster_database_url)
    else:
        downgrade(endpoints.database_url, revision, report, drop_livedash=drop_livedash)
    after = current(endpoints.database_url)
    shown.say(_moved(before, after))
    if grant_to is not None:
        for url in dict.fromkeys((endpoints.database_url, endpoints.dagster_database_url)):
            grant(url, grant_to, shown.say)


def _moved(before: str | None, after: str | None) -> str:
    if before == after:
        return f"Nothing to do: it is at revision {after or 'none'}."
    return f"Done: it was at revision {before or 'none'} and is at {after or 'none'} now."
