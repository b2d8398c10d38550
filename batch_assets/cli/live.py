"""`batch-assets live`."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from batch_assets.cli.opening import OpenDatabase, open_database, open_pipeline, who
from batch_assets.cli.output import (
    Column,
    confirmed,
    console,
    count,
    euros,
    number,
    option,
    plural,
    print_json,
)
from batch_assets.domain.dead_letters import Criteria
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.domain.policy import LivePolicy
from batch_assets.stages.controls.criteria import Wanted, criteria_of, first_wrong, require_sense
from batch_assets.stages.synchronous_requests import Offer, Quote, offer_of
from batch_assets.store.lookups import Lookups
from batch_assets.store.synchronous_requests import SynchronousRequests

MOST_AT_A_TIME: Final = 10_000

_QUOTE: Sequence[Column[Quote]] = (
    Column("Company", lambda one: one.company),
    Column("Code", lambda one: one.code or "waiting"),
    number("Requests", lambda one: count(one.requests)),
    number("EUR live", lambda one: euros(one.cost_eur)),
    number("EUR in a batch", lambda one: euros(one.batch_cost_eur)),
)


def ask(given: Mapping[str, Any], *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Ask for requests to be sent live, after saying what that costs; or only say it."""
    with open_database() as database:
        live = database.settings.policy().live
        if not (live.is_on or dry_run):
            raise ConfigurationError(
                "Live calls are off, since they cost twice as much as a batch: set "
                "BATCH_SYNCHRONOUS_RETRIES=true here and where the job runs, or look with "
                "--dry-run."
            )
        store = SynchronousRequests(database.engine)
        wanted = Wanted(**given)
        criteria = criteria_of(Lookups(database.engine), wanted, option)
        require_sense(criteria, wanted, option, "all that have failed")
        _require_known(store, criteria)
        offer = _offer(database, store, criteria)
        if not as_json:
            _show(offer)
        if dry_run:
            _end_dry(offer, live, as_json=as_json)
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
        _show_asked(asked, len(offer.candidates) - asked, live)


def _offer(database: OpenDatabase, store: SynchronousRequests, criteria: Criteria) -> Offer:
    choices = store.choose(criteria, MOST_AT_A_TIME + 1)
    if len(choices) > MOST_AT_A_TIME:
        raise ConfigurationError(
            f"These are more than {count(MOST_AT_A_TIME)} requests: choose fewer at a time."
        )
    with open_pipeline(database, "live") as pipeline:
        return offer_of(pipeline, choices)


def _require_known(store: SynchronousRequests, criteria: Criteria) -> None:
    """Refuse ids that cannot be sent, before anything is asked for."""
    wrong = store.not_to_send(criteria.request_ids or [])
    if not wrong:
        return
    state, which = first_wrong(wrong)
    if state == "inactive":
        raise BatchAssetsError(f"{which} is of a company that is not active.")
    if state == "PROCESSING_FAILED":
        raise BatchAssetsError(
            f"{which} failed through LiveDash itself: let it wait with "
            "`batch-assets dead-letters requeue ID --foreign` first."
        )
    raise BatchAssetsError(f"{which} cannot be sent live: it is {state}.")


def _asked(*, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise ConfigurationError("Sending live costs money: add --yes to ask for it.")
    return confirmed("Ask for these to be sent live?")


def _show(offer: Offer) -> None:
    shown = console()
    if offer.quotes:
        costs = (euros(offer.cost_eur), euros(offer.batch_cost_eur))
        shown.show(_QUOTE, offer.quotes, ["Total", "", count(len(offer.candidates)), *costs])
        shown.say("Costs are estimates. Live, a request costs what two cost in a batch.")
    else:
        shown.say("Nothing that fits can be sent live.")
    for reason, requests in offer.refused.items():
        shown.say(f"Cannot be sent: {plural(requests, 'request')} ({reason})")


def _end_dry(offer: Offer, live: LivePolicy, *, as_json: bool) -> None:
    if as_json:
        print_json({"would_ask": offer.quotes, "live_is_on": live.is_on, **_document(offer)})
    elif not live.is_on:
        console().say(
            "Live calls are off (BATCH_SYNCHRONOUS_RETRIES): nothing can be asked for now."
        )
    elif offer.candidates:
        console().say("Nothing was asked for: leave --dry-run away to do so.")


def _document(offer: Offer) -> dict[str, Any]:
    return {
        "requests": len(offer.candidates),
        "cost_eur": offer.cost_eur,
        "batch_cost_eur": offer.batch_cost_eur,
        "refused": dict(offer.refused),
    }


def _show_asked(asked: int, before: int, live: LivePolicy) -> None:
    shown = console()
    shown.say(f"Asked for: {plural(asked, 'request')}.")
    if before:
        shown.say(f"{plural(before, 'request')} had been asked for before.")
    shown.say(
        f"The next runs send them, at most {count(live.run_requests)} in a run and "
        f"{count(live.day_requests)} or {euros(live.day_cost_eur)} EUR in a day (UTC)."
    )
