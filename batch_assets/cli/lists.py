"""`batch-assets batches` and `alerts`: what there is, newest first, to copy ids from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from batch_assets.cli.conventions import (
    AsJson,
    OfCompany,
    count,
    moment,
    plural,
)
from batch_assets.cli.listing import (
    MOST,
    Form,
    Limit,
    Since,
    chosen,
    form_of,
    span_of,
    write_list,
)
from batch_assets.cli.opening import OpenDatabase, open_database
from batch_assets.cli.screen import Column, console, number
from batch_assets.domain.display import euros
from batch_assets.domain.states import BatchState

if TYPE_CHECKING:
    from batch_assets.store.lists import ListedBatch, Span

commands = typer.Typer()

OPEN: Final = "open"
"""What stands for every state of a batch that is not finished."""
_OPEN_STATES: Final = ("claimed", "uploaded", "submitted", "ended")
_RAISED: Final = ("raised", "resolved")


def _cost(batch: ListedBatch) -> str:
    if batch.cost_eur:
        return euros(batch.cost_eur)
    return f"about {euros(batch.estimated_cost_eur)}" if batch.estimated_cost_eur else "-"


def _minute(at: datetime) -> str:
    return moment(at).removesuffix(" UTC")


_BATCH: Sequence[Column[ListedBatch]] = (
    Column("Batch", lambda one: one.id),
    Column("OpenAI", lambda one: one.openai_batch_id),
    Column("Company", lambda one: one.company),
    Column("State", lambda one: one.state),
    number("Re-\nquests", lambda one: count(one.requests)),
    number("EUR", _cost),
    Column("Claimed", lambda one: _minute(one.claimed_at), "Claimed (UTC)"),
)


@commands.command("batches")
def list_batches(
    *,
    company: OfCompany = None,
    state: Annotated[
        str | None,
        typer.Option("--state", help=f"In this state: {', '.join([*BatchState, OPEN])}."),
    ] = None,
    since: Since = None,
    limit: Limit = MOST,
    form: Form = "table",
    as_json: AsJson = False,
) -> None:
    """List batches, newest first."""
    from batch_assets.store.lists import ListedBatch, Lists

    form = form_of(form, as_json=as_json)
    states = None if state is None else [chosen("--state", state, [*BatchState, OPEN])]
    if states == [OPEN]:
        states = list(_OPEN_STATES)
    with open_database() as database:
        span = span_of(database.engine, company, since)
        found = Lists(database.engine).batches(span, states, limit)
    write_list(form, "batches", ListedBatch, found, _BATCH)
    if form == "table":
        _say_how_many(len(found), limit, "batch", "batches")


@dataclass(frozen=True, slots=True)
class ListedAlert:
    """An alert that was raised once, and what to do while it is."""

    name: str
    is_raised: bool
    severity: str
    since: datetime
    summary: str
    causes: tuple[str, ...]
    """Who or what is behind it, a sentence each."""
    what_to_do: str
    """Empty while it is not raised."""
    company: str = ""
    """Whose budget it is about, if it is about one company's."""

    @property
    def title(self) -> str:
        """Its name as people read it: a company's name stands in it, and not its id."""
        return f"{self.name.partition('_of_')[0]} of {self.company}" if self.company else self.name


_ALERT: Sequence[Column[ListedAlert]] = (
    Column("Alert", lambda one: one.name),
    Column("State", lambda one: f"raised ({one.severity})" if one.is_raised else "resolved"),
    Column("Since", lambda one: _minute(one.since), "Since (UTC)"),
    Column("What was seen", lambda one: one.summary, is_prose=True),
)


@commands.command("alerts")
def list_alerts(
    *,
    company: OfCompany = None,
    state: Annotated[
        str | None, typer.Option("--state", help="In this state: raised or resolved.")
    ] = None,
    since: Since = None,
    form: Form = "table",
    as_json: AsJson = False,
) -> None:
    """List alerts, those that are raised first, with what to do about them."""
    form = form_of(form, as_json=as_json)
    wanted = None if state is None else chosen("--state", state, _RAISED)
    with open_database() as database:
        span = span_of(database.engine, company, since)
        found = [
            one
            for one in alerts_of(database, span)
            if wanted is None or one.is_raised == (wanted == "raised")
        ]
    write_list(form, "alerts", ListedAlert, found, _ALERT)
    if form != "table":
        return
    shown = console()
    for one in found:
        if one.what_to_do:
            shown.say(f"{one.name}: {' '.join([*one.causes, one.what_to_do])}")
    raised = sum(one.is_raised for one in found)
    shown.say(f"{plural(raised, 'alert is', 'alerts are')} raised.")


def alerts_of(database: OpenDatabase, span: Span) -> Iterable[ListedAlert]:
    """The alerts as the last run has left them, raised ones first; of a company those that it is
    behind."""
    from batch_assets.domain.alerts.advice import OF_BUDGET, advise, behind
    from batch_assets.domain.alerts.budgets import faults_by_alert
    from batch_assets.store.alerts import Alerts
    from batch_assets.store.budgets import StoredBudgets
    from batch_assets.store.lists import Lists

    states = Lists(database.engine).alerts()
    raised = [one.name for one in states if one.is_raised]
    window = database.settings.alert_limits().window_minutes * 60
    faults = Alerts(database.engine).behind(raised, window) if raised else []
    if any(name.startswith(OF_BUDGET) for name in raised):
        faults += faults_by_alert(StoredBudgets(database.engine).uses())
    for state in states:
        own = [one for one in faults if one.alert == state.name]
        if span.company_id is not None:
            own = [one for one in own if one.company_id == span.company_id]
            if not own:
                continue
        if span.since is not None and state.since < span.since:
            continue
        yield ListedAlert(
            name=state.name,
            is_raised=state.is_raised,
            severity=str(state.severity),
            since=state.since,
            summary=state.summary,
            causes=tuple(map(behind, own)),
            what_to_do=advise(state.name, own) if state.is_raised else "",
            company=next((one.company or "" for one in own if _is_of_one(state.name)), ""),
        )


def _is_of_one(alert: str) -> bool:
    from batch_assets.domain.alerts.advice import OF_BUDGET

    return alert.startswith(OF_BUDGET)


def _say_how_many(found: int, limit: int, thing: str, things: str) -> None:
    more = f", perhaps of more: --limit {limit * 10} shows further ones" if found == limit else ""
    console().say(f"{plural(found, thing, things)}{more}.")
