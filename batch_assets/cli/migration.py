"""`batch-assets migrate`."""

from batch_assets.cli.output import console
from batch_assets.domain.errors import ConfigurationError
from batch_assets.resources.dagster_storage import make_dagster_tables
from batch_assets.settings import load_settings
from batch_assets.store.dagster_schema import create_dagster_schema, left_of_dagster
from batch_assets.store.migrate import current, downgrade, upgrade
from batch_assets.store.migrating.grants import grant, require_role
from batch_assets.store.urls import describe
from batch_assets.wiring import Endpoints, connect


def migrate(revision: str | None, *, drop_livedash: bool, grant_to: str | None = None) -> None:
    """Bring the database up to date, or back to `revision`, and say what was done to it.

    Then give the role `grant_to` what it needs to run the jobs.
    """
    if drop_livedash and revision is None:
        raise ConfigurationError("--drop-livedash goes with --downgrade only: leave it out.")
    if grant_to is not None and revision is not None:
        raise ConfigurationError("--grant-to does not go with --downgrade: leave one out.")
    endpoints = connect(load_settings())
    if revision is None:
        _bring_up(endpoints, grant_to)
    else:
        _take_back(endpoints, revision, drop_livedash=drop_livedash)


class _Report:
    """Shows what was done under the database's name; a refusal says by itself which one it is."""

    def __init__(self, url: str) -> None:
        self._screen = console()
        self._heading = f"The {describe(url)}:"

    def step(self, sentence: str) -> None:
        self.end(sentence, indent=2)

    def end(self, sentence: str, *, indent: int = 0) -> None:
        if self._heading:
            self._screen.say(self._heading)
            self._heading = ""
        self._screen.say(sentence, indent=indent)


def _bring_up(endpoints: Endpoints, grant_to: str | None) -> None:
    url, report = endpoints.database_url, _Report(endpoints.database_url)
    before = current(url)
    if grant_to is not None:
        require_role(url, grant_to)
    upgrade(url, report.step)
    create_dagster_schema(endpoints.dagster_database_url)
    make_dagster_tables(endpoints.dagster_database_url)
    report.end(_moved(before, current(url)))
    if grant_to is not None:
        for one in dict.fromkeys((url, endpoints.dagster_database_url)):
            grant(one, grant_to, report.end)


def _take_back(endpoints: Endpoints, revision: str, *, drop_livedash: bool) -> None:
    url, report = endpoints.database_url, _Report(endpoints.database_url)
    before = current(url)
    downgrade(url, revision, report.step, drop_livedash=drop_livedash)
    after = current(url)
    report.end(_moved(before, after))
    left = left_of_dagster(endpoints.dagster_database_url) if after is None else None
    if left is not None:
        report.end(left)


def _moved(before: str | None, after: str | None) -> str:
    if before == after:
        return f"Nothing to do: it is at revision {after or 'none'}."
    return f"Done: it was at revision {before or 'none'} and is at {after or 'none'} now."
