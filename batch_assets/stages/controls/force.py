"""A batch for one company now, although its requests are not due by their number or age.

Everything else holds: the company has to be active, submissions allowed, caps and token allowances
not used up, breakers closed.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from batch_assets.domain.display import about_cost, plural
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.domain.lookups import NamedCompany
from batch_assets.stages.circuit_breakers import submission_held_by
from batch_assets.stages.controls.criteria import Spelling, company_of
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.plan import PlannedBatch, preview
from batch_assets.stages.submit import SubmitReport, submit_due
from batch_assets.store.lookups import Lookups
from batch_assets.store.registry import WorkSnapshot


@dataclass(frozen=True)
class Demand:
    """For which company, and how much of what waits for it at most."""

    company: str
    """Id or name."""
    model: str | None = None
    max_requests: int | None = None


@dataclass(frozen=True)
class ForceReport:
    """What was sent, or what would be. Tokens and cost are estimates."""

    company: NamedCompany
    dry_run: bool
    planned: tuple[PlannedBatch, ...] = ()
    """What would be sent; only of a dry run."""
    sent: SubmitReport = field(default_factory=SubmitReport)
    rejected: Counter[str] = field(default_factory=Counter)
    """Requests that can never be sent, by code."""
    held: Counter[str] = field(default_factory=Counter)
    """Requests that stay waiting, by reason."""
    held_because: str | None = None
    """Why nothing at all would be sent now; only of a dry run."""

    @property
    def requests(self) -> int:
        """The number of requests that were sent, or would be."""
        return self.sent.requests + sum(batch.requests for batch in self.planned)

    @property
    def sentence(self) -> str:
        """Sentences on what was sent, or would be, and what stays behind."""
        name, would = self.company.name, "would wait" if self.dry_run else "wait"
        said = [self._sent()] if self.requests else [f"Nothing of {name} is sent."]
        if not (self.requests or self.held or self.rejected or self.sent.released):
            said = [f"Nothing of {name} waits to be sent."]
        for reason, number in self.held.items():
            said.append(f"{plural(number, 'request')} {would} on: {reason}.")
        for code, number in self.rejected.items():
            said.append(f"{plural(number, 'request')} can never be sent: {code}.")
        if self.sent.released:
            given_back = plural(self.sent.released, "batch was", "batches were")
            said.append(f"{given_back} not taken, and the requests wait again.")
        if self.held_because is not None:
            said.append(f"But nothing is submitted now. {self.held_because}")
        return " ".join(said)

    def _sent(self) -> str:
        batches = len(self.planned) or self.sent.batches
        cost = self.sent.cost
        if self.planned:
            unpriced = sum(one.requests for one in self.planned if one.cost_eur is None)
            known = sum(one.cost_eur or 0.0 for one in self.planned)
            cost = known, self.requests, unpriced
        return (
            f"{'Would send' if self.dry_run else 'Sent'} {plural(self.requests, 'request')} of "
            f"{self.company.name} in {plural(batches, 'batch', 'batches')}, "
            f"{about_cost(*cost)}."
        )


def force_batch(
    pipeline: Pipeline, demand: Demand, spelled: Spelling, budget: Budget, *, dry_run: bool
) -> ForceReport:
    """Send what waits for the company, or say with `dry_run` what would be sent.

    Raises:
        ConfigurationError: The demand cannot be meant.
        BatchAssetsError: The company is not active; and whatever `submit_due` raises.
        ApiError: As from `submit_due`.
    """
    if demand.max_requests is not None and demand.max_requests < 1:
        raise ConfigurationError(
            f"{spelled('max_requests')} is {demand.max_requests}: it must be 1 or more."
        )
    company = company_of(Lookups(pipeline.registry.engine), demand.company)
    if company.status != "ACTIVE":
        raise BatchAssetsError(
            f"Company {company.name} is {company.status}: nothing is sent for it until LiveDash "
            "makes it ACTIVE."
        )
    ours = _without_waiting(pipeline, demand)
    snapshot = pipeline.read_snapshot()
    if dry_run:
        return _foresee(ours, snapshot, company, demand)
    pipeline.queries.notice_pending(pipeline.policy.rows_per_run)
    sent = submit_due(ours, snapshot, [company.id], budget, only_model=demand.model)
    sent.batches_sent = [replace(one, company=company.name) for one in sent.batches_sent]
    return ForceReport(company, dry_run, sent=sent, rejected=sent.rejected, held=sent.held)


def _without_waiting(pipeline: Pipeline, demand: Demand) -> Pipeline:
    """The same with a policy by which a single request is due, and no more than is demanded."""
    caps = pipeline.policy.caps
    limits = [caps.run_requests, demand.max_requests]
    least = min((limit for limit in limits if limit is not None), default=None)
    policy = replace(pipeline.policy, min_batch_requests=1, caps=replace(caps, run_requests=least))
    return replace(pipeline, policy=policy)


def _foresee(
    pipeline: Pipeline, snapshot: WorkSnapshot, company: NamedCompany, demand: Demand
) -> ForceReport:
    plan = preview(pipeline, snapshot, [company.id], only_model=demand.model)
    return ForceReport(
        company,
        dry_run=True,
        planned=plan.batches,
        rejected=plan.rejected,
        held=plan.held,
        held_because=submission_held_by(pipeline.api.profile, snapshot),
    )
