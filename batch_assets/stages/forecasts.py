"""What is coming, asked by people: the database's standing, and by which rules things are sent."""

from collections import defaultdict
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.forecasts import RequestCosts, SendingRule, Standing
from batch_assets.domain.packing import Rejection, Terms, size_up
from batch_assets.domain.policy import Policy
from batch_assets.openai_batch.batch_parameters import completion_window, seconds_of_window
from batch_assets.openai_batch.profiles import Profile
from batch_assets.stages.circuit_breakers import hold_of
from batch_assets.stages.pipeline import prices_of
from batch_assets.stages.plan import terms_of
from batch_assets.store.forecasts import Standings
from batch_assets.store.one_statement import OneStatementQueries
from batch_assets.store.registry import Registry, WorkSnapshot


@dataclass(frozen=True, slots=True)
class Outlook:
    """What `domain/forecasts.py` makes forecasts of."""

    standing: Standing
    rule: SendingRule


def look_ahead(engine: Engine, policy: Policy, profile: Profile) -> Outlook:
    """Read what forecasts are made of, under these rules and on this kind of server."""
    bound = profile.bound(policy)
    snapshot = Registry(engine, policy.external_quiet_seconds).snapshot()
    window = completion_window(profile.completion_windows, policy.batch_timeout_seconds)
    rule = SendingRule(
        due=policy.due_rule,
        max_batch_requests=bound.max_batch_requests,
        window_seconds=seconds_of_window(window),
        caps=policy.caps,
        held_because=_held_because(profile, snapshot),
    )
    prices = prices_of(OneStatementQueries(engine).model_prices(), bound, profile)
    terms = terms_of(bound, prices, snapshot, account="", account_name=DEFAULT_ACCOUNT)
    standings = Standings(engine)
    return Outlook(_estimated(standings, standings.read(), terms), rule)


def _held_because(profile: Profile, snapshot: WorkSnapshot) -> str | None:
    """Why nothing is sent, unless it passes by itself within minutes."""
    installation = snapshot.installation
    if installation.drain is not None:
        return "Submissions are stopped: it is drained."
    hold = hold_of(profile, installation)
    return None if hold is None else hold.reason


def _estimated(standings: Standings, standing: Standing, terms: Terms) -> Standing:
    """The same, with the estimate of a claim where nobody knows what such requests have cost.

    Those of a long backlog that were not looked at cost what the others of company and model do.
    """
    costs = RequestCosts(standing.settled)
    unknown = {
        one.model
        for one in standing.waiting
        if costs.expect(one.company_id, one.model, one.requests) is None
        and terms.price_of(one.model) is not None
    }
    if not unknown:
        return standing
    sums: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for candidate, requests in standings.sizes(sorted(unknown)):
        size = size_up(candidate, terms)
        if not isinstance(size, Rejection):
            of = sums[candidate.company_id, candidate.model]
            of[0] += requests
            of[1] += requests * (size.cost_eur or 0.0)
    waiting = [
        replace(one, estimate_eur=one.requests * eur / sized) if sized else one
        for one in standing.waiting
        for sized, eur in [sums.get((one.company_id, one.model), (0.0, 0.0))]
    ]
    return replace(standing, waiting=waiting)
