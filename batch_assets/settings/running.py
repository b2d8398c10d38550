"""When runs start, how they work on the database, and how much one does."""

from typing import Literal

from batch_assets.settings.fields import DAY, DEFAULTS, MANY, Family, number, setting, whole


class Running(Family):
    """For every run, whatever there is to do."""

    schedules_enabled: bool = setting("BATCH_SCHEDULES_ENABLED", "true or false", default=True)
    schedule: str = setting(
        "BATCH_SCHEDULE", "a cron expression with five fields", default="*/2 * * * *"
    )
    backlog_check_seconds: int = whole("BATCH_BACKLOG_CHECK_SECONDS", 30, 5, 3_600)
    completion_check_seconds: int = whole("BATCH_COMPLETION_CHECK_SECONDS", 60, 5, 3_600)
    optimization: bool | Literal["optimized", "auto", "original"] = setting(
        "ENABLE_BATCH_OPTIMIZATION", "true, false or optimized", default=True
    )
    batch_operations: bool = setting("ENABLE_BATCH_OPERATIONS", "true or false", default=True)
    fallback_on_errors: bool = setting("FALLBACK_ON_ERRORS", "true or false", default=True)
    parallel_processing: bool = setting("ENABLE_PARALLEL_PROCESSING", "true or false", default=True)
    max_concurrent_companies: int = whole(
        "MAX_CONCURRENT_COMPANIES", DEFAULTS.concurrent_companies, 1, 50
    )
    op_seconds: float = number("BATCH_OP_SECONDS", DEFAULTS.op_seconds, 1, DAY)
    rows_per_run: int = whole("BATCH_ROWS_PER_RUN", DEFAULTS.rows_per_run, 1, MANY)
    company_cache_seconds: float = number("COMPANY_CACHE_SECONDS", 300, 0, 3_600)
