"""`batch-assets status`, and the table of companies that the demo ends with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from time import sleep
from typing import TYPE_CHECKING, Annotated, Final

import typer

from batch_assets.cli.budgets import document_of
from batch_assets.cli.conventions import AsJson, cost, count, plural, print_json
from batch_assets.cli.forecasts import document as forecast_document
from batch_assets.cli.forecasts import outlook, show_forecasts
from batch_assets.cli.opening import open_database
from batch_assets.cli.screen import Column, Screen, console, errors, number
from batch_assets.cli.status_sentences import activity, stoppages
from batch_assets.cli.status_verdict import overview
from batch_assets.domain.budgets import WARNED_PERCENT
from batch_assets.domain.display import euros, listed, of_unpriced, question_of_free
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.domain.forecasts import foresee
from batch_assets.domain.health import Health
from batch_assets.domain.lookups import CompanyStatistics

if TYPE_CHECKING:
    from batch_assets.store.readings import AbandonedStanding
    from batch_assets.store.synchronous_requests import Standing

CUT: Final = "… {lines} more lines: `batch-assets status` without --watch shows all."
WATCH_SECONDS: Final = 5.0
"""After so long --watch looks again."""
_ACTIVE: Final = frozenset({"", "ACTIVE"})
_NAMED: Final = 5
_TEXTS = frozenset({"company_id", "name", "status"})


commands = typer.Typer()


@commands.command()
def status(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew every few seconds, until Ctrl-C.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 10 if it asks for attention, 11 if not well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show whether all is well and why not, where requests are, and what they cost."""
    if watch and check:
        raise ConfigurationError("--check ends with what it has seen, and --watch never does.")
    if watch:
        _watch(as_json=as_json)
        return
    try:
        health = _look(as_json=as_json)
    except BatchAssetsError as error:
        if not check:
            raise
        # A probe is told whether it is well, and not which kind of error keeps it from being so.
        raise NotWellError(error.lines) from None
    if check and health is not Health.WELL:
        raise typer.Exit(health.exit_code)


class NotWellError(BatchAssetsError):
    """It could not be looked at, and so is not well."""

    exit_code = Health.NOT_WELL.exit_code

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self._sentences = tuple(sentences)

    @property
    def lines(self) -> Sequence[str]:
        """The sentences of the error that kept it from being looked at."""
        return self._sentences


def _watch(*, as_json: bool) -> None:
    """Look again and again; what keeps it from being seen may pass."""
    shown = console()
    with suppress(KeyboardInterrupt):
        while True:
            shown.clear()
            try:
                with shown.from_the_top(CUT):
                    _look(as_json=as_json, shown=shown)
            except BatchAssetsError as error:
                for line in error.lines:
                    errors().say(line)
            sleep(WATCH_SECONDS)


def _look(*, as_json: bool, shown: Screen | None = None) -> Health:
    """Show it once; how it is."""
    from batch_assets.store.budgets import StoredBudgets
    from batch_assets.store.readings import Abandoned
    from batch_assets.store.synchronous_requests import SynchronousRequests

    with open_database() as database:
        companies = database.queries.statistics()
        held_because = database.held_because
        stopped, under_way = stoppages(database), activity(database)
        seen = overview(database, stopped)
        synchronous = SynchronousRequests(database.engine).standing()
        given_up = Abandoned(database.engine).standing()
        is_on = database.settings.policy().synchronous.is_on
        profile = database.endpoints.profile.name
        in_doubt = database.prices_in_doubt
        allowances = database.allowances
        budgets = StoredBudgets(database.engine).uses()
        ahead = outlook(database)
    forecasts = foresee(ahead.standing, ahead.rule)
    if as_json:
        document = _document(companies, held_because)
        shown_synchronous = {"synchronous": {"is_on": is_on, **asdict(synchronous)}}
        shown_synchronous["abandoned"] = asdict(given_up)
        document["server_profile"] = profile
        document["models_with_a_price_of_0"] = in_doubt
        document["budgets"] = [document_of(one) for one in budgets]
        document["allowances"] = [asdict(one) for one in allowances]
        document["forecast"] = forecast_document(forecasts)
        whole = document | shown_synchronous | under_way.document() | stopped.document()
        print_json(seen.document() | whole)
        return seen.health
    shown = shown or console()
    seen.show(shown)
    shown.say(f"The {database.place}; batches go to the {database.server}, profile {profile}.\n")
    _show_companies(shown, companies, _BUCKETS)
    shown.say(savings(companies))
    sums = in_all(companies)
    for sentence in [
        *_unattributed(sums),
        *map(question_of_free, in_doubt),
        *_inactive(companies),
        *_left_alone(sums),
    ]:
        shown.say(sentence)
    if given_up.answers or given_up.looked_for:
        shown.say(_given_up(given_up))
    if is_on or synchronous.asked or synchronous.today_requests:
        shown.say(_synchronous(synchronous, is_on=is_on))
    limits = [one.sentence for one in budgets if one.percent >= WARNED_PERCENT]
    limits += [one.sentence for one in allowances]
    sentences = [*seen.sentences(), *under_way.sentences(), *limits, *stopped.acts_of_livedash()]
    for sentence in sentences:
        shown.say(sentence)
    show_forecasts(shown, forecasts)
    return seen.health


def _unattributed(sums: CompanyStatistics) -> list[str]:
    if not sums.unattributed_eur:
        return []
    return [
        f"Billed beside that, and with no answer that could be read: {euros(sums.unattributed_eur)}"
        " EUR, as the batches' own usage says, or estimated where it says nothing."
    ]


