"""`batch-assets account`: which accounts there are, and which company each serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from batch_assets.cli.conventions import AsJson, count, print_json
from batch_assets.cli.opening import OpenDatabase, open_database, who
from batch_assets.cli.screen import Column, console, number
from batch_assets.domain.errors import BatchAssetsError

if TYPE_CHECKING:
    from batch_assets.store.company_accounts import AccountStanding

commands = typer.Typer()
account = typer.Typer(
    no_args_is_help=True, help="Show with whose key each company is served, or change it."
)
commands.add_typer(account, name="account")


@dataclass(frozen=True)
class _Account:
    """An account as it is listed."""

    account: str
    server: str
    """Empty for one that no settings name."""
    companies: int
    batches: int
    why_not: str
    """Why nothing can be submitted with it now, or empty."""


_COLUMNS: Sequence[Column[_Account]] = (
    Column("Account", lambda one: one.account),
    Column("Server", lambda one: one.server or "not in BATCH_ACCOUNTS"),
    number("Companies", lambda one: count(one.companies)),
    number("Batches", lambda one: count(one.batches), "Batches not done with"),
)


@account.command("list")
def list_accounts(as_json: AsJson = False) -> None:
    """Show each account with its server, its companies and what is under way."""
    from batch_assets.stages.controls.accounts import left_behind
    from batch_assets.store.company_accounts import AccountStanding, CompanyAccounts

    with open_database() as database:
        stored = CompanyAccounts(database.engine)
        standing, assigned = stored.standing(), stored.all()
        names = database.settings.account_names
        found = {one.account_name: one for one in standing}
        listed = [
            _listed(database, found.get(name, AccountStanding(name, 0, 0)))
            for name in [*names, *sorted(found.keys() - {*names})]
        ]
    behind = [one.said for one in left_behind(standing, names)]
    if as_json:
        companies = [asdict(one) for one in assigned]
        print_json({"accounts": [asdict(one) for one in listed], "companies": companies})
        return
    shown = console()
    shown.show(_COLUMNS, listed)
    for company in assigned:
        shown.say(f"{company.company or company.company_id}: {company.account_name}")
    shown.say("All other companies are served by the account default.")
    for sentence in [*(f"{one.account}: {one.why_not}" for one in listed if one.why_not), *behind]:
        shown.say(sentence)


@account.command("assign")
def assign(
    company: Annotated[str, typer.Argument(metavar="COMPANY", help="Its id or name.")],
    account_name: Annotated[
        str, typer.Argument(metavar="ACCOUNT", help="One of BATCH_ACCOUNTS, or default.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Let an account serve a company from now on."""
    from batch_assets.stages.controls.accounts import assign_company
    from batch_assets.store.lookups import Lookups

    with open_database() as database:
        report = assign_company(
            Lookups(database.engine), company, account_name, database.settings.account_names, who()
        )
    if as_json:
        print_json(asdict(report))
    else:
        console().say(report.sentence)


def _listed(database: OpenDatabase, standing: AccountStanding) -> _Account:
    name, numbers = standing.account_name, (standing.companies, standing.batches)
    if name not in database.settings.account_names:
        return _Account(name, "", *numbers, "")
    try:
        of_account = database.of_account(name)
    except BatchAssetsError as error:
        return _Account(name, "unknown", *numbers, " ".join(error.lines))
    return _Account(name, of_account.server, *numbers, of_account.held_because or "")
