"""Every setting of the project: its name in the environment, its default and what is allowed.

Nothing is read when this module is imported; `load_settings` reads once, and what it returns does
not change. The numbers' defaults are `Policy`'s. What each setting is for stands in
`docs/configuration.md`, whose table a test compares with this one.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from batch_assets.domain.alerts.records import Limits
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.pauses import PauseRule
from batch_assets.domain.policy import Caps, LivePolicy, Policy
from batch_assets.openai_batch import limits
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.store.strategy import QueryMode, Toggle

_DEFAULTS = Policy()
_LIMITS = Limits()
_LONGEST_CALL_SECONDS = Timeouts().longest_creating_call


_MANY = 100_000_000
_DAY = 24 * 60 * 60
_STACK_NAME = "^[a-z0-9][a-z0-9_-]{0,39}$"


def _parse_allowances(text: Any) -> Any:
    """`gpt-4o-mini=2000000,gpt-4.1=900000` as a mapping; whatever is no text is left as it is."""
    if not isinstance(text, str):
        return text
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    return {model.strip(): tokens.strip() for model, _, tokens in pairs}


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError
    return path


AbsolutePath = Annotated[Path, AfterValidator(_check_absolute)]
ModelName = Annotated[str, Field(min_length=1)]
TokenAllowance = Annotated[int, Field(ge=1)]
TokenAllowances = Annotated[dict[ModelName, TokenAllowance], BeforeValidator(_parse_allowances)]


def _setting(name: str, allowed: str, default: Any = None, **limits: Any) -> Any:
    return Field(default, alias=name, description=allowed, **limits)


def _whole(name: str, default: int | None, low: int, high: int) -> Any:
    allowed = f"a whole number from {low:,} to {high:,}"
    return _setting(name, allowed, default, ge=low, le=high)


def _number(name: str, default: float | None, low: float, high: float) -> Any:
    allowed = f"a number from {low:,} to {high:,}"
    return _setting(name, allowed, default, ge=low, le=high, allow_inf_nan=False)


class Settings(BaseModel):
    """The settings, checked one by one and against each other."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: SecretStr | None = _setting("DATABASE_URL", "a URL postgresql://…")
    dagster_database_url: SecretStr | None = _setting(
        "DAGSTER_DATABASE_URL", "a URL postgresql://…"
    )
    openai_api_key: SecretStr | None = _setting("OPENAI_API_KEY", "a key of the API")
    openai_base_url: SecretStr | None = _setting("OPENAI_BASE_URL", "a URL http://… or https://…")
    local_stack: str | None = _setting(
        "BATCH_LOCAL_STACK", "up to 40 of a-z, 0-9, - and _", pattern=_STACK_NAME
    )
    spool_dir: AbsolutePath | None = _setting("BATCH_SPOOL_DIR", "an absolute path")

    processing_enabled: bool = _setting("BATCH_PROCESSING_ENABLED", "true or false", default=True)
    schedule: str = _setting(
        "BATCH_SCHEDULE", "a cron expression with five fields", default="*/2 * * * *"
    )
    backlog_check_seconds: int = _whole("BATCH_BACKLOG_CHECK_SECONDS", 30, 5, 3_600)
    completion_check_seconds: int = _whole("BATCH_COMPLETION_CHECK_SECONDS", 60, 5, 3_600)
    optimization: bool | Literal["auto"] = _setting(
        "ENABLE_BATCH_OPTIMIZATION", "true, false or auto", default=True
    )
    batch_operations: bool = _setting("ENABLE_BATCH_OPERATIONS", "true or false", default=True)
    fallback_on_errors: bool = _setting("FALLBACK_ON_ERRORS", "true or false", default=True)
    parallel_processing: bool = _setting(
        "ENABLE_PARALLEL_PROCESSING", "true or false", default=True
    )
    max_concurrent_companies: int = _whole(
        "MAX_CONCURRENT_COMPANIES", _DEFAULTS.concurrent_companies, 1, 50
    )
    op_seconds: float = _number("BATCH_OP_SECONDS", _DEFAULTS.op_seconds, 1, _DAY)
    rows_per_run: int = _whole("BATCH_ROWS_PER_RUN", _DEFAULTS.rows_per_run, 1, _MANY)
    company_cache_seconds: float = _number("COMPANY_CACHE_SECONDS", 300, 0, 3_600)

    min_batch_requests: int = _whole(
        "BATCH_MIN_SIZE", _DEFAULTS.min_batch_requests, 1, limits.MAX_REQUESTS
    )
    max_wait_minutes: float = _number(
        "BATCH_MAX_WAIT_MINUTES", _DEFAULTS.max_wait_seconds / 60, 0, 10_080
    )
    max_batch_requests: int = _whole(
        "BATCH_MAX_REQUESTS", _DEFAULTS.max_batch_requests, 1, limits.MAX_REQUESTS
    )
    max_batch_bytes: int = _whole(
        "BATCH_MAX_BYTES", _DEFAULTS.max_batch_bytes, 1_000, limits.MAX_FILE_BYTES
    )
    default_token_allowance: int = _whole(
        "BATCH_TOKEN_ALLOWANCE", _DEFAULTS.default_token_allowance, 1, 100_000_000_000
    )
    token_allowances: TokenAllowances = _setting(
        "BATCH_TOKEN_ALLOWANCES", "pairs such as gpt-4o-mini=2000000,gpt-4.1=900000", default={}
    )
    model_pause_seconds: float = _number(
        "BATCH_MODEL_PAUSE_SECONDS", _DEFAULTS.model_pause_seconds, 0, _DAY
    )

    run_max_requests: int | None = _whole("BATCH_RUN_MAX_REQUESTS", None, 0, _MANY)
    day_max_requests: int | None = _whole("BATCH_DAY_MAX_REQUESTS", None, 0, _MANY)
    company_day_max_requests: int | None = _whole("BATCH_COMPANY_DAY_MAX_REQUESTS", None, 0, _MANY)
    run_max_cost_eur: float | None = _number("BATCH_RUN_MAX_COST_EUR", None, 0, _MANY)
    day_max_cost_eur: float | None = _number("BATCH_DAY_MAX_COST_EUR", None, 0, _MANY)
    company_day_max_cost_eur: float | None = _number(
        "BATCH_COMPANY_DAY_MAX_COST_EUR", None, 0, _MANY
    )
    usd_to_eur: float = _number("USD_TO_EUR_RATE", _DEFAULTS.usd_to_eur, 0.01, 100)

    max_attempts: int = _whole("BATCH_MAX_ATTEMPTS", _DEFAULTS.max_attempts, 1, 100)
    quarantine_submissions: int = _whole(
        "BATCH_QUARANTINE_SUBMISSIONS", _DEFAULTS.quarantine_submissions, 0, 1_000
    )
    retry_base_seconds: float = _number(
        "BATCH_RETRY_BASE_SECONDS", _DEFAULTS.retry_base_seconds, 0, _DAY
    )
    retry_max_seconds: float = _number(
        "BATCH_RETRY_MAX_SECONDS", _DEFAULTS.retry_max_seconds, 0, 7 * _DAY
    )
    breaker_failures: int = _whole("BATCH_BREAKER_FAILURES", _DEFAULTS.breaker_failures, 1, 1_000)
    breaker_seconds: float = _number(
        "BATCH_BREAKER_SECONDS", _DEFAULTS.breaker_seconds, 0, _DEFAULTS.breaker_max_seconds
    )
    pause_after_failed_runs: int = _whole("BATCH_PAUSE_AFTER_FAILED_RUNS", 5, 1, 100)
    pause_minutes: float = _number("BATCH_PAUSE_MINUTES", 30, 0, 1_440)
    monitoring_retention_days: int = _whole("BATCH_MONITORING_RETENTION_DAYS", 30, 1, 3_650)

    lease_seconds: float = _number("BATCH_LEASE_SECONDS", _DEFAULTS.lease_seconds, 1, _DAY)
    batch_timeout_hours: float = _number(
        "BATCH_TIMEOUT_HOURS", _DEFAULTS.batch_timeout_seconds / 3_600, 0.01, 720
    )
    absence_grace_seconds: float = _number(
        "BATCH_ABSENCE_GRACE_SECONDS", _DEFAULTS.absence_grace_seconds, 0, _DAY
    )

    live_retries: bool = _setting("BATCH_LIVE_RETRIES", "true or false", default=False)
    live_run_max_requests: int = _whole(
        "BATCH_LIVE_RUN_MAX_REQUESTS", _DEFAULTS.live.run_requests, 0, 10_000
    )
    live_day_max_requests: int = _whole(
        "BATCH_LIVE_DAY_MAX_REQUESTS", _DEFAULTS.live.day_requests, 0, _MANY
    )
    live_day_max_cost_eur: float = _number(
        "BATCH_LIVE_DAY_MAX_COST_EUR", _DEFAULTS.live.day_cost_eur, 0, _MANY
    )
    live_lead_minutes: float = _number(
        "BATCH_LIVE_LEAD_MINUTES", _DEFAULTS.live.lead_seconds / 60, 0, 43_200
    )

    alert_window_minutes: float = _number(
        "BATCH_ALERT_WINDOW_MINUTES", _LIMITS.window_minutes, 1, 1_440
    )
    alert_min_requests: int = _whole("BATCH_ALERT_MIN_REQUESTS", _LIMITS.min_requests, 1, _MANY)
    alert_error_rate: float = _number(
        "BATCH_ALERT_THRESHOLD_ERROR_RATE", _LIMITS.error_rate_percent, 0, 100
    )
    alert_processing_time: float = _number(
        "BATCH_ALERT_THRESHOLD_PROCESSING_TIME", _LIMITS.batch_age_seconds, 1, 30 * _DAY
    )
    alert_requests_per_second: float = _number(
        "BATCH_ALERT_THRESHOLD_REQUESTS_PER_SECOND", _LIMITS.requests_per_second, 0, 1_000_000
    )
    alert_lookup_hit_rate: float = _number(
        "BATCH_ALERT_THRESHOLD_LOOKUP_HIT_RATE", _LIMITS.lookup_hit_rate_percent, 0, 100
    )
    alert_fallback_rate: float = _number(
        "BATCH_ALERT_THRESHOLD_FALLBACK_RATE", _LIMITS.fallback_rate_percent, 0, 100
    )
    alert_new_dead_letters: int = _whole(
        "BATCH_ALERT_THRESHOLD_NEW_DEAD_LETTERS", _LIMITS.new_dead_letters, 1, 9_999
    )
    alert_dead_letters: int = _whole(
        "BATCH_ALERT_THRESHOLD_DEAD_LETTERS", _LIMITS.dead_letters, 1, _MANY
    )
    alert_day_cost_eur: float | None = _number(
        "BATCH_ALERT_THRESHOLD_DAY_COST_EUR", _LIMITS.day_cost_eur, 0, _MANY
    )
    alert_overdue_minutes: float = _number(
        "BATCH_ALERT_THRESHOLD_OVERDUE_MINUTES", _LIMITS.overdue_seconds / 60, 1, 43_200
    )
    alert_webhook_url: SecretStr | None = _setting(
        "BATCH_ALERT_WEBHOOK_URL", "a URL http://… or https://…"
    )
    ui_url: str | None = _setting(
        "BATCH_UI_URL", "a URL http://… or https://…", pattern=r"^https?://\S+$"
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        conflicts = list(self._conflicts())
        if conflicts:
            raise ValueError("\n".join(conflicts))
        return self

    def _conflicts(self) -> Iterator[str]:
        if self.min_batch_requests > self.max_batch_requests:
            yield (
                f"BATCH_MIN_SIZE is {self.min_batch_requests} and BATCH_MAX_REQUESTS is "
                f"{self.max_batch_requests}: the first must not be more than the second."
            )
        if self.retry_base_seconds > self.retry_max_seconds:
            yield (
                f"BATCH_RETRY_BASE_SECONDS is {self.retry_base_seconds:g} and "
                f"BATCH_RETRY_MAX_SECONDS is {self.retry_max_seconds:g}: "
                "the first must not be more than the second."
            )
        if self.lease_seconds <= _LONGEST_CALL_SECONDS:
            yield (
                f"BATCH_LEASE_SECONDS is {self.lease_seconds:g}: it must be more than "
                f"{_LONGEST_CALL_SECONDS:g}, which the longest call may take."
            )

    def policy(self) -> Policy:
        """The numbers that the pipeline goes by."""
        return Policy(
            min_batch_requests=self.min_batch_requests,
            max_wait_seconds=self.max_wait_minutes * 60,
            max_batch_requests=self.max_batch_requests,
            max_batch_bytes=self.max_batch_bytes,
            default_token_allowance=self.default_token_allowance,
            token_allowances=self.token_allowances,
            caps=Caps(
                run_requests=self.run_max_requests,
                day_requests=self.day_max_requests,
                company_day_requests=self.company_day_max_requests,
                run_cost_eur=self.run_max_cost_eur,
                day_cost_eur=self.day_max_cost_eur,
                company_day_cost_eur=self.company_day_max_cost_eur,
            ),
            usd_to_eur=self.usd_to_eur,
            max_attempts=self.max_attempts,
            quarantine_submissions=self.quarantine_submissions,
            retry_base_seconds=self.retry_base_seconds,
            retry_max_seconds=self.retry_max_seconds,
            model_pause_seconds=self.model_pause_seconds,
            breaker_failures=self.breaker_failures,
            breaker_seconds=self.breaker_seconds,
            lease_seconds=self.lease_seconds,
            absence_grace_seconds=self.absence_grace_seconds,
            batch_timeout_seconds=self.batch_timeout_hours * 3_600,
            live=LivePolicy(
                is_on=self.live_retries,
                run_requests=self.live_run_max_requests,
                day_requests=self.live_day_max_requests,
                day_cost_eur=self.live_day_max_cost_eur,
                lead_seconds=self.live_lead_minutes * 60,
            ),
            rows_per_run=self.rows_per_run,
            op_seconds=self.op_seconds,
            concurrent_companies=self.max_concurrent_companies if self.parallel_processing else 1,
        )

    def pause_rule(self) -> PauseRule:
        """When schedule and sensors rest after failed runs."""
        return PauseRule(self.pause_after_failed_runs, self.pause_minutes)

    def alert_limits(self) -> Limits:
        """From when on each alert is raised."""
        return Limits(
            window_minutes=self.alert_window_minutes,
            min_requests=self.alert_min_requests,
            error_rate_percent=self.alert_error_rate,
            batch_age_seconds=self.alert_processing_time,
            batch_timeout_seconds=self.batch_timeout_hours * 3_600,
            requests_per_second=self.alert_requests_per_second,
            lookup_hit_rate_percent=self.alert_lookup_hit_rate,
            has_company_cache=self.company_cache_seconds > 0,
            fallback_rate_percent=self.alert_fallback_rate,
            new_dead_letters=self.alert_new_dead_letters,
            dead_letters=self.alert_dead_letters,
            day_cost_eur=self.alert_day_cost_eur,
            max_wait_seconds=self.max_wait_minutes * 60,
            overdue_seconds=self.alert_overdue_minutes * 60,
        )

    def toggle(self) -> Toggle:
        """Which implementation of the database operations runs, and whether it may fall back."""
        modes = {True: QueryMode.OPTIMIZED, False: QueryMode.ORIGINAL, "auto": QueryMode.AUTO}
        return Toggle(
            mode=modes[self.optimization],
            writes_in_sets=self.batch_operations,
            falls_back=self.fallback_on_errors,
        )


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of an environment, by default of this process's own; empty means unset.

    Raises `ConfigurationError` with one line for each wrong value: its name, the value and what is
    allowed. The settings that may hold a secret are not judged here but by whoever uses them.
    """
    given = os.environ if environ is None else environ
    values = {name: given[name].strip() for name in _fields() if given.get(name, "").strip()}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        lines = dict.fromkeys(_sentence(detail, values) for detail in details)
        raise ConfigurationError("\n".join(lines)) from None


def allowed_values() -> dict[str, str]:
    """What each setting may be, by its name in the environment."""
    return {name: str(field.description) for name, field in _fields().items()}


def _fields() -> dict[str, FieldInfo]:
    return {str(field.alias): field for field in Settings.model_fields.values()}


def _sentence(detail: ErrorDetails, values: Mapping[str, str]) -> str:
    if not detail["loc"]:
        return str(detail["ctx"]["error"])
    name = str(detail["loc"][0])
    return f"{name} is '{values[name]}': it must be {allowed_values()[name]}."
