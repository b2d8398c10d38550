"""Moments as people give them: an age, or a date."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from batch_assets.domain.errors import ConfigurationError

_AGE: Final = re.compile(r"(\d{1,5})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def read_moment(name: str, given: str) -> datetime:
    """An age before now (`36h`), or a date or time in UTC unless it says otherwise.

    Raises `ConfigurationError`, which calls it by `name`.
    """
    age = _AGE.fullmatch(given)
    if age is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        typed = datetime.fromisoformat(given)
    except ValueError:
        raise ConfigurationError(
            f"{name} is '{given}': it must be an age such as 36h or 7d, or a date such as "
            "2026-01-31 or 2026-01-31T08:00."
        ) from None
    return typed if typed.tzinfo is not None else typed.replace(tzinfo=UTC)
