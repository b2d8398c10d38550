"""The settings of an environment: read once, judged all at once, and no secret of it repeated."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from batch_assets.domain.display import listed
from batch_assets.domain.errors import WrongSettingsError
from batch_assets.domain.logs import open_log
from batch_assets.settings.fields import Declared
from batch_assets.settings.secrecy import quotable, secrets_in
from batch_assets.settings.settings import (
    ACCOUNT_VARIABLES,
    Settings,
    all_settings,
    said_of_account,
    setting_names,
    variable_of,
)

LIVEDASH_NAMES: Final = frozenset(
    {
        "BATCH_CREATE_INTERVAL",
        "BATCH_RESULT_PROCESSING_INTERVAL",
        "BATCH_STATUS_CHECK_INTERVAL",
    }
)
"""LiveDash's settings of its own timers: docs/configuration.md says what does their work here."""

_IDENTITY_HEADERS: Final = frozenset(
    {"authorization", "api-key", "openai-organization", "openai-project"}
)
"""By which a server knows whose call it is."""
_PREFIX: Final = "BATCH_"
_OWN_PREFIX: Final = "BATCH_ASSETS_"
"""What programs of this project tell each other."""
_logger = open_log(__name__)
# At its level DEBUG, and with PYDANTIC_SETTINGS_DEBUG set, it logs every value.
open_log("pydantic_settings").setLevel(logging.WARNING)


class _Environment(EnvSettingsSource):
    """One environment: this process's, or one that is given."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(Settings)
        self.env_vars = values


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of an environment, by default this process's own; empty means unset.

    Names of version 0.1 are read, and warned of, and so are names that nothing reads. What
    `Settings.unusable` says is no fault by itself, since not every command needs it.

    Raises:
        WrongSettingsError: with a line for each value that is not allowed and for each pair that
            does not fit together. A value that may be a secret is not in it.
    """
    said, secrets = _said(environ)
    for sentence in name_warnings(environ):
        _warn_once(sentence)
    settings, wrong = _read(said)
    faults = [_sentence(setting, said, secrets) for setting in wrong]
    others: dict[str, Settings] = {}
    for account in settings.accounts:
        own = _own_of(account, environ)
        others[account], wrong_there = _read({**_shared(said), **own})
        faults += [
            said_of_account(account, _sentence(setting, own, secrets))
            for setting in wrong_there
            if setting.name in own
        ]
    if settings.accounts:
        faults += _shared_identity(_set_in(environ))
    settings = settings.with_accounts(others)
    names = {setting.name for setting in wrong}
    faults += [found.sentence for found in settings.conflicts() if not found.names & names]
    if faults and settings.local_stack is None:
        faults += [found.sentence for found in settings.unusable()]
    if faults:
        raise WrongSettingsError(faults)
    return settings


def name_warnings(environ: Mapping[str, str] | None = None) -> list[str]:
    """The sentences of which `load_settings` warns: former names, and names that nothing reads."""
    said, secrets = _said(environ)
    return [*_former_names(said, secrets), *_unknown_names(_set_in(environ))]


def _set_in(environ: Mapping[str, str] | None) -> dict[str, str]:
    given = os.environ if environ is None else environ
    return {name: value.strip() for name, value in given.items() if value.strip()}


def _said(environ: Mapping[str, str] | None) -> tuple[dict[str, str], Sequence[str]]:
    """What an environment says of our settings, and the secrets in that."""
    values = _set_in(environ)
    said = {name: value for name, value in values.items() if name in setting_names()}
    secrets = secrets_in(
        [
            *(said[one.name] for one in all_settings() if one.is_secret and one.name in said),
            *(values[name] for name in _account_variables(values) if _is_secret(name, values)),
        ]
    )
    return said, secrets


def _own_of(account: str, environ: Mapping[str, str] | None) -> dict[str, str]:
    """What an environment says of a further account alone, by the names of the settings."""
    values = _set_in(environ)
    given = {name: variable_of(account, name) for name in ACCOUNT_VARIABLES}
    return {name: values[variable] for name, variable in given.items() if variable in values}


