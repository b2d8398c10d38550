"""Failed requests wait again because an operator says so, or are said to by a dry run."""

from dataclasses import dataclass, field

from sqlalchemy import Engine

from batch_assets.domain.display import plural
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.domain.lookups import Criteria, Group, Requeued
from batch_assets.stages.controls.criteria import (
    Spelling,
    Wanted,
    criteria_of,
    first_wrong,
    require_sense,
)
from batch_assets.store.lookups import DeadLetters, Lookups


@dataclass(frozen=True)
class RequeueReport:
    """What was chosen, and what was moved of it."""

    dry_run: bool
    groups: list[Group]
    """What was chosen, as it was before anything was moved."""
    moved: Requeued = field(default_factory=Requeued)

    @property
    def requests(self) -> int:
        """The number of requests that were chosen."""
        return sum(group.requests for group in self.groups)

    @property
    def sentence(self) -> str:
        """Sentences on what is meant, and what became of it."""
        if self.dry_run:
            return f"{plural(self.requests, 'request')} would wait again. Nothing was changed."
        moved = self.moved
        waiting = plural(moved.requeued + moved.external, "request")
        said = [f"Put back among the waiting: {waiting}."]
        if moved.external:
            said.append(f"Of these, {moved.external:,} had failed through LiveDash itself.")
        if moved.hastened:
            retries = plural(moved.hastened, "request")
            said.append(f"To be retried by the next run: {retries}.")
        if moved.overtaken:
            letters = plural(moved.overtaken, "dead letter")
            said.append(
                f"{letters} had been changed or deleted in LiveDash: only our entry was removed."
            )
        return " ".join(said)


def requeue(engine: Engine, wanted: Wanted, spelled: Spelling, *, dry_run: bool) -> RequeueReport:
    """Let the chosen requests wait for a batch again, or say with `dry_run` which would.

    Dead letters, with all their tries again; with `external` what failed through LiveDash itself;
    with `retries` those whose retry date has not come: the next run takes them as due.

    Raises:
        ConfigurationError: The choice cannot be meant; nothing was moved.
        BatchAssetsError: One that is named cannot be requeued; nothing was moved.
    """
    store = DeadLetters(engine)
    criteria = criteria_of(Lookups(engine), wanted, spelled)
    _require_sense(criteria, wanted, spelled)
    _require_known(store, criteria, wanted, spelled)
    groups = store.groups(criteria)
    if wanted.external:
        groups += store.external_groups(criteria)
    if wanted.retries:
        groups += store.retry_groups(criteria)
    if dry_run:
        return RequeueReport(dry_run, groups)
    moved = store.requeue(criteria, external=wanted.external)
    if wanted.retries:
        moved.hastened = store.hasten(criteria)
    return RequeueReport(dry_run, groups, moved)


def _require_sense(criteria: Criteria, wanted: Wanted, spelled: Spelling) -> None:
    """Refuse to move everything by an oversight, or what cannot be chosen so."""
    require_sense(criteria, wanted, spelled, "all dead letters")
    external = spelled("external")
    if wanted.external and criteria.request_ids is None and criteria.company_id is None:
        raise ConfigurationError(f"{external} needs ids or {spelled('company')}.")
    if wanted.external and (criteria.code or criteria.kind):
        raise ConfigurationError(
            f"{external} cannot be chosen by {spelled('code')} or {spelled('kind')}: only our own "
            "failures have them."
        )


def _require_known(
    store: DeadLetters, criteria: Criteria, wanted: Wanted, spelled: Spelling
) -> None:
    """Refuse ids that cannot be requeued."""
    wrong = store.not_to_requeue(
        criteria.request_ids or [], external=wanted.external, retries=wanted.retries
    )
    if not wrong:
        return
    state, which = first_wrong(wrong)
    if state == "retry":
        raise BatchAssetsError(
            f"{which} is going to be retried by itself: "
            f"{spelled('retries')} lets the next run do it."
        )
    if state == "PROCESSING_FAILED":
        raise BatchAssetsError(
            f"{which} failed through LiveDash itself: {spelled('external')} includes it."
        )
    raise BatchAssetsError(f"{which} is no dead letter: it is {state}.")
