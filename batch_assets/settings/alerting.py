"""From when on alerts are raised, and who is told."""

from urllib.parse import urlsplit

from batch_assets.settings.fields import (
    DAY,
    MANY,
    WEB_ADDRESS,
    Allowed,
    Family,
    HostNames,
    SecretWebAddress,
    matching,
    number,
    setting,
    whole,
)


class Alerting(Family):
    """The thresholds and the ways to the people who are told."""

    alert_window_minutes: float = setting(
        "BATCH_ALERT_WINDOW_MINUTES",
        60,
        number(1, 1_440),
        "What counts as recent for the alerts; [alerts.md](alerts.md) explains them and their "
        "thresholds.",
    )
    alert_min_requests: int = setting(
        "BATCH_ALERT_MIN_REQUESTS",
        20,
        whole(1, MANY),
        "A rate over fewer recent requests, operations or lookups says nothing.",
    )
    alert_error_rate: float = setting(
        "BATCH_ALERT_THRESHOLD_ERROR_RATE",
        10,
        number(0, 100),
        "Percent of the recently answered requests that may have failed.",
    )
    alert_processing_time: float = setting(
        "BATCH_ALERT_THRESHOLD_PROCESSING_TIME",
        3_600,
        number(1, 30 * DAY),
        "Seconds that a batch may be on the server, unless nearly all batches of the last day have "
        "taken longer.",
    )
    alert_requests_per_second: float = setting(
        "BATCH_ALERT_THRESHOLD_REQUESTS_PER_SECOND",
        1,
        number(0, 1_000_000),
        "How many requests must be submitted or read in a second of work.",
    )
    alert_lookup_hit_rate: float = setting(
        "BATCH_ALERT_THRESHOLD_LOOKUP_HIT_RATE",
        95,
        number(0, 100),
        "Percent of the last day's lookups of the active companies that must not need a query.",
    )
    alert_fallback_rate: float = setting(
        "BATCH_ALERT_THRESHOLD_FALLBACK_RATE",
        5,
        number(0, 100),
        "Percent of the recent database operations that the original may have had to do again.",
    )
    alert_new_dead_letters: int = setting(
        "BATCH_ALERT_THRESHOLD_NEW_DEAD_LETTERS",
        10,
        whole(1, 9_999),
        "How many recent dead letters there may be,",
    )
    alert_dead_letters: int = setting(
        "BATCH_ALERT_THRESHOLD_DEAD_LETTERS", 1_000, whole(1, MANY), "and how many in all."
    )
    alert_day_cost_eur: float | None = setting(
        "BATCH_ALERT_THRESHOLD_DAY_COST_EUR",
        None,
        number(0, MANY),
        "What the answers that are read in a UTC day may cost; without it, there is no such alert.",
    )
    alert_overdue_minutes: float = setting(
        "BATCH_ALERT_THRESHOLD_OVERDUE_MINUTES",
        60,
        number(1, 43_200),
        "How long a request may wait beyond `BATCH_MAX_WAIT_MINUTES`.",
    )
    alert_webhook_url: SecretWebAddress | None = setting(
        "BATCH_ALERT_WEBHOOK_URL",
        None,
        WEB_ADDRESS,
        "Who is told when an alert is raised or resolved: one POST for each change. It may hold a "
        "token, and is shown nowhere.",
    )
    ui_url: str | None = setting(
        "BATCH_UI_URL",
        None,
        matching(WEB_ADDRESS.text, r"^https?://\S+$"),
        "Where people find Dagster's UI, for links to runs.",
    )
    ui_hosts: HostNames | None = setting(
        "BATCH_UI_HOSTS",
        None,
        Allowed("names such as dagster.example.com,10.0.0.5"),
        "Further names by which the UI may be called, without a port; that of `BATCH_UI_URL` and "
        "those of its own machine are taken anyway. See [ui_access.md](ui_access.md).",
    )

    @property
    def ui_names(self) -> frozenset[str]:
        """The names by which the UI is called from elsewhere."""
        host = urlsplit(self.ui_url or "").hostname
        return frozenset({*(self.ui_hosts or ()), *([host] if host else [])})