def _inactive(companies: Sequence[CompanyStatistics]) -> list[str]:
    """One sentence on what waits for companies that LiveDash has suspended or archived."""
    held = [one for one in companies if one.waiting and one.status not in _ACTIVE]
    if not held:
        return []
    who = listed([f"{_name(one)}: {plural(one.waiting, 'request')}" for one in held[:_NAMED]])
    more = f" and {len(held) - _NAMED:,} more" if len(held) > _NAMED else ""
    return [f"On hold in LiveDash, and sent once the company is ACTIVE there again: {who}{more}."]


def _left_alone(sums: CompanyStatistics) -> list[str]:
    said = []
    if sums.failed_elsewhere:
        said.append(
            f"Of the failed, {plural(sums.failed_elsewhere, 'request')} failed before this "
            "project came or beside it: those are left alone."
        )
    return said + left_alone(sums.follows, sums.answered_before, sums.failed_before)


def left_alone(follows: int, answered_before: int, failed_before: int) -> list[str]:
    """One sentence each on requests that are not sent although they are not finished."""
    said = []
    if follows:
        said.append(
            f"Not sent for themselves: {plural(follows, 'request')} with the question of another "
            "open one of the same session: that one is bought, and its answer is for all of them."
        )
    if answered_before:
        said.append(
            f"Not bought again: {plural(answered_before, 'request')} answered by LiveDash itself "
            "before, in spite of the status PENDING_BATCHING."
        )
    if failed_before:
        said.append(
            f"Not sent: {plural(failed_before, 'request')} at which LiveDash itself has failed "
            "before, in spite of the status PENDING_BATCHING."
        )
    return said


def in_all(companies: Sequence[CompanyStatistics]) -> CompanyStatistics:
    """The sums over all companies, as one that is called Total."""
    numbers = [field.name for field in fields(CompanyStatistics) if field.name not in _TEXTS]
    sums = {name: sum(getattr(company, name) for company in companies) for name in numbers}
    return CompanyStatistics(company_id="", name="Total", status="", **sums)


def show_results(shown: Screen, companies: Sequence[CompanyStatistics]) -> None:
    """Print what came of each company's sessions, what it cost and saved, and their sums."""
    _show_companies(shown, companies, _RESULTS)


def savings(companies: Sequence[CompanyStatistics]) -> str:
    """One sentence on the money."""
    sums = in_all(companies)
    unknown = of_unpriced(sums.unpriced) if sums.unpriced else ""
    if not sums.synchronous_cost_eur:
        return unknown or "Nothing has been spent yet."
    full = sums.synchronous_cost_eur
    known = (
        f"Spent {euros(sums.cost_eur)} EUR; at the full price it would have been "
        f"{euros(full)} EUR ({sums.saved_eur / full:.0%} saved)."
    )
    return f"{known} {unknown}".rstrip()


def _synchronous(synchronous: Standing, *, is_on: bool) -> str:
    """One sentence on what is sent synchronously."""
    return (
        f"Synchronous requests are {'on' if is_on else 'off'}: "
        f"{plural(synchronous.asked, 'request')} asked for, "
        f"{count(synchronous.today_requests)} claimed today for about "
        f"{euros(synchronous.today_cost_eur)} EUR."
    )


def _given_up(given_up: AbandonedStanding) -> str:
    """One sentence on batches that were given up."""
    brought = "brought nothing so far"
    if given_up.answers:
        cost = euros(given_up.wasted_cost_eur)
        brought = f"brought {plural(given_up.answers, 'answer')} too late: {cost} EUR are wasted"
    looked_for = plural(given_up.looked_for, "of them is", "of them are")
    return f"Batches that were given up {brought}; {looked_for} still looked for."


def _document(
    companies: Sequence[CompanyStatistics], held_because: str | None
) -> dict[str, object]:
    sums = asdict(in_all(companies))
    return {
        "companies": [asdict(company) for company in companies],
        "totals": {name: sums[name] for name in sums if name not in _TEXTS},
        "submission_held_because": held_because,
    }


def _show_companies(
    shown: Screen,
    companies: Sequence[CompanyStatistics],
    columns: Sequence[Column[CompanyStatistics]],
) -> None:
    sums = in_all(companies)
    shown.show(columns, companies, [column.cell(sums) for column in columns])
    if any(company.complete > company.sessions for company in companies):
        shown.say(
            "There are more analyses than sessions because LiveDash has asked for several of "
            "some sessions, each of another type.\n"
        )


def _name(company: CompanyStatistics) -> str:
    is_usual = company.status in _ACTIVE
    return company.name if is_usual else f"{company.name} ({company.status.lower()})"


def _failed(company: CompanyStatistics) -> str:
    return count(company.dead + company.failed_elsewhere)


_COMPANY: Column[CompanyStatistics] = Column("Company", _name)
_MONEY: Sequence[Column[CompanyStatistics]] = (
    number("Tokens", lambda one: count(one.prompt_tokens + one.completion_tokens)),
    number("EUR", lambda one: cost(one.cost_eur, one.unpriced)),
    number("Saved\nEUR", lambda one: cost(one.saved_eur, one.unpriced)),
)
_BUCKETS: Sequence[Column[CompanyStatistics]] = (
    _COMPANY,
    number("Ses-\nsions", lambda one: count(one.sessions)),
    number("Wait-\ning", lambda one: count(one.waiting)),
    number("In\nbatch", lambda one: count(one.in_batch)),
    number("Fol-\nlows", lambda one: count(one.follows), only_if_any=True),
    number("Ana-\nlyses", lambda one: count(one.complete)),
    number("Retry", lambda one: count(one.retry), only_if_any=True),
    number("Failed", _failed),
    *_MONEY,
)
_RESULTS: Sequence[Column[CompanyStatistics]] = (
    _COMPANY,
    number("Sessions", lambda one: count(one.sessions)),
    number("Analyses", lambda one: count(one.complete)),
    number("Failed", _failed),
    *_MONEY,
)
