"""How a setting is declared: its name in the environment, its default and what is allowed."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from batch_assets.domain.policy import Policy

DEFAULTS: Final = Policy()
"""The numbers' defaults."""
MANY: Final = 100_000_000
DAY: Final = 24 * 60 * 60


def parse_pairs(text: Any) -> Any:
    """`gpt-4o-mini=2000000,gpt-4.1=900000` as a mapping; whatever is no text is left as it is."""
    if not isinstance(text, str):
        return text
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def parse_names(text: Any) -> Any:
    """`one, another` as a tuple; whatever is no text is left as it is."""
    if not isinstance(text, str):
        return text
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


HostName = Annotated[str, Field(pattern=r"^[a-z0-9_.:-]+$")]
"""A name or an address, without a port; one of IPv6 without brackets."""
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(parse_names)]
ModelName = Annotated[str, Field(min_length=1)]
Pairs = Annotated[dict[ModelName, ModelName], BeforeValidator(parse_pairs)]
"""One model's name for another."""


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
