"""`batch-assets budgets` shows what may be spent and what is; `budget` sets it or takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batch_assets.cli.conventions import (
    AsJson,
    DryRun,
    OfCompany,
    print_json,
)
from batch_assets.cli.opening import open_database, who
from batch_assets.cli.screen import Column, console, number
from batch_assets.domain.budgets import WARNED_PERCENT, BudgetUse
from batch_assets.domain.display import euros
from batch_assets.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_assets.stages.controls.budgets import BudgetReport
    from batch_assets.store.lookups import Lookups

commands = typer.Typer()
budget = typer.Typer(
    no_args_is_help=True, help="Set what may be spent in a day or month, or take it back."
)
commands.add_typer(budget, name="budget")

Of = Annotated[str, typer.Argument(metavar="PERIOD", help="day or month, in UTC.")]
OfAll = Annotated[bool, typer.Option("--all", help="Of all companies together.")]

_COLUMNS: Sequence[Column[BudgetUse]] = (
    Column("Company", lambda one: one.whose),
    Column("Period", lambda one: one.of_when),
    number("EUR", lambda one: euros(one.amount_eur)),
    number("Spent", lambda one: euros(one.spent_eur), "Spent EUR"),
    number("Left", lambda one: euros(one.left_eur), "Left EUR"),
    number("%", lambda one: f"{one.percent:.0f}", "Percent"),
    Column("Anew", lambda one: one.begins_anew.isoformat(), "Begins anew (UTC)"),
)


@commands.command("budgets")
def list_budgets(as_json: AsJson = False) -> None:
    """Show what may be spent, what is, and when it begins anew."""
    from batch_assets.store.budgets import StoredBudgets

    with open_database() as database:
        uses = StoredBudgets(database.engine).uses()
    if as_json:
        print_json({"budgets": [document_of(use) for use in uses]})
        return
    shown = console()
    if not uses:
        shown.say("No budget is set: `batch-assets budget set month 250 --all` sets one.")
        return
    shown.show(_COLUMNS, uses)
    shown.say("Spent: what was submitted in the period has cost; what is open, by its estimate.")
    for use in uses:
        if use.percent >= WARNED_PERCENT:
            shown.say(use.sentence)


@budget.command("set")
def set_one(
    period: Of,
    eur: Annotated[float, typer.Argument(metavar="EUR", help="Such as 250 or 250.50.")],
    *,
    company: OfCompany = None,
    every: OfAll = False,
    as_json: AsJson = False,
) -> None:
    """Set what may be spent in each day or month."""
    from batch_assets.stages.controls.budgets import set_budget

    _require_one(company, every=every)
    with _lookups() as lookups:
        report = set_budget(lookups, company, period, eur, who())
    _show(report, as_json=as_json)


@budget.command("clear")
def clear_one(
    period: Of, *, company: OfCompany = None, every: OfAll = False, as_json: AsJson = False
) -> None:
    """Take a budget back."""
    from batch_assets.stages.controls.budgets import clear_budget

    _require_one(company, every=every)
    with _lookups() as lookups:
        report = clear_budget(lookups, company, period)
    _show(report, as_json=as_json)


@budget.command("import")
def import_all(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV: company,period,eur; the company or all.")
    ],
    *,
    only: Annotated[
        bool, typer.Option("--only", help="Take back all budgets that are not in it.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Set all budgets that a file has, if every line of it is right."""
    from batch_assets.stages.controls.budgets import import_budgets

    with _lookups() as lookups:
        report = import_budgets(lookups, file, who(), only=only, dry_run=dry_run)
    _show(report, as_json=as_json)


def document_of(use: BudgetUse) -> dict[str, Any]:
    """A budget in a JSON document."""
    return {
        "company_id": None if use.is_of_all else use.company_id,
        "company": use.company,
        "period": use.period,
        "of": use.of_when,
        "budget_eur": use.amount_eur,
        "spent_eur": use.spent_eur,
        "left_eur": use.left_eur,
        "percent": use.percent,
        "begins_anew": use.begins_anew.isoformat(),
        "set_by": use.set_by,
        "set_at": use.set_at,
    }


def _require_one(company: str | None, *, every: bool) -> None:
    if (company is None) != every:
        raise ConfigurationError("Whose budget? Give --company, or --all for all together.")


@contextmanager
def _lookups() -> Iterator[Lookups]:
    from batch_assets.store.lookups import Lookups

    with open_database() as database:
        yield Lookups(database.engine)


def _show(report: BudgetReport, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "dry_run": report.dry_run,
                "set": report.set_now,
                "taken_back": report.taken_back,
                "budgets": [document_of(use) for use in report.changed],
            }
        )
    else:
        console().say(report.sentence)
