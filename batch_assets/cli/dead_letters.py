"""`batch-assets dead-letters`: list, show and requeue."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batch_assets.analysis.display import escaped
from batch_assets.cli.criteria import criteria_of
from batch_assets.cli.opening import open_database
from batch_assets.cli.output import console, count, euros, plural, print_json, table, total
from batch_assets.domain.dead_letters import (
    Attempt,
    Criteria,
    DeadLetter,
    Group,
    RequestHistory,
    Requeued,
)
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.store.dead_letters import DeadLetters

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def list_letters(given: Mapping[str, Any], limit: int, after: str | None, *, as_json: bool) -> None:
    """Print the newest dead letters, and how many there are of that kind in all."""
    with _store() as store:
        page = store.page(criteria_of(store, given), limit, _place(store, after))
    if as_json:
        letters = [_plain(letter) for letter in page.letters]
        print_json({"dead_letters": letters, "total": page.total})
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
        letter = history.dead_letter
        print_json(
            {
                "request_id": history.request_id,
                "status": history.status,
                "company": history.company,
                "dead_letter": _plain(letter) if letter else None,
                "attempts": [_plain(attempt) for attempt in history.attempts],
            }
        )
    else:
        _show(history)


def requeue(
    given: Mapping[str, Any], *, every: bool, foreign: bool, dry_run: bool, as_json: bool
) -> None:
    """Let the chosen dead letters wait again, or say with `dry_run` which would."""
    with _store() as store:
        criteria = criteria_of(store, given)
        _require_sense(criteria, every=every, foreign=foreign)
        _require_known(store, criteria, foreign=foreign)
        if dry_run:
            groups = store.groups(criteria)
            groups += store.foreign_groups(criteria) if foreign else []
            _show_groups(groups, as_json=as_json)
            return
        moved = store.requeue(criteria, foreign=foreign)
    if as_json:
        print_json(asdict(moved))
    else:
        _show_requeued(moved)


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


def _require_sense(criteria: Criteria, *, every: bool, foreign: bool) -> None:
    """Refuse to move everything by an oversight."""
    if criteria.are_none and not every:
        raise ConfigurationError(
            "Which ones? Give ids, --company, --code, --kind, --older-than or --newer-than, or "
            "--all for all dead letters."
        )
    if every and not criteria.are_none:
        raise ConfigurationError("--all is all dead letters: leave it or the criteria away.")
    if foreign and criteria.request_ids is None and criteria.company_id is None:
        raise ConfigurationError("--foreign needs ids or --company.")
    if foreign and (criteria.code or criteria.kind):
        raise ConfigurationError(
            "--foreign cannot be chosen by --code or --kind: only our own failures have them."
        )


def _require_known(store: DeadLetters, criteria: Criteria, *, foreign: bool) -> None:
    """Refuse ids that cannot be requeued, before anything is moved."""
    wrong = store.not_to_requeue(criteria.request_ids or [], foreign=foreign)
    if not wrong:
        return
    request_id, state = wrong[0]
    others = f" (and {len(wrong) - 1} more ids like it)" if len(wrong) > 1 else ""
    if not state:
        raise ConfigurationError(f"No request has the id '{escaped(request_id)}'{others}.")
    if state == "retry":
        raise BatchAssetsError(f"Request {request_id}{others} is going to be retried by itself.")
    if state == "PROCESSING_FAILED":
        raise BatchAssetsError(
            f"Request {request_id}{others} failed through LiveDash itself: --foreign includes it."
        )
    raise BatchAssetsError(f"Request {request_id}{others} is no dead letter: it is {state}.")


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


def _show_groups(groups: Sequence[Group], *, as_json: bool) -> None:
    requests = sum(group.requests for group in groups)
    if as_json:
        print_json({"would_requeue": [asdict(group) for group in groups], "requests": requests})
        return
    made = table(["Company", "Code"], ["Requests"])
    for group in groups:
        name = escaped(group.company or group.company_id)
        made.add_row(name, group.code or "failed through LiveDash", count(group.requests))
    made.add_section()
    made.add_row(*total("Total", "", count(requests)))
    shown = console()
    shown.print(made)
    shown.print("Nothing was changed: leave --dry-run away to requeue these.")


def _show_requeued(moved: Requeued) -> None:
    shown = console()
    shown.print(f"Put back among the waiting: {plural(moved.requeued + moved.foreign, 'request')}.")
    if moved.foreign:
        shown.print(f"Of these, {count(moved.foreign)} had failed through LiveDash itself.")
    if moved.overtaken:
        shown.print(
            f"{plural(moved.overtaken, 'dead letter')} had been changed or deleted in LiveDash: "
            "only our entry was removed.",
            soft_wrap=True,
        )


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


def _plain(record: "DataclassInstance") -> dict[str, Any]:
    """A record for JSON, its moments as text."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(record).items()
    }
