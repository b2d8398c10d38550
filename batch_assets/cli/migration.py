"""`batch-assets migrate`."""

from batch_assets.cli.output import console
from batch_assets.domain.errors import ConfigurationError
from batch_assets.settings import load_settings
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrate import current, downgrade, upgrade
from batch_assets.store.urls import describe
from batch_assets.wiring import connect


def migrate(revision: str | None, *, drop_livedash: bool) -> None:
    """Bring the database up to date, or back to `revision`, and say what was done to it."""
    if drop_livedash and revision is None:
        raise ConfigurationError("--drop-livedash goes with --downgrade only: leave it out.")
    endpoints = connect(load_settings())
    shown = console()

    def report(sentence: str) -> None:
        shown.say(sentence, indent=2)

    shown.say(f"The {describe(endpoints.database_url)}:")
    before = current(endpoints.database_url)
    if revision is None:
        upgrade(endpoints.database_url, report)
        create_dagster_schema(endpoints.dagster_database_url)
    else:
        downgrade(endpoints.database_url, revision, report, drop_livedash=drop_livedash)
    after = current(endpoints.database_url)
    shown.say(_moved(before, after))


def _moved(before: str | None, after: str | None) -> str:
    if before == after:
        return f"Nothing to do: it is at revision {after or 'none'}."
    return f"Done: it was at revision {before or 'none'} and is at {after or 'none'} now."