def _shared_identity(values: Mapping[str, str]) -> Iterator[str]:
    """The SDK sends these headers with every account's calls, before an account's own."""
    lines = values.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    names = [line.partition(":")[0].strip() for line in lines]
    found = [name for name in names if name.lower() in _IDENTITY_HEADERS]
    if found:
        yield (
            f"OPENAI_CUSTOM_HEADERS has {listed(found)}, which would go out with the calls of "
            "every account: give each its key and project in variables of its own, as in "
            "OPENAI_API_KEY_ACME, and take that header away."
        )


def _is_secret(variable: str, values: Mapping[str, str]) -> bool:
    secret = [one.name for one in all_settings() if one.is_secret]
    return variable in values and variable.startswith(tuple(secret))


def _shared(said: Mapping[str, str]) -> dict[str, str]:
    """What is said of all accounts."""
    return {name: value for name, value in said.items() if name not in ACCOUNT_VARIABLES}


def _account_variables(values: Mapping[str, str]) -> frozenset[str]:
    """The names of further accounts' variables, whether or not they are set."""
    accounts = [name.strip() for name in values.get("BATCH_ACCOUNTS", "").split(",")]
    return frozenset(
        variable_of(account, name)
        for account in filter(None, accounts)
        for name in ACCOUNT_VARIABLES
    )


def _read(values: Mapping[str, str]) -> tuple[Settings, Sequence[Declared]]:
    """What the values say, and the settings whose own is wrong, which have their defaults there."""
    try:
        return _validated(values), ()
    except ValidationError as error:
        places = {str(detail["loc"][0]) for detail in error.errors(include_url=False)}
    wrong = [one for one in all_settings() if places & {one.attribute, one.name, one.former}]
    names = {name for one in wrong for name in (one.name, one.former)}
    return _validated({name: text for name, text in values.items() if name not in names}), wrong


def _validated(values: Mapping[str, str]) -> Settings:
    # Type checkers see the fields among the parameters, and not those of BaseSettings itself.
    make: Callable[..., Settings] = Settings
    return make(_build_sources=((_Environment(values),), {}))


def _sentence(setting: Declared, values: Mapping[str, str], secrets: Sequence[str]) -> str:
    shown = setting.name
    if shown not in values and setting.former:
        shown = setting.former
    value = None if setting.is_secret else quotable(values[shown], secrets)
    if value is None:
        return f"{shown} is wrong: it must be {setting.allowed}."
    return f"{shown} is '{value}': it must be {setting.allowed}."


def _former_names(values: Mapping[str, str], secrets: Sequence[str]) -> Iterator[str]:
    """A warning for each name of version 0.1 that is set."""
    for setting in all_settings():
        name, old = setting.name, setting.former
        if old is None or old not in values:
            continue
        if name not in values:
            yield f"{old} is called {name} now: the old name is read in this version only."
        elif values[name].lower() == values[old].lower():
            yield f"{old} is called {name} now, which is set, too: remove the old name."
        else:
            was, now = (quotable(values[one], secrets) for one in (old, name))
            shown = f"'{was}'", f"'{now}'"
            if was is None or now is None:
                shown = "one thing", "another"
            yield (
                f"{old} is {shown[0]} and {name}, as it is called now, is {shown[1]}: "
                "what the new name says holds. Remove the old one."
            )


def _unknown_names(values: Mapping[str, Any]) -> Iterator[str]:
    """A warning for each name that looks like one of ours and is none."""
    known = {setting.name for setting in all_settings()} | _account_variables(values)
    for name in sorted(values):
        if not name.startswith(_PREFIX) or name.startswith(_OWN_PREFIX):
            continue
        if name in known | setting_names() | LIVEDASH_NAMES:
            continue
        nearest = get_close_matches(name, sorted(known), n=1)
        meant = f": the nearest name is {nearest[0]}" if nearest else ""
        yield f"{name} is no setting, and nothing reads it{meant}."


@cache
def _warn_once(sentence: str) -> None:
    """Settings are loaded at every tick; a process says a thing once."""
    _logger.warning(sentence)
