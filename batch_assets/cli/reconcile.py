"""`batch-assets reconcile`: a month's cost beside the figure of the provider's invoice."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from batch_assets.cli.conventions import AsJson, print_json
from batch_assets.cli.opening import open_database
from batch_assets.cli.screen import Column, Screen, console, number
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.reconciliation import ModelCost, Reconciliation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from batch_assets.cli.opening import OpenDatabase

commands = typer.Typer()

_MOST_USD = 1e12

_COLUMNS: Sequence[Column[ModelCost]] = (
    Column("Model", lambda one: one.model or "(LiveDash's own)"),
    number("Answers\nUSD", lambda one: _known(one.cost_usd or 0.0, one)),
    number("Unat-\ntributed", lambda one: dollars(one.unattributed_usd)),
    number("Dupli-\ncates", lambda one: dollars(one.duplicates_usd)),
    number("Given\nup", lambda one: dollars(one.abandoned_usd), "Given up"),
    number("Billed\nUSD", lambda one: _known(one.billed_usd, one)),
    number("Of it\nestimated", lambda one: dollars(one.estimated_usd)),
    number("Un-\npriced", lambda one: f"{one.unpriced_answers:,}", only_if_any=True),
)


@commands.command()
def reconcile(
    *,
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="Of this month (UTC).")],
    usd: Annotated[
        float, typer.Option(metavar="AMOUNT", help="What the invoice says, in USD, untaxed.")
    ],
    within: Annotated[
        float, typer.Option(metavar="PERCENT", help="By how much they may differ.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Compare a month's cost with the provider's invoice; exit 1 if they differ by more."""
    since = _month(month)
    _check("--usd", usd, _MOST_USD)
    _check("--within", within, 100.0)
    with open_database() as database:
        found = _compared(database, since, usd, within)
    if as_json:
        print_json(_document(month, found))
    else:
        _show(month, found)
    if not found.agrees:
        raise typer.Exit(1)


def _month(given: str) -> date:
    try:
        first = date.fromisoformat(f"{given}-01")
        first.replace(year=first.year + 1)  # Of the last of all there is no day after.
    except ValueError:
        raise ConfigurationError(
            f"--month is '{given}': it must be a month such as 2026-01."
        ) from None
    return first


def _check(option: str, given: float, most: float) -> None:
    if not 0.0 <= given <= most:
        raise ConfigurationError(f"{option} is {given}: it must be a number from 0 to {most:,.0f}.")


def _compared(database: OpenDatabase, since: date, usd: float, tolerance: float) -> Reconciliation:
    from batch_assets.store.daily_costs import CostReports

    until = date(since.year + since.month // 12, since.month % 12 + 1, 1)
    reports = CostReports(database.engine)
    models = [_of_model(row) for row in reports.sums(by_model=True, since=since, until=until)]
    border = reports.border(since, until)
    return Reconciliation(
        models=models,
        invoice_usd=usd,
        tolerance_percent=tolerance,
        ended_after_usd=border.ended_after_usd,
        sent_before_usd=border.sent_before_usd,
    )


def _of_model(row: Mapping[str, Any]) -> ModelCost:
    return ModelCost(
        model=row["model"],
        cost_usd=None if row["unpriced_answers"] and not row["cost_usd"] else row["cost_usd"],
        cost_eur=row["cost_eur"],
        unattributed_usd=row["unattributed_usd"],
        duplicates_usd=row["duplicates_usd"],
        abandoned_usd=row["abandoned_usd"],
        estimated_usd=row["estimated_usd"],
        unpriced_answers=row["unpriced_answers"],
        open_batches=row["open_batches"],
    )


def _document(month: str, found: Reconciliation) -> dict[str, object]:
    return {
        "month": month,
        "invoice_usd": found.invoice_usd,
        "billed_usd": found.billed_usd,
        "billed_by_end_usd": found.billed_by_end_usd,
        "difference_usd": found.difference_usd,
        "tolerance_percent": found.tolerance_percent,
        "agrees": found.agrees,
        "models": [
            {
                "model": one.model,
                "cost_usd": one.cost_usd,
                "unattributed_usd": one.unattributed_usd,
                "duplicates_usd": one.duplicates_usd,
                "abandoned_usd": one.abandoned_usd,
                "billed_usd": one.billed_usd,
                "estimated_usd": one.estimated_usd,
                "unpriced_answers": one.unpriced_answers,
                "open_batches": one.open_batches,
            }
            for one in found.models
        ],
        "ended_after_usd": found.ended_after_usd,
        "sent_before_usd": found.sent_before_usd,
        "explanations": found.explanations,
    }


def _show(month: str, found: Reconciliation) -> None:
    shown: Screen = console()
    if found.models:
        shown.show(_COLUMNS, found.models, [column.cell(found.total) for column in _COLUMNS])
    else:
        shown.say(f"Nothing was sent in {month}.\n")
    shown.say(
        f"Sent in {month} (UTC): {dollars(found.billed_usd)} USD. Ended in it: "
        f"{dollars(found.billed_by_end_usd)} USD. The invoice: {dollars(found.invoice_usd)} USD."
    )
    shown.say(found.verdict)
    for sentence in found.explanations:
        shown.say(f"- {sentence}")


def _known(amount: float, one: ModelCost) -> str:
    if one.cost_usd is not None and not one.unpriced_answers:
        return dollars(amount)
    return f"{dollars(amount)} + ?" if amount else "unknown"


def dollars(amount: float) -> str:
    """An amount in USD to the cent, smaller ones with as many digits as it takes to see them."""
    return f"{amount:,.2f}" if abs(amount) >= 1 or amount == 0 else f"{amount:.4f}"
