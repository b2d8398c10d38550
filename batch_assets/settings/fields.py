"""How a setting is declared: name, default, what is allowed and what it means, all in one place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.money import read_price

MANY: Final = 100_000_000
DAY: Final = 24 * 60 * 60


class Family(BaseSettings):
    """Some of the settings, checked one by one; pydantic's own errors never quote a value."""

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        enable_decoding=False,
        extra="ignore",
        hide_input_in_errors=True,
    )


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting may be."""

    text: str
    """The end of the sentence "it must be …"."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """The same as pydantic checks it, unless the field's type does."""


def whole(low: int, high: int) -> Allowed:
    """A whole number within limits."""
    return Allowed(f"a whole number from {low:,} to {high:,}", {"ge": low, "le": high})


def number(low: float, high: float) -> Allowed:
    """A number within limits."""
    limits = {"ge": low, "le": high, "allow_inf_nan": False}
    return Allowed(f"a number from {low:,} to {high:,}", limits)


def matching(text: str, pattern: str) -> Allowed:
    """A text that a regular expression finds."""
    return Allowed(text, {"pattern": pattern})


SWITCH: Final = Allowed("true or false")
WEB_ADDRESS: Final = Allowed("a URL http://… or https://…")


def setting(name: str, default: Any, allowed: Allowed, meaning: str, *, former: str = "") -> Any:
    """Declare a setting by its name in the environment.

    `meaning` is Markdown, for `docs/configuration.md`; `former` is the name that version 0.1 had
    for it, which this one still reads.
    """
    return Field(
        default,
        validation_alias=AliasChoices(name, *filter(None, [former])),
        description=meaning,
        json_schema_extra={"allowed": allowed.text},
        **allowed.limits,
    )


@dataclass(frozen=True, slots=True)
class Declared:
    """A setting as it was declared, for whoever writes about it."""

    attribute: str
    name: str
    former: str | None
    default: Any
    allowed: str
    meaning: str
    is_secret: bool
    """Its value is shown nowhere."""


def declared(attribute: str, info: FieldInfo) -> Declared:
    """What a field of a `Family` declares.

    Raises:
        TypeError: if it was not made by `setting`.
    """
    choices, extra = info.validation_alias, info.json_schema_extra
    if not isinstance(choices, AliasChoices) or not isinstance(extra, dict):
        raise TypeError(attribute)
    name, *former = map(str, choices.choices)
    return Declared(
        attribute=attribute,
        name=name,
        former=former[0] if former else None,
        default=info.default,
        allowed=str(extra["allowed"]),
        meaning=str(info.description),
        is_secret=_holds(info.annotation, SecretStr),
    )


def _holds(annotation: Any, wanted: type) -> bool:
    return annotation is wanted or any(_holds(part, wanted) for part in get_args(annotation))


def _pairs(text: Any) -> Any:
    """`gpt-4o-mini=2000000,gpt-4.1=900000` as a mapping; whatever is no text is left as it is."""
    if not isinstance(text, str):
        return text
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _names(text: Any) -> Any:
    """`one, another` as a tuple; whatever is no text is left as it is."""
    if not isinstance(text, str):
        return text
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def _exact_names(text: Any) -> Any:
    """The same, with letters as they are; one that is given twice is one."""
    if not isinstance(text, str):
        return text
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _without_spaces(text: Any) -> Any:
    return re.sub(r"\s", "", text) if isinstance(text, str) else text


def _check_price(text: str) -> str:
    read_price(text)
    return text


def _check_account_name(name: str) -> str:
    if name == DEFAULT_ACCOUNT:
        raise ValueError
    return name


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError
    return path


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError from None  # there is no such user


def _check_web_address(url: str) -> str:
    """The same, if it names a host that a client could look up.

    Raises:
        ValueError: It does not, or holds what no address does.
    """
    parts = urlsplit(url)
    if not re.fullmatch(r"https?://\S+", url, re.IGNORECASE) or not url.isprintable():
        raise ValueError
    if parts.port == 0 or not (parts.hostname or "").encode("idna"):
        raise ValueError
    return url


def _check_secret_web_address(url: SecretStr) -> SecretStr:
    _check_web_address(url.get_secret_value())
    return url


AccountName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9]{0,19}$"), AfterValidator(_check_account_name)
]
AccountNames = Annotated[tuple[AccountName, ...], BeforeValidator(_exact_names)]
HostName = Annotated[str, Field(pattern=r"^[a-z0-9_.:-]+$")]
"""A name or an address, without a port; one of IPv6 without brackets."""
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(_names)]
ModelName = Annotated[str, Field(min_length=1)]
ModelNames = Annotated[tuple[ModelName, ...], BeforeValidator(_exact_names)]
SynchronousTiers = Annotated[Literal["flex", "full", "flex,full"], BeforeValidator(_without_spaces)]
Deployments = Annotated[dict[ModelName, ModelName], BeforeValidator(_pairs)]
"""One model's name for another."""
TokenAllowances = Annotated[
    dict[ModelName, Annotated[int, Field(ge=1)]],
    BeforeValidator(_pairs),
]
ModelPrices = Annotated[
    dict[ModelName, Annotated[str, AfterValidator(_check_price)]], BeforeValidator(_pairs)
]
"""Full prices, as `read_price` reads them."""
AbsolutePath = Annotated[Path, AfterValidator(_check_absolute)]
HomePath = Annotated[Path, AfterValidator(_expand), AfterValidator(_check_absolute)]
"""Dagster, too, takes a path that begins with `~`, and no other that is not absolute."""
WebAddress = Annotated[str, AfterValidator(_check_web_address)]
SecretWebAddress = Annotated[SecretStr, AfterValidator(_check_secret_web_address)]
