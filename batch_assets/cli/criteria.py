"""Which dead letters are meant, as it is typed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from batch_assets.cli.moments import moment
from batch_assets.domain.dead_letters import Criteria
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.failures import FailureKind
from batch_assets.store.dead_letters import DeadLetters


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
    return None if given is None else moment(option, given)
