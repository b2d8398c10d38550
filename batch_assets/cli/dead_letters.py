"""`batch-assets dead-letters`: requests that failed for good, listed, shown and requeued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from batch_assets.cli.conventions import (
    AsJson,
    DryRun,
    OfCode,
    OfCompany,
    OfKind,
    count,
    moment,
    option,
    plural,
    print_json,
)
from batch_assets.cli.opening import open_database
from batch_assets.cli.screen import Column, console, errors, number
from batch_assets.domain.display import escaped, euros
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.lookups import (
    Attempt,
    Criteria,
    DeadLetter,
    Group,
    RequestHistory,
)

if TYPE_CHECKING:
    from batch_assets.stages.controls.requeue import RequeueReport
    from batch_assets.store.lookups import DeadLetters

OlderThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Dead for longer: 36h, 7d, or a date (UTC).")
]
NewerThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Dead since: 36h, 7d, or a date (UTC).")
]

commands = typer.Typer(
    no_args_is_help=True, help="List, read and requeue requests that failed for good."
)


@commands.command("list")
def list_letters(
    *,
    company: OfCompany = None,
    code: OfCode = None,
    kind: OfKind = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show this many.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on after this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    from batch_assets.stages.controls.criteria import Wanted, criteria_of
    from batch_assets.store.lookups import Lookups

    wanted = Wanted(
        company=company, code=code, kind=kind, older_than=older_than, newer_than=newer_than
    )
    with _store() as store:
        criteria = criteria_of(Lookups(store.engine), wanted, option)
        page = store.page(criteria, limit, _place(store, after))
    if as_json:
        print_json({"dead_letters": page.letters, "total": page.total})
        return
    shown = console()
    if page.letters:
        shown.show(_LETTER, page.letters)
    shown.say(f"{count(len(page.letters))} of {plural(page.total, 'dead letter')}.")
    if page.letters and len(page.letters) == limit:
        last = page.letters[-1].request_id
        shown.say(f"Older ones: the same with --after {last}")


@commands.command("show")
def show_letter(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's id.")],
    as_json: AsJson = False,
) -> None:
    """Show why a request is dead and what was tried."""
    with _store() as store:
        history = store.read(request_id)
    if history is None:
        raise ConfigurationError(f"No request has the id '{escaped(request_id)}'.")
    if as_json:
        print_json(asdict(history))
    else:
        _show(history)


@commands.command("requeue")
def requeue_letters(
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="These requests alone.")
    ] = None,
    *,
    company: OfCompany = None,
    code: OfCode = None,
    kind: OfKind = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    every: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    external: Annotated[
        bool,
        typer.Option("--external", help="Also what failed through LiveDash (with IDs, --company)."),
    ] = False,
    foreign: Annotated[bool, typer.Option("--foreign", hidden=True)] = False,
    retries: Annotated[
        bool,
        typer.Option("--retries", help="Also what has a retry date: the next run takes it."),
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let dead letters wait for a batch again, with all their tries."""
    from batch_assets.stages.controls.criteria import Wanted
    from batch_assets.stages.controls.requeue import requeue

    if foreign:
        errors().say("`--foreign` is called `--external`: type that.")
    wanted = Wanted(
        request_ids=request_ids or (),
        company=company,
        code=code,
        kind=kind,
        older_than=older_than,
        newer_than=newer_than,
        every=every,
        external=external or foreign,
        retries=retries,
    )
    with open_database() as database:
        report = requeue(database.engine, wanted, option, dry_run=dry_run)
    if as_json and dry_run:
        print_json({"would_requeue": report.groups, "requests": report.requests})
    elif as_json:
        print_json(asdict(report.moved))
    elif dry_run:
        _show_groups(report)
    else:
        console().say(report.sentence)


@contextmanager
def _store() -> Iterator[DeadLetters]:
    from batch_assets.store.lookups import DeadLetters

    with open_database() as database:
        yield DeadLetters(database.engine)


def _place(store: DeadLetters, request_id: str | None) -> DeadLetter | None:
    if request_id is None:
        return None
    found = store.page(Criteria(request_ids=[request_id]), 1).letters
    if not found:
        raise ConfigurationError(f"--after is '{escaped(request_id)}': that is no dead letter.")
    return found[0]


def _show(history: RequestHistory) -> None:
    shown = console()
    shown.field("Request", history.request_id)
    shown.field("Company", history.company or "deleted")
    shown.field("Status", history.status or "deleted with its session", is_prose=True)
    letter = history.dead_letter
    if letter is not None:
        shown.field("Dead", f"since {moment(letter.dead_at)}, {letter.code}", is_prose=True)
        shown.field("Reason", letter.reason, is_prose=True)
    else:
        shown.field("Dead", "no")
    if history.attempts:
        shown.say()
        shown.show(_ATTEMPT, history.attempts)
    else:
        shown.say("It was never in a batch.")


def _show_groups(report: RequeueReport) -> None:
    shown = console()
    shown.show(_GROUP, report.groups, ["Total", "", count(report.requests)])
    shown.say("Nothing was changed: leave --dry-run away to requeue these.")


def _code(group: Group) -> str:
    if group.code is None:
        return "failed through LiveDash"
    return group.code if group.bucket == "dead" else f"{group.code} (has a retry date)"


def _outcome(attempt: Attempt) -> str:
    outcome = attempt.outcome or "running"
    return outcome if attempt.counted or outcome != "failed" else "failed, not counted"


def _attempt_cost(attempt: Attempt) -> str:
    if attempt.is_unpriced:
        return "unknown"
    return euros(attempt.cost_eur) if attempt.cost_eur else "-"


def _why(attempt: Attempt) -> str:
    return ": ".join(part for part in (attempt.code, attempt.reason) if part)


def _minute(at: datetime) -> str:
    return moment(at).removesuffix(" UTC")


_LETTER: Sequence[Column[DeadLetter]] = (
    Column("Request", lambda one: one.request_id),
    Column("Company", lambda one: one.company or one.company_id),
    Column("Code", lambda one: one.code),
    Column("Dead since", lambda one: _minute(one.dead_at), "Dead since (UTC)"),
    number("Tries", lambda one: count(one.attempts)),
)
_ATTEMPT: Sequence[Column[Attempt]] = (
    Column("Batch", lambda one: one.batch_id),
    Column("When (UTC)", lambda one: _minute(one.ended_at or one.claimed_at)),
    Column("Outcome", _outcome),
    Column("Why", _why, is_prose=True),
    number("EUR", _attempt_cost),
)
_GROUP: Sequence[Column[Group]] = (
    Column("Company", lambda one: one.company or one.company_id),
    Column("Code", _code),
    number("Requests", lambda one: count(one.requests)),
)
