"""The settings of an environment, read once."""

import os
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from batch_assets.domain.errors import ConfigurationError
from batch_assets.settings.settings import Settings


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
