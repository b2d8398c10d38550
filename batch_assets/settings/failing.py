"""What becomes of failures: retries, breakers, pauses, leases, and what is kept of all that."""

from batch_assets.settings.fields import DAY, DEFAULTS, Family, number, whole


class Failing(Family):
    """How patient runs are, with requests, batches, the API and each other."""

    max_attempts: int = whole("BATCH_MAX_ATTEMPTS", DEFAULTS.max_attempts, 1, 100)
    quarantine_submissions: int = whole(
        "BATCH_QUARANTINE_SUBMISSIONS", DEFAULTS.quarantine_submissions, 0, 1_000
    )
    retry_base_seconds: float = number(
        "BATCH_RETRY_BASE_SECONDS", DEFAULTS.retry_base_seconds, 0, DAY
    )
    retry_max_seconds: float = number(
        "BATCH_RETRY_MAX_SECONDS", DEFAULTS.retry_max_seconds, 0, 7 * DAY
    )
    breaker_failures: int = whole("BATCH_BREAKER_FAILURES", DEFAULTS.breaker_failures, 1, 1_000)
    breaker_seconds: float = number(
        "BATCH_BREAKER_SECONDS", DEFAULTS.breaker_seconds, 0, DEFAULTS.breaker_max_seconds
    )
    pause_after_failed_runs: int = whole("BATCH_PAUSE_AFTER_FAILED_RUNS", 5, 1, 100)
    pause_minutes: float = number("BATCH_PAUSE_MINUTES", 30, 0, 1_440)
    monitoring_retention_days: int = whole("BATCH_MONITORING_RETENTION_DAYS", 30, 1, 3_650)

    lease_seconds: float = number("BATCH_LEASE_SECONDS", DEFAULTS.lease_seconds, 1, DAY)
    batch_timeout_hours: float = number(
        "BATCH_TIMEOUT_HOURS", DEFAULTS.batch_timeout_seconds / 3_600, 0.01, 720
    )
    longest_wait_days: float = number(
        "BATCH_LONGEST_WAIT_DAYS", DEFAULTS.longest_wait_seconds / DAY, 0.01, 365
    )
    reading_grace_seconds: float = number(
        "BATCH_READING_GRACE_SECONDS", DEFAULTS.reading_grace_seconds, 0, DAY
    )
    stuck_hours: float = number("BATCH_STUCK_HOURS", DEFAULTS.stuck_seconds / 3_600, 0, 720)
    absence_grace_seconds: float = number(
        "BATCH_ABSENCE_GRACE_SECONDS", DEFAULTS.absence_grace_seconds, 0, DAY
    )
