"""`batch-assets dead-letters`: list, show and requeue."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

from batch_assets.analysis.display import escaped
from batch_assets.cli.opening import open_database
from batch_assets.cli.output import console, count, euros, option, plural, print_json, table, total
from batch_assets.domain.dead_letters import (
    Attempt,
    Criteria,
    DeadLetter,
    Group,
    RequestHistory,
)
from batch_assets.domain.errors import ConfigurationError
from batch_assets.stages.controls.criteria import Wanted, criteria_of
from batch_assets.stages.controls.requeue import RequeueReport, requeue
from batch_assets.store.dead_letters import DeadLetters
from batch_assets.store.lookups import Lookups


def list_letters(given: Mapping[str, Any], limit: int, after: str | None, *, as_json: bool) -> None:
    """Print the newest dead letters, and how many there are of that kind in all."""
    with _store() as store:
        criteria = criteria_of(Lookups(store.engine), Wanted(**given), option)
        page = store.page(criteria, limit, _place(store, after))
    if as_json:
        print_json({"dead_letters": page.letters, "total": page.total})
        return
    shown = console()
    made = table(["Request", "Company", "Code", "Dead since"], ["Tries"])
    for letter in page.letters:
        made.add_row(
            letter.request_id,
            _name(letter),
            letter.code,
            _minute(letter.dead_at),
            count(letter.attempts),
        )
    if page.letters:
        shown.print(made)
    shown.print(f"{len(page.letters)} of {plural(page.total, 'dead letter')}.")
    if page.letters and len(page.letters) == limit:
        last = page.letters[-1].request_id
        shown.print(f"Older ones: the same with --after {last}", soft_wrap=True)


def show_letter(request_id: str, *, as_json: bool) -> None:
    """Print why a request is dead, and every attempt at it."""
    with _store() as store:
        history = store.read(request_id)
    if history is None:
        raise ConfigurationError(f"No request has the id '{escaped(request_id)}'.")
    if as_json:
        print_json(asdict(history))
    else:
        _show(history)


def requeue_letters(given: Mapping[str, Any], *, dry_run: bool, as_json: bool) -> None:
    """Let the chosen requests wait again, or say with `dry_run` which would."""
    with open_database() as database:
        report = requeue(database.engine, Wanted(**given), option, dry_run=dry_run)
    if as_json and dry_run:
        print_json({"would_requeue": report.groups, "requests": report.requests})
    elif as_json:
        print_json(asdict(report.moved))
    elif dry_run:
        _show_groups(report)
    else:
        console().print(report.sentence, soft_wrap=True)


@contextmanager
def _store() -> Iterator[DeadLetters]:
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
    shown.print(f"Request  {history.request_id}", soft_wrap=True)
    shown.print(f"Company  {escaped(history.company or 'deleted')}", soft_wrap=True)
    shown.print(f"Status   {history.status or 'deleted with its session'}")
    letter = history.dead_letter
    if letter is not None:
        shown.print(f"Dead     since {_minute(letter.dead_at)} UTC, {letter.code}")
        shown.print(f"Reason   {escaped(letter.reason)}", soft_wrap=True)
    else:
        shown.print("Dead     no")
    if not history.attempts:
        shown.print("It was never in a batch.")
        return
    made = table(["Batch", "When (UTC)", "Outcome", "Why"], ["EUR"])
    for attempt in history.attempts:
        when = _minute(attempt.ended_at or attempt.claimed_at)
        made.add_row(
            attempt.batch_id, when, _outcome(attempt), _why(attempt), euros(attempt.cost_eur)
        )
    shown.print()
    shown.print(made)


def _show_groups(report: RequeueReport) -> None:
    made = table(["Company", "Code"], ["Requests"])
    for group in report.groups:
        name = escaped(group.company or group.company_id)
        made.add_row(name, _code(group), count(group.requests))
    made.add_section()
    made.add_row(*total("Total", "", count(report.requests)))
    shown = console()
    shown.print(made)
    shown.print("Nothing was changed: leave --dry-run away to requeue these.")


def _code(group: Group) -> str:
    if group.code is None:
        return "failed through LiveDash"
    return group.code if group.bucket == "dead" else f"{group.code} (has a retry date)"


def _outcome(attempt: Attempt) -> str:
    outcome = attempt.outcome or "running"
    return outcome if attempt.counted or outcome != "failed" else "failed, not counted"


def _why(attempt: Attempt) -> str:
    said = [attempt.code, attempt.reason]
    return escaped(": ".join(part for part in said if part))


def _name(letter: DeadLetter) -> str:
    return escaped(letter.company or letter.company_id)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
