"""Which company, which time and which failed requests are meant, as people say it.

They say it in a command's options or in a job's config: what is wrong is said in the words in which
it was given.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Final

from batch_assets.domain.display import escaped
from batch_assets.domain.errors import ConfigurationError, FailureKind
from batch_assets.domain.lookups import Criteria, NamedCompany
from batch_assets.store.lookups import Lookups

Spelling = Callable[[str], str]
"""How a field is called where it was given: `older_than` in a config, `--older-than` in a shell."""

NAMES_COMPARED: Final = 10_000
"""With so many names a wrong one is compared at most."""
_AGE: Final = re.compile(r"(\d{1,5})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Wanted:
    """Failed requests to which all that is given applies, as it was given."""

    request_ids: Sequence[str] = ()
    company: str | None = None
    """Id or name."""
    code: str | None = None
    kind: str | None = None
    older_than: str | None = None
    newer_than: str | None = None
    every: bool = False
    """All dead letters; with nothing else."""
    external: bool = False
    """Also what failed through LiveDash itself."""
    retries: bool = False
    """Also what waits for its retry date: it need not wait."""


def criteria_of(lookups: Lookups, wanted: Wanted, spelled: Spelling) -> Criteria:
    """Read what was given as criteria.

    Raises:
        ConfigurationError: It cannot be meant.
    """
    if wanted.kind is not None and wanted.kind not in set(FailureKind):
        raise ConfigurationError(
            f"{spelled('kind')} is '{wanted.kind}': it must be one of {', '.join(FailureKind)}."
        )
    older = _optional_time(spelled("older_than"), wanted.older_than)
    newer = _optional_time(spelled("newer_than"), wanted.newer_than)
    if older is not None and newer is not None and newer >= older:
        raise ConfigurationError(
            f"{spelled('newer_than')} and {spelled('older_than')} leave no time between them: "
            "swap them."
        )
    return Criteria(
        request_ids=list(wanted.request_ids) or None,
        company_id=None if wanted.company is None else company_of(lookups, wanted.company).id,
        code=wanted.code,
        kind=wanted.kind,
        older_than=older,
        newer_than=newer,
    )


def require_sense(criteria: Criteria, wanted: Wanted, spelled: Spelling, what: str) -> None:
    """Refuse to do something to everything by an oversight; `what` is all that there is.

    Raises:
        ConfigurationError: Nothing was chosen, or all and something besides.
    """
    every = spelled("all")
    if criteria.are_none and not wanted.every:
        fields = ("company", "code", "kind", "older_than")
        raise ConfigurationError(
            f"Which ones? Give ids, {', '.join(map(spelled, fields))} or {spelled('newer_than')}, "
            f"or {every} for {what}."
        )
    if wanted.every and not criteria.are_none:
        raise ConfigurationError(f"{every} is {what}: leave it or the criteria away.")


def first_wrong(wrong: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Name the state of the first of these ids, and how a sentence about it begins.

    `wrong` are ids with their states, an empty one for what no request has.

    Raises:
        ConfigurationError: No request has that id.
    """
    request_id, state = wrong[0]
    others = f" (and {len(wrong) - 1} more ids like it)" if len(wrong) > 1 else ""
    if not state:
        raise ConfigurationError(f"No request has the id '{escaped(request_id)}'{others}.")
    return state, f"Request {request_id}{others}"


def company_of(lookups: Lookups, wanted: str) -> NamedCompany:
    """Look up the one company with this id or name, whatever is written in capitals.

    Raises:
        ConfigurationError: There is none, or several have the name; it names the nearest.
    """
    if not wanted.strip():
        raise ConfigurationError("Which company? Give its id or its name.")
    found = lookups.companies(wanted)
    if not found:
        names = {name.lower(): name for name in lookups.company_names(NAMES_COMPARED)}
        nearest = get_close_matches(wanted.lower(), names, n=1)
        meant = f"the nearest name is '{names[nearest[0]]}'; " if nearest else ""
        raise ConfigurationError(
            f"No company has the id or the name '{wanted}': {meant}`batch-assets companies` "
            "lists those that are active, with --state any others."
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"Several companies are called '{wanted}': give the id of one, such as {found[0].id}."
        )
    return found[0]


def time_argument(name: str, given: str) -> datetime:
    """Read an age before now (`36h`), or a date or time, which is in UTC unless it says otherwise.

    Raises:
        ConfigurationError: It is neither; the sentence calls it by `name`.
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


def _optional_time(name: str, given: str | None) -> datetime | None:
    return None if given is None else time_argument(name, given)
