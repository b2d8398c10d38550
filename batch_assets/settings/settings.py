"""All settings as one record, what has to fit between them, and what others make of them."""

from collections.abc import Iterator
from typing import Self

from pydantic import model_validator

from batch_assets.domain.alerts.records import Limits
from batch_assets.domain.pauses import PauseRule
from batch_assets.domain.policy import Caps, LivePolicy, Policy
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.settings.alerting import Alerting
from batch_assets.settings.failing import Failing
from batch_assets.settings.fields import DAY
from batch_assets.settings.live import Live
from batch_assets.settings.places import Places
from batch_assets.settings.running import Running
from batch_assets.settings.sending import Sending
from batch_assets.store.strategy import QueryMode, Toggle

_LONGEST_CALL_SECONDS = Timeouts().longest_creating_call


# Fields come from the last base first: so they stand in the order of docs/configuration.md.
class Settings(Alerting, Live, Failing, Sending, Running, Places):
    """The settings, checked one by one and against each other."""

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
            deployments=self.deployments,
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
            longest_wait_seconds=self.longest_wait_days * DAY,
            reading_grace_seconds=self.reading_grace_seconds,
            absence_grace_seconds=self.absence_grace_seconds,
            batch_timeout_seconds=self.batch_timeout_hours * 3_600,
            stuck_seconds=self.stuck_hours * 3_600,
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
        return Toggle(
            mode=QueryMode(str(self.optimization).lower()),
            writes_in_sets=self.batch_operations,
            falls_back=self.fallback_on_errors,
        )
