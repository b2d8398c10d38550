"""`batch-assets migrate`: the tables that this version needs, made or taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from batch_assets.cli.screen import console
from batch_assets.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from batch_assets.wiring import Endpoints

commands = typer.Typer()


@commands.command()
def migrate(
    downgrade: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="Go back to this revision; base: take all back."),
    ] = None,
    drop_livedash: Annotated[
        bool,
        typer.Option(
            "--drop-livedash",
            help="Drop LiveDash's tables even if they hold data.",
            rich_help_panel="With --downgrade",
        ),
    ] = False,
    drop_budgets: Annotated[
        bool,
        typer.Option(
            "--drop-budgets",
            help="Go back even if budgets are lost by that.",
            rich_help_panel="With --downgrade",
        ),
    ] = False,
    grant_to: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="Give this role the fewest rights that the jobs need."),
    ] = None,
) -> None:
    """Make the tables that this version needs, safely beside LiveDash."""
    from batch_assets.settings import load_settings
    from batch_assets.wiring import connect

    for option, is_given in (("--drop-livedash", drop_livedash), ("--drop-budgets", drop_budgets)):
        if is_given and downgrade is None:
            raise ConfigurationError(f"{option} goes with --downgrade only: leave it out.")
    if grant_to is not None and downgrade is not None:
        raise ConfigurationError("--grant-to does not go with --downgrade: leave one out.")
    endpoints = connect(load_settings())
    if downgrade is None:
        _bring_up(endpoints, grant_to)
    else:
        _take_back(endpoints, downgrade, drop_livedash=drop_livedash, drop_budgets=drop_budgets)


class _Report:
    """Shows what was done under the database's name; a refusal says by itself which one it is."""

    def __init__(self, url: str) -> None:
        from batch_assets.store.urls import describe

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
    from batch_assets.resources.dagster_storage import make_dagster_tables
    from batch_assets.store import migrate as migrations
    from batch_assets.store.dagster_schema import create_dagster_schema
    from batch_assets.store.migrating.grants import grant, require_role

    url, report = endpoints.database_url, _Report(endpoints.database_url)
    before = migrations.current(url)
    if grant_to is not None:
        require_role(url, grant_to)
    migrations.upgrade(url, report.step)
    create_dagster_schema(endpoints.dagster_database_url)
    make_dagster_tables(endpoints.dagster_database_url)
    report.end(_moved(before, migrations.current(url)))
    if grant_to is not None:
        for one in dict.fromkeys((url, endpoints.dagster_database_url)):
            grant(one, grant_to, report.end)


def _take_back(
    endpoints: Endpoints, revision: str, *, drop_livedash: bool, drop_budgets: bool
) -> None:
    from batch_assets.store import migrate as migrations
    from batch_assets.store.dagster_schema import left_of_dagster

    url, report = endpoints.database_url, _Report(endpoints.database_url)
    before = migrations.current(url)
    migrations.downgrade(
        url, revision, report.step, drop_livedash=drop_livedash, drop_budgets=drop_budgets
    )
    after = migrations.current(url)
    report.end(_moved(before, after))
    left = left_of_dagster(endpoints.dagster_database_url) if after is None else None
    if left is not None:
        report.end(left)


def _moved(before: str | None, after: str | None) -> str:
    if before == after:
        return f"Nothing to do: it is at revision {after or 'none'}."
    return f"Done: it was at revision {before or 'none'} and is at {after or 'none'} now."
