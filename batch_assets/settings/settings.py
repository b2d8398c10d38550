"""All settings as one record, what has to fit between them, and what others make of them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydantic import PrivateAttr, SecretStr

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.alerts.records import Limits
from batch_assets.domain.breakers import CooldownRule
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.money import read_price
from batch_assets.domain.policy import Caps, Policy, SynchronousPolicy, Tier
from batch_assets.openai_batch.account import Project
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.profiles import DEFAULT_BASE_URL, Profile, profile_of, versioned
from batch_assets.settings.alerting import Alerting
from batch_assets.settings.fields import DAY, Declared, declared
from batch_assets.settings.running import Places, Running
from batch_assets.settings.sending import LONGEST_CALL_SECONDS, Failing, Sending, Synchronous
from batch_assets.store.strategy import QueryMode, Toggle
from batch_assets.store.urls import application_url

CONFIGURED_BY: Final = (
    "DATABASE_URL",
    "DAGSTER_DATABASE_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
)
"""What is real: each of these rules the local stack out, unless that is asked for by name."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Settings that are right each by itself and wrong together."""

    names: frozenset[str]
    sentence: str


ACCOUNT_VARIABLES: Final = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_API_VERSION",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "BATCH_SERVER_PROFILE",
    "BATCH_DEPLOYMENTS",
    "BATCH_HOURLY_BATCHES",
    "BATCH_TOKEN_ALLOWANCE",
    "BATCH_TOKEN_ALLOWANCES",
)
"""What is an account's own: a further one has it under a name that ends in its own."""
_ACCOUNT_VARIABLE: Final = re.compile(rf"\b({'|'.join(ACCOUNT_VARIABLES)})\b")


def variable_of(account: str, name: str) -> str:
    """What a variable of an account is called; that of the default account has no ending."""
    return name if account == DEFAULT_ACCOUNT else f"{name}_{account.upper()}"


def said_of_account(account: str, sentence: str) -> str:
    """A sentence about the settings of one account, with its variables as they are called."""
    return _ACCOUNT_VARIABLE.sub(lambda found: variable_of(account, found[0]), sentence)


