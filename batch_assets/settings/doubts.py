"""What settings are allowed to say together and hardly mean: one defeats another, or all work.

Nothing is refused for it. `batch-assets doctor` asks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.hosts import is_loopback
from batch_assets.openai_batch.profiles import COMPATIBLE, DEFAULT_BASE_URL, profile_of
from batch_assets.settings.settings import CONFIGURED_BY, Settings, all_settings


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that is set, and hardly meant."""

    said: str
    remedy: str


def doubts(settings: Settings) -> list[Doubt]:
    """What of the settings is hardly meant; nothing is opened for it."""
    return [doubt for look in _LOOKS for doubt in look(settings)]


def _whether_anything_runs(settings: Settings) -> Iterator[Doubt]:
    unused = [name for name in CONFIGURED_BY if name in settings.configured()]
    if settings.local_stack is not None and unused:
        yield Doubt(
            f"BATCH_LOCAL_STACK asks for a local stack, so that nobody looks at "
            f"{', '.join(unused)}.",
            "Leave BATCH_LOCAL_STACK out to work on what is configured, or the others.",
        )
    if not settings.schedules_enabled:
        yield Doubt(
            "BATCH_SCHEDULES_ENABLED is false, so that no run starts by itself.",
            "Leave it out once runs are to start by themselves again.",
        )
    if settings.max_concurrent_companies is not None and not settings.parallel_processing:
        yield Doubt(
            "MAX_CONCURRENT_COMPANIES says nothing while ENABLE_PARALLEL_PROCESSING is false.",
            "Leave one of them out.",
        )


_CAPS: Final = (
    *("run_max_requests", "day_max_requests", "company_day_max_requests"),
    *("run_max_cost_eur", "day_max_cost_eur", "company_day_max_cost_eur"),
)
_WITHIN: Final = (
    ("run_max_requests", "day_max_requests"),
    ("company_day_max_requests", "day_max_requests"),
    ("run_max_cost_eur", "day_max_cost_eur"),
    ("company_day_max_cost_eur", "day_max_cost_eur"),
)
"""What can bound nothing if it is more than the other one."""


def _caps(settings: Settings) -> Iterator[Doubt]:
    for attribute in _CAPS:
        if getattr(settings, attribute) == 0:
            yield Doubt(
                f"{_name(attribute)} is 0, so that nothing is ever sent.",
                "Raise it, or leave it out for no such cap.",
            )
    for less, more in _WITHIN:
        part, whole = getattr(settings, less), getattr(settings, more)
        if part is not None and whole is not None and part > whole:
            yield Doubt(
                f"{_name(less)} is {part:g} and {_name(more)} is {whole:g}, so that the first "
                "bounds nothing.",
                "Lower the first, or raise the second.",
            )
    alert, cap = settings.alert_day_cost_eur, settings.day_max_cost_eur
    if alert is not None and cap is not None and alert > cap:
        yield Doubt(
            f"BATCH_ALERT_THRESHOLD_DAY_COST_EUR is {alert:g} and BATCH_DAY_MAX_COST_EUR is "
            f"{cap:g}, so that sending stops before anybody is told.",
            "Lower the first below the second.",
        )


def _without_effect(settings: Settings) -> Iterator[Doubt]:
    if not settings.synchronous_retries:
        given = [
            one.name
            for one in all_settings()
            if one.attribute.startswith("synchronous_")
            and getattr(settings, one.attribute) != one.default
        ]
        if given:
            yield Doubt(
                f"{', '.join(given)} {'says' if len(given) == 1 else 'say'} nothing, since "
                "synchronous requests are off.",
                "Set BATCH_SYNCHRONOUS_RETRIES=true if they are to be sent.",
            )
    pagerduty = next(one for one in all_settings() if one.attribute == "alert_pagerduty_url")
    if (
        settings.alert_pagerduty_url != pagerduty.default
        and not settings.alert_pagerduty_routing_key
    ):
        yield Doubt(
            "BATCH_ALERT_PAGERDUTY_URL says where events go, and there is no key, so that nobody "
            "is told there.",
            "Set BATCH_ALERT_PAGERDUTY_ROUTING_KEY.",
        )


def _server(settings: Settings) -> Iterator[Doubt]:
    address = settings.configured().get("OPENAI_BASE_URL", DEFAULT_BASE_URL)
    try:
        _, profile = settings.server()
        parts = urlsplit(address)
        host = parts.hostname or ""
    except (ConfigurationError, ValueError):
        return  # `Settings.unusable` says so
    of_host = profile_of(address)
    if settings.server_profile is not None and of_host not in (profile, COMPATIBLE):
        yield Doubt(
            f"BATCH_SERVER_PROFILE is {profile.name}, and OPENAI_BASE_URL leads to a server of the "
            f"profile {of_host.name}.",
            "Leave BATCH_SERVER_PROFILE out, unless a gateway at that name says otherwise.",
        )
    if settings.api_version is not None and not profile.is_dated:
        yield Doubt(
            f"OPENAI_API_VERSION is told to nobody: a server of the profile {profile.name} has no "
            "versions.",
            "Leave it out, or check OPENAI_BASE_URL and BATCH_SERVER_PROFILE.",
        )
    if parts.scheme == "http" and not is_loopback(host):
        yield Doubt(
            "OPENAI_BASE_URL begins with http://, so that key and conversations can be read on the "
            "way.",
            "Let it begin with https://.",
        )


def _name(attribute: str) -> str:
    return next(one.name for one in all_settings() if one.attribute == attribute)


_LOOKS: Final[tuple[Callable[[Settings], Iterator[Doubt]], ...]] = (
    _whether_anything_runs,
    _caps,
    _without_effect,
    _server,
)
