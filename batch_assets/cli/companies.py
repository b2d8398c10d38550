"""`batch-assets companies`: which companies runs take for active."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from batch_assets.cli.conventions import AsJson, plural, print_json
from batch_assets.cli.opening import OpenDatabase, open_database
from batch_assets.cli.screen import Column, console, errors
from batch_assets.domain.records import Company

if TYPE_CHECKING:
    from batch_assets.resources.company_lookup import ActiveCompanies, CompanyCache

commands = typer.Typer()

_COLUMNS: Sequence[Column[Company]] = (
    Column("Company", lambda one: one.name),
    Column("Id", lambda one: one.id),
)


@commands.command()
def companies(
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the database now; the next runs go by it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which companies runs take for active."""
    with open_database() as database:
        cache = company_cache(database)
        found = cache.refresh() if refresh else cache.active()
    if as_json:
        active = [asdict(company) for company in found.companies]
        print_json({"active_companies": active, "age_seconds": found.age_seconds})
    else:
        _show(database, found)


def company_cache(database: OpenDatabase) -> CompanyCache:
    """What the runs on this host share; what is wrong with it is said on stderr."""
    from batch_assets.resources.company_lookup import shared_cache

    return shared_cache(
        database.endpoints,
        database.settings,
        database.queries.active_companies,
        warn=errors().say,
    )


def _show(database: OpenDatabase, found: ActiveCompanies) -> None:
    shown = console()
    if found.companies:
        shown.show(_COLUMNS, found.companies)
    number = plural(len(found.companies), "company is", "companies are")
    shown.say(f"{number} active in the {database.place}.")
    if found.hits:
        shown.say(
            f"That was the answer {found.age_seconds:.0f} s ago, by which runs on this host go: "
            "`batch-assets companies --refresh` asks for a new one."
        )
