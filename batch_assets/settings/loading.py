"""The settings of an environment, read once."""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from batch_assets.domain.errors import WrongSettingsError
from batch_assets.domain.logs import open_log
from batch_assets.settings.settings import Settings

RENAMED: Final = {"BATCH_PROCESSING_ENABLED": "BATCH_SCHEDULES_ENABLED"}
"""Names that were a setting's in version 0.1 and are still read: what each is now."""

_logger = open_log(__name__)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of an environment, by default of this process's own; empty means unset.

    Raises `WrongSettingsError` with one line for each wrong value: its name, the value and what is
    allowed. The settings that may hold a secret are not judged here but by whoever uses them; the
    webhook's scheme is, and its address is not shown.
    """
    given = os.environ if environ is None else environ
    names = [*_fields(), *RENAMED]
    values = {name: given[name].strip() for name in names if given.get(name, "").strip()}
    formerly = _rename(values)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        sentences = dict.fromkeys(
            sentence for detail in details for sentence in _sentences(detail, values, formerly)
        )
        raise WrongSettingsError(list(sentences)) from None


def allowed_values() -> dict[str, str]:
    """What each setting may be, by its name in the environment."""
    return {name: str(field.description) for name, field in _fields().items()}


def _fields() -> dict[str, FieldInfo]:
    return {str(field.alias): field for field in Settings.model_fields.values()}


def _rename(values: dict[str, str]) -> Mapping[str, str]:
    """Give what former names say to the settings that nothing else is said of.

    Returns the former name of each of these.
    """
    formerly = {}
    for old, name in RENAMED.items():
        if old not in values:
            continue
        said = values.pop(old)
        if name not in values:
            values[name] = said
            formerly[name] = old
            _warn_once(f"{old} is called {name} now: the old name is read in this version only.")
        elif values[name].lower() == said.lower():
            _warn_once(f"{old} is called {name} now, which is set, too: remove the old name.")
        else:
            _warn_once(
                f"{old} is '{said}' and {name}, as it is called now, is '{values[name]}': "
                "what the new name says holds. Remove the old one."
            )
    return formerly


@cache
def _warn_once(sentence: str) -> None:
    """Settings are loaded at every tick; a process says a thing once."""
    _logger.warning(sentence)


def _sentences(
    detail: ErrorDetails, values: Mapping[str, str], formerly: Mapping[str, str]
) -> Sequence[str]:
    if not detail["loc"]:
        return str(detail["ctx"]["error"]).split("\n")
    name = str(detail["loc"][0])
    shown = formerly.get(name, name)
    if name == "BATCH_ALERT_WEBHOOK_URL":
        # It may hold a token.
        return [f"{shown} is wrong: it must be {allowed_values()[name]}."]
    return [f"{shown} is '{values[name]}': it must be {allowed_values()[name]}."]