# Fields come from the last base first: so they stand in the order of docs/configuration.md.
class Settings(Alerting, Synchronous, Failing, Sending, Running, Places):
    """The settings of one account; `load_settings` makes them from an environment."""

    _account_name: str = PrivateAttr(default=DEFAULT_ACCOUNT)
    _others: Mapping[str, "Settings"] = PrivateAttr(default_factory=dict)
    """Of the default account: the settings of the others."""

    @property
    def account_name(self) -> str:
        """Whose settings these are."""
        return self._account_name

    @property
    def account_names(self) -> tuple[str, ...]:
        """All accounts, the default first."""
        return (DEFAULT_ACCOUNT, *self.accounts)

    def with_accounts(self, others: Mapping[str, "Settings"]) -> "Settings":
        """The same for the default account, with the settings of the others."""
        whole = self.model_copy()
        for name, settings in others.items():
            settings._account_name = name
        whole._others = others
        return whole

    def of_account(self, name: str) -> "Settings":
        """The settings of an account.

        Raises:
            ConfigurationError: There is none of that name.
        """
        if name == self._account_name:
            return self
        if name not in self._others:
            raise ConfigurationError(
                f"There is no account '{name}': BATCH_ACCOUNTS names {_named(self.accounts)}."
            )
        return self._others[name]

    def conflicts(self) -> Iterator[Conflict]:
        """What does not fit together."""
        if self.min_batch_requests > self.max_batch_requests:
            yield _too_much(
                ("BATCH_MIN_SIZE", self.min_batch_requests),
                ("BATCH_MAX_REQUESTS", self.max_batch_requests),
            )
        if self.retry_base_seconds > self.retry_max_seconds:
            yield _too_much(
                ("BATCH_RETRY_BASE_SECONDS", self.retry_base_seconds),
                ("BATCH_RETRY_MAX_SECONDS", self.retry_max_seconds),
            )
        if self.lease_seconds <= LONGEST_CALL_SECONDS:
            yield Conflict(
                frozenset({"BATCH_LEASE_SECONDS"}),
                f"BATCH_LEASE_SECONDS is {self.lease_seconds:g}: it must be more than "
                f"{LONGEST_CALL_SECONDS:g}, which the longest call may take.",
            )

    @property
    def is_configured(self) -> bool:
        """Whether anything real is set, for whichever account."""
        return any(one.configured() for one in (self, *self._others.values()))

    @property
    def project(self) -> Project:
        """In whose name calls are made, beside the key."""
        given = (self.openai_organization, self.openai_project)
        return Project(*(None if one is None else one.get_secret_value() for one in given))

    def configured(self) -> dict[str, str]:
        """What is set of `CONFIGURED_BY`, secrets in the clear."""
        values: tuple[SecretStr | None, ...] = (
            self.database_url,
            self.dagster_database_url,
            self.openai_api_key,
            self.openai_base_url,
        )
        named = zip(CONFIGURED_BY, values, strict=True)
        return {name: value.get_secret_value() for name, value in named if value is not None}

    def server(self) -> tuple[str, Profile]:
        """The API's address with its version, and what the server there is like.

        Raises:
            ConfigurationError: if the version is a date and none is named.
        """
        base_url = self.configured().get("OPENAI_BASE_URL", DEFAULT_BASE_URL)
        profile = profile_of(base_url, self.server_profile)
        return (versioned(base_url, self.api_version) if profile.is_dated else base_url), profile

    def unusable(self) -> Iterator[Conflict]:
        """What keeps the configured database and server from being used; nothing is opened."""
        given = self.configured()
        others = [
            variable_of(account, name)
            for account, settings in self._others.items()
            for name in settings.configured()
        ]
        if others and not given:
            yield Conflict(
                frozenset(others),
                f"DATABASE_URL and OPENAI_API_KEY are missing although {_listed(others)} set: the "
                "account `default` goes before all others.",
            )
        missing = [name for name in ("DATABASE_URL", "OPENAI_API_KEY") if name not in given]
        if given and missing:
            yield Conflict(
                frozenset({*missing, *given}),
                self._said(
                    f"{_listed(missing)} missing although {_listed(list(given))} set: set "
                    f"DATABASE_URL and OPENAI_API_KEY, or none of {', '.join(CONFIGURED_BY)} for "
                    "the local stack."
                ),
            )
        checks: dict[str, Callable[[str], object]] = {
            "DATABASE_URL": application_url,
            "DAGSTER_DATABASE_URL": application_url,
            "OPENAI_API_KEY": BatchApi,
            "OPENAI_BASE_URL": self._check_server,
        }
        for name in given:
            try:
                checks[name](given[name])
            except ConfigurationError as error:
                of_dagster = f"{name}: " if name == "DAGSTER_DATABASE_URL" else ""
                yield Conflict(frozenset({name}), self._said(f"{of_dagster}{error}"))

    def _said(self, sentence: str) -> str:
        return said_of_account(self._account_name, sentence)

    def _check_server(self, _address: str) -> None:
        base_url, profile = self.server()
        BatchApi("any", base_url, profile=profile)

    def policy(self) -> Policy:
        """The numbers that the pipeline goes by."""
        return Policy(
            min_batch_requests=self.min_batch_requests,
            max_wait_seconds=self.max_wait_minutes * 60,
            max_batch_requests=self.max_batch_requests,
            max_batch_bytes=self.max_batch_bytes,
            default_token_allowance=self.default_token_allowance,
            token_allowances=self.token_allowances,
            hourly_batches=self.hourly_batches,
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
            model_prices={name: read_price(text) for name, text in self.model_prices.items()},
            max_attempts=self.max_attempts,
            bisection_submissions=self.bisection_submissions,
            retry_base_seconds=self.retry_base_seconds,
            retry_max_seconds=self.retry_max_seconds,
            model_cooldown_seconds=self.model_cooldown_seconds,
            breaker_failures=self.breaker_failures,
            breaker_seconds=self.breaker_seconds,
            lease_seconds=self.lease_seconds,
            longest_wait_seconds=self.longest_wait_days * DAY,
            reading_grace_seconds=self.reading_grace_seconds,
            absence_grace_seconds=self.absence_grace_seconds,
            batch_timeout_seconds=self.batch_timeout_hours * 3_600,
            stuck_seconds=self.stuck_hours * 3_600,
            synchronous=SynchronousPolicy(
                is_on=self.synchronous_retries,
                tiers=frozenset(map(Tier, self.synchronous_tiers.split(","))),
                flex_models=frozenset(self.flex_models),
                run_requests=self.synchronous_run_max_requests,
                day_requests=self.synchronous_day_max_requests,
                day_cost_eur=self.synchronous_day_max_cost_eur,
                lead_seconds=self.synchronous_lead_minutes * 60,
            ),
            rows_per_run=self.rows_per_run,
            op_seconds=self.op_seconds,
            concurrent_companies=self.max_concurrent_companies if self.parallel_processing else 1,
        )

    def cooldown_rule(self) -> CooldownRule:
        """When schedule and sensors are in cooldown after failed runs."""
        return CooldownRule(self.cooldown_after_failed_runs, self.cooldown_minutes)

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


def _too_much(less: tuple[str, float], more: tuple[str, float]) -> Conflict:
    return Conflict(
        frozenset({less[0], more[0]}),
        f"{less[0]} is {less[1]:g} and {more[0]} is {more[1]:g}: "
        "the first must not be more than the second.",
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _listed(names: Sequence[str]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"


@cache
def all_settings() -> Sequence[Declared]:
    """Every setting as it was declared, in the order of docs/configuration.md."""
    return [declared(name, field) for name, field in Settings.model_fields.items()]


@cache
def setting_names() -> frozenset[str]:
    """The names of all settings in the environment, those of version 0.1 included."""
    names = {setting.name for setting in all_settings()}
    return frozenset(names | {one.former for one in all_settings() if one.former})
