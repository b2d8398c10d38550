"""Which dead letters are meant, as it is typed."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from batch_assets.domain.dead_letters import Criteria
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.failures import FailureKind
from batch_assets.store.dead_letters import DeadLetters

_AGE: Final = re.compile(r"(\d{1,5})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def criteria_of(store: DeadLetters, given: Mapping[str, Any]) -> Criteria:
    """What was typed as criteria. Raises `ConfigurationError` for what cannot be meant."""
    kind = given["kind"]
    if kind is not None and kind not in set(FailureKind):
        raise ConfigurationError(f"--kind is '{kind}': it must be one of {', '.join(FailureKind)}.")
    older = _moment("--older-than", given["older_than"])
    newer = _moment("--newer-than", given["newer_than"])
    if older is not None and newer is not None and newer >= older:
        raise ConfigurationError(
            "--newer-than and --older-than leave no time between them: swap them."
        )
    return Criteria(
        request_ids=given.get("request_ids") or None,
        company_id=_company(store, given["company"]),
        code=given["code"],
        kind=kind,
        older_than=older,
        newer_than=newer,
    )


def _company(store: DeadLetters, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    found = store.companies(wanted)
    if not found:
        raise ConfigurationError(
            f"No company has the id or the name '{wanted}': `batch-assets status --json` has all."
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"Several companies are called '{wanted}': give the id of one, such as {found[0]}."
        )
    return found[0]


def _moment(option: str, given: str | None) -> datetime | None:
    """An age before now (`36h`), or a date or time in UTC unless it says otherwise."""
    if given is None:
        return None
    age = _AGE.fullmatch(given)
    if age is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise ConfigurationError(
            f"{option} is '{given}': it must be an age such as 36h or 7d, or a date such as "
            "2026-01-31 or 2026-01-31T08:00."
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
