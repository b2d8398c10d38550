"""`batch-assets synchronous`: failed requests are answered without a batch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from batch_assets.cli.conventions import (
    AsJson,
    DryRun,
    OfCode,
    OfCompany,
    OfKind,
    Yes,
    confirmed,
    count,
    option,
    plural,
    print_json,
)
from batch_assets.cli.opening import OpenDatabase, open_database, open_pipeline, who
from batch_assets.cli.screen import Column, console, number
from batch_assets.domain.display import euros
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.domain.lookups import Criteria
from batch_assets.domain.policy import SynchronousPolicy, Tier

if TYPE_CHECKING:
    from batch_assets.stages.synchronous_requests import Offer, Quote
    from batch_assets.store.synchronous_requests import SynchronousRequests

FailedBefore = Annotated[
    str | None, typer.Option(metavar="AGE", help="Failed before: 36h, 7d, or a date (UTC).")
]
FailedSince = Annotated[
    str | None, typer.Option(metavar="AGE", help="Failed since: 36h, 7d, or a date (UTC).")
]

commands = typer.Typer()

MOST_AT_A_TIME: Final = 10_000

_QUOTE: Sequence[Column[Quote]] = (
    Column("Company", lambda one: one.company),
    Column("Code", lambda one: one.code or "waiting"),
    number("Requests", lambda one: count(one.requests)),
    number("EUR syn-\nchronous", lambda one: euros(one.cost_eur)),
    number("EUR in a batch", lambda one: euros(one.batch_cost_eur)),
)


@commands.command()
def synchronous(
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="These, failed or waiting.")
    ] = None,
    *,
    company: OfCompany = None,
    code: OfCode = None,
    kind: OfKind = None,
    older_than: FailedBefore = None,
    newer_than: FailedSince = None,
    every: Annotated[bool, typer.Option("--all", help="All that have failed.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Ask for failed requests to be sent synchronously, by flex or at twice the price."""
    from batch_assets.stages.controls.criteria import Wanted, criteria_of, require_sense
    from batch_assets.store.lookups import Lookups
    from batch_assets.store.synchronous_requests import SynchronousRequests

    wanted = Wanted(
        request_ids=request_ids or (),
        company=company,
        code=code,
        kind=kind,
        older_than=older_than,
        newer_than=newer_than,
        every=every,
    )
    with open_database() as database:
        policy = database.settings.policy().synchronous
        if not (policy.is_on or dry_run):
            raise ConfigurationError(
                "Synchronous requests are off, since they cost up to twice as much as a batch: set "
                "BATCH_SYNCHRONOUS_RETRIES=true here and where the job runs, or look with "
                "--dry-run."
            )
        store = SynchronousRequests(database.engine)
        criteria = criteria_of(Lookups(database.engine), wanted, option)
        require_sense(criteria, wanted, option, "all that have failed")
        _require_known(store, criteria)
        offer = _offer(database, store, criteria)
        if not as_json:
            _show(offer, policy)
        if dry_run:
            _end_dry(offer, policy, as_json=as_json)
            return
        asked = 0
        if offer.candidates:
            if not yes and not _asked(as_json=as_json):
                console().say("Nothing was changed.")
                raise typer.Exit(1)
            asked = store.ask(offer.candidates, who())
    if as_json:
        print_json({"asked": asked, **_document(offer)})
    elif offer.candidates:
        _show_asked(asked, len(offer.candidates) - asked, policy)


def _offer(database: OpenDatabase, store: SynchronousRequests, criteria: Criteria) -> Offer:
    from batch_assets.stages.synchronous_requests import offer_of

    choices = store.choose(criteria, MOST_AT_A_TIME + 1)
    if len(choices) > MOST_AT_A_TIME:
        raise ConfigurationError(
            f"These are more than {count(MOST_AT_A_TIME)} requests: choose fewer at a time."
        )
    with open_pipeline(database, "synchronous") as pipeline:
        return offer_of(pipeline, pipeline.read_snapshot(), choices)


def _require_known(store: SynchronousRequests, criteria: Criteria) -> None:
    """Refuse ids that cannot be sent, before anything is asked for."""
    from batch_assets.stages.controls.criteria import first_wrong

    wrong = store.not_to_send(criteria.request_ids or [])
    if not wrong:
        return
    state, which = first_wrong(wrong)
    if state == "inactive":
        raise BatchAssetsError(f"{which} is of a company that is not active.")
    if state == "PROCESSING_FAILED":
        raise BatchAssetsError(
            f"{which} failed through LiveDash itself: let it wait with "
            "`batch-assets dead-letters requeue ID --external` first."
        )
    raise BatchAssetsError(f"{which} cannot be sent synchronously: it is {state}.")


def _asked(*, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise ConfigurationError("Synchronous requests cost money: add --yes to ask for them.")
    return confirmed("Ask for these to be sent synchronously?")


def _show(offer: Offer, policy: SynchronousPolicy) -> None:
    shown = console()
    if offer.quotes:
        costs = (euros(offer.cost_eur), euros(offer.batch_cost_eur))
        shown.show(_QUOTE, offer.quotes, ["Total", "", count(len(offer.candidates)), *costs])
        shown.say(f"Costs are estimates. {_of_tiers(offer, policy)}")
    else:
        shown.say("Nothing that fits can be sent synchronously.")
    for reason, requests in offer.refused.items():
        shown.say(f"Cannot be sent: {plural(requests, 'request')} ({reason})")


def _of_tiers(offer: Offer, policy: SynchronousPolicy) -> str:
    """What the price is at which these go."""
    if not offer.flex_requests:
        return "Sent synchronously, a request costs what two cost in a batch."
    requests = plural(offer.flex_requests, "request goes", "requests go")
    then = "at the full price, which is twice that" if Tier.FULL in policy.tiers else "not at all"
    others = len(offer.candidates) - offer.flex_requests
    return (
        f"{requests} by flex, for what a batch costs; after {policy.lead_seconds / 60:g} minutes "
        f"without room {then}." + (" The others cost what two cost in a batch." if others else "")
    )


def _end_dry(offer: Offer, policy: SynchronousPolicy, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {"would_ask": offer.quotes, "synchronous_is_on": policy.is_on, **_document(offer)}
        )
    elif not policy.is_on:
        console().say(
            "Synchronous requests are off (BATCH_SYNCHRONOUS_RETRIES): nothing can be asked for "
            "now."
        )
    elif offer.candidates:
        console().say("Nothing was asked for: leave --dry-run away to do so.")


def _document(offer: Offer) -> dict[str, Any]:
    return {
        "requests": len(offer.candidates),
        "flex_requests": offer.flex_requests,
        "cost_eur": offer.cost_eur,
        "batch_cost_eur": offer.batch_cost_eur,
        "refused": dict(offer.refused),
    }


def _show_asked(asked: int, before: int, policy: SynchronousPolicy) -> None:
    shown = console()
    shown.say(f"Asked for: {plural(asked, 'request')}.")
    if before:
        shown.say(f"{plural(before, 'request')} had been asked for before.")
    shown.say(
        f"The next runs send them, at most {count(policy.run_requests)} in a run and "
        f"{count(policy.day_requests)} or {euros(policy.day_cost_eur)} EUR in a day (UTC)."
    )
