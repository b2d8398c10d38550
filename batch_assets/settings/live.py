"""Requests that cannot wait for a batch: whether they are sent live, and how many at most."""

from batch_assets.settings.fields import DEFAULTS, MANY, Family, number, setting, whole


class Live(Family):
    """Budgets of what is sent at the full price."""

    live_retries: bool = setting("BATCH_LIVE_RETRIES", "true or false", default=False)
    live_run_max_requests: int = whole(
        "BATCH_LIVE_RUN_MAX_REQUESTS", DEFAULTS.live.run_requests, 0, 10_000
    )
    live_day_max_requests: int = whole(
        "BATCH_LIVE_DAY_MAX_REQUESTS", DEFAULTS.live.day_requests, 0, MANY
    )
    live_day_max_cost_eur: float = number(
        "BATCH_LIVE_DAY_MAX_COST_EUR", DEFAULTS.live.day_cost_eur, 0, MANY
    )
    live_lead_minutes: float = number(
        "BATCH_LIVE_LEAD_MINUTES", DEFAULTS.live.lead_seconds / 60, 0, 43_200
    )
