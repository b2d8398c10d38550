"""What is coming, asked by people: the database's standing, and by which rules things are sent."""

from dataclasses import dataclass

from sqlalchemy import Engine

from batch_assets.domain.forecasts import SendingRule, Standing
from batch_assets.domain.policy import Policy
from batch_assets.openai_batch.batch_parameters import completion_window, seconds_of_window
from batch_assets.openai_batch.profiles import Profile
from batch_assets.store.forecasts import Standings


@dataclass(frozen=True, slots=True)
class Outlook:
    """What `domain/forecasts.py` makes forecasts of."""

    standing: Standing
    rule: SendingRule


def look_ahead(engine: Engine, policy: Policy, profile: Profile) -> Outlook:
    """Read what forecasts are made of, under these rules and on this kind of server."""
    window = completion_window(profile.completion_windows, policy.batch_timeout_seconds)
    rule = SendingRule(
        due=policy.due_rule,
        max_batch_requests=profile.bound(policy).max_batch_requests,
        window_seconds=seconds_of_window(window),
    )
    return Outlook(Standings(engine).read(), rule)
