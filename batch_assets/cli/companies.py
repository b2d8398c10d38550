"""`batch-assets companies`: which companies runs take for active, and which there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from batch_assets.cli.conventions import AsJson, OfCompany, moment, plural, print_json
from batch_assets.cli.listing import Form, Since, chosen, form_of, span_of, write_list
from batch_assets.cli.opening import OpenDatabase, open_database
from batch_assets.cli.screen import Column, console, errors
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.records import Company

if TYPE_CHECKING:
    from batch_assets.resources.company_lookup import ActiveCompanies, CompanyCache
    from batch_assets.store.lists import ListedCompany

commands = typer.Typer()

STATES = ("ACTIVE", "SUSPENDED", "TRIAL", "ARCHIVED")
"""LiveDash's words for what a company can be."""

_COLUMNS: Sequence[Column[Company]] = (
    Column("Company", lambda one: one.name),
    Column("Id", lambda one: one.id),
)


_LISTED: Sequence[Column[ListedCompany]] = (
    Column("Company", lambda one: one.name),
    Column("Id", lambda one: one.id),
    Column("State", lambda one: one.status),
    Column("Last sent", lambda one: moment(one.sent_at).removesuffix(" UTC"), "Last sent (UTC)"),
)


@commands.command()
def companies(
    *,
    company: OfCompany = None,
    state: Annotated[
        str | None, typer.Option("--state", help=f"In LiveDash's state: {', '.join(STATES)}.")
    ] = None,
    since: Since = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the database now; the next runs go by it.")
    ] = False,
    form: Form = "table",
    as_json: AsJson = False,
) -> None:
    """Show which companies runs take for active, or those that are asked for."""
    form = form_of(form, as_json=as_json)
    if (company, state, since) != (None, None, None):
        if refresh:
            raise ConfigurationError("--refresh asks for all active companies: give it alone.")
        _list(company, state, since, form)
        return
    with open_database() as database:
        cache = company_cache(database)
        found = cache.refresh() if refresh else cache.active()
    if form == "json":
        active = [asdict(company) for company in found.companies]
        print_json({"active_companies": active, "age_seconds": found.age_seconds})
    elif form == "csv":
        write_list(form, "active_companies", Company, found.companies, _COLUMNS)
    else:
        _show(database, found)


def _list(company: str | None, state: str | None, since: str | None, form: str) -> None:
    """List companies of any state as the database has them."""
    from batch_assets.store.lists import ListedCompany, Lists

    status = None if state is None else chosen("--state", state, STATES)
    with open_database() as database:
        span = span_of(database.engine, company, since)
        found = Lists(database.engine).companies(span, status)
    write_list(form, "companies", ListedCompany, found, _LISTED)
    if form == "table":
        console().say(f"{plural(len(found), 'company', 'companies')}.")


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
