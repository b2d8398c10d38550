"""How a setting is declared: its name in the environment, its default and what is allowed."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from batch_assets.domain.policy import Policy

DEFAULTS: Final = Policy()
"""The numbers' defaults."""
MANY: Final = 100_000_000
DAY: Final = 24 * 60 * 60


class Family(BaseModel):
    """Some of the settings, checked one by one; what is wrong with a value never quotes it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


def setting(name: str, allowed: str, default: Any = None, **limits: Any) -> Any:
    """A setting; `allowed` ends the sentence "it must be …"."""
    return Field(default, alias=name, description=allowed, **limits)


def whole(name: str, default: int | None, low: int, high: int) -> Any:
    """A whole number within limits."""
    allowed = f"a whole number from {low:,} to {high:,}"
    return setting(name, allowed, default, ge=low, le=high)


def number(name: str, default: float | None, low: float, high: float) -> Any:
    """A number within limits."""
    allowed = f"a number from {low:,} to {high:,}"
    return setting(name, allowed, default, ge=low, le=high, allow_inf_nan=False)
