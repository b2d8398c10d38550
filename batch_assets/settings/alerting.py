"""From when on alerts are raised, and who is told."""

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from batch_assets.domain.alerts.records import Limits
from batch_assets.settings.fields import DAY, MANY, Family, HostNames, number, setting, whole

_LIMITS: Final = Limits()


def _check_webhook(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().lower().startswith(("http://", "https://")):
        raise ValueError
    return url


WebhookUrl = Annotated[SecretStr, AfterValidator(_check_webhook)]


class Alerting(Family):
    """The defaults are those of `Limits`."""

    alert_window_minutes: float = number(
        "BATCH_ALERT_WINDOW_MINUTES", _LIMITS.window_minutes, 1, 1_440
    )
    alert_min_requests: int = whole("BATCH_ALERT_MIN_REQUESTS", _LIMITS.min_requests, 1, MANY)
    alert_error_rate: float = number(
        "BATCH_ALERT_THRESHOLD_ERROR_RATE", _LIMITS.error_rate_percent, 0, 100
    )
    alert_processing_time: float = number(
        "BATCH_ALERT_THRESHOLD_PROCESSING_TIME", _LIMITS.batch_age_seconds, 1, 30 * DAY
    )
    alert_requests_per_second: float = number(
        "BATCH_ALERT_THRESHOLD_REQUESTS_PER_SECOND", _LIMITS.requests_per_second, 0, 1_000_000
    )
    alert_lookup_hit_rate: float = number(
        "BATCH_ALERT_THRESHOLD_LOOKUP_HIT_RATE", _LIMITS.lookup_hit_rate_percent, 0, 100
    )
    alert_fallback_rate: float = number(
        "BATCH_ALERT_THRESHOLD_FALLBACK_RATE", _LIMITS.fallback_rate_percent, 0, 100
    )
    alert_new_dead_letters: int = whole(
        "BATCH_ALERT_THRESHOLD_NEW_DEAD_LETTERS", _LIMITS.new_dead_letters, 1, 9_999
    )
    alert_dead_letters: int = whole(
        "BATCH_ALERT_THRESHOLD_DEAD_LETTERS", _LIMITS.dead_letters, 1, MANY
    )
    alert_day_cost_eur: float | None = number(
        "BATCH_ALERT_THRESHOLD_DAY_COST_EUR", _LIMITS.day_cost_eur, 0, MANY
    )
    alert_overdue_minutes: float = number(
        "BATCH_ALERT_THRESHOLD_OVERDUE_MINUTES", _LIMITS.overdue_seconds / 60, 1, 43_200
    )
    alert_webhook_url: WebhookUrl | None = setting(
        "BATCH_ALERT_WEBHOOK_URL", "a URL http://… or https://…"
    )
    ui_url: str | None = setting(
        "BATCH_UI_URL", "a URL http://… or https://…", pattern=r"^https?://\S+$"
    )
    ui_hosts: HostNames | None = setting(
        "BATCH_UI_HOSTS", "names such as dagster.example.com,10.0.0.5"
    )

    @property
    def ui_names(self) -> frozenset[str]:
        """The names by which the UI is called from elsewhere."""
        host = urlsplit(self.ui_url or "").hostname
        return frozenset({*(self.ui_hosts or ()), *([host] if host else [])})
