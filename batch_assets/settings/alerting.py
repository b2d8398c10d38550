"""From when on alerts are raised, and who is told."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from batch_assets.receivers.pagerduty import EU_EVENTS_URL, EVENTS_URL, PagerDuty
from batch_assets.receivers.receiver import Receiver
from batch_assets.receivers.webhook import Webhook
from batch_assets.settings.fields import (
    DAY,
    MANY,
    WEB_ADDRESS,
    Allowed,
    Family,
    HostNames,
    SecretWebAddress,
    WebAddress,
    number,
    setting,
    whole,
)


def _check_routing_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch("[A-Za-z0-9]{32}", key.get_secret_value()):
        raise ValueError
    return key


RoutingKey = Annotated[SecretStr, AfterValidator(_check_routing_key)]


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
        "How many recent dead letters there may be.",
    )
    alert_dead_letters: int = setting(
        "BATCH_ALERT_THRESHOLD_DEAD_LETTERS",
        1_000,
        whole(1, MANY),
        "How many dead letters there may be in all.",
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
    alert_pagerduty_routing_key: RoutingKey | None = setting(
        "BATCH_ALERT_PAGERDUTY_ROUTING_KEY",
        None,
        Allowed("the 32 letters and digits of an integration's key"),
        "Who is told by PagerDuty's Events API v2: an incident is triggered when an alert is "
        "raised, and resolved with it. It is a secret, and is shown nowhere. See "
        "[alerts.md](alerts.md#pagerduty).",
    )
    alert_pagerduty_url: WebAddress = setting(
        "BATCH_ALERT_PAGERDUTY_URL",
        EVENTS_URL,
        WEB_ADDRESS,
        f"Where these events go; in the EU service region {EU_EVENTS_URL}.",
    )
    ui_url: WebAddress | None = setting(
        "BATCH_UI_URL",
        None,
        WEB_ADDRESS,
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

    def receivers(self) -> list[Receiver]:
        """The receivers of alerts that are configured, of all that there are: a line for each."""
        url, key = self.alert_webhook_url, self.alert_pagerduty_routing_key
        configured = (
            Webhook(url.get_secret_value()) if url else None,
            PagerDuty(key.get_secret_value(), url=self.alert_pagerduty_url) if key else None,
        )
        return [receiver for receiver in configured if receiver is not None]
