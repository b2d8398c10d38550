"""What is due: which companies have enough waiting, and what would be sent for them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from batch_assets import analysis
from batch_assets.domain.estimates import LearntUsage
from batch_assets.domain.money import Price
from batch_assets.domain.packing import Draft, Parts, Sizes, Terms
from batch_assets.domain.policy import Policy
from batch_assets.domain.records import Backlog
from batch_assets.openai_batch.spool import LINE_BYTES
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.store.claims import ClaimSize
from batch_assets.store.livedash_acts import Noticed
from batch_assets.store.registry import WorkSnapshot


@dataclass(frozen=True, slots=True)
class DueReport:
    """What waits, and for which companies it is time; due companies oldest first."""

    due: tuple[Backlog, ...] = ()
    noticed: int = 0
    waiting_requests: int = 0
    waiting_companies: int = 0
    oldest_wait_seconds: float = 0.0
    backlogs: tuple[Backlog, ...] = ()
    """Of every company that has anything waiting, oldest first."""
    beside: Noticed = field(default_factory=Noticed)
    """What LiveDash's own timers have done since the last run."""


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """A batch that would be sent now. Prompt tokens and cost are estimates; `None`: no price."""

    company_id: str
    model: str
    requests: int
    bytes: int
    tokens: int
    cost_eur: float | None


@dataclass(frozen=True, slots=True)
class EstimateBasis:
    """What the cost of requests of one model and processing type is estimated by."""

    model: str
    processing_type: str
    answers: int
    """Answers to others that were read."""
    is_learnt: bool
    """Whether they are enough to go by; else the cost is assumed."""
    error_percent: float | None
    """How far off the estimates of batches were lately; `None` without any."""


@dataclass(frozen=True, slots=True)
class PlanPreview:
    """What the next run would send, what it would refuse for good, and what it would hold back."""

    batches: tuple[PlannedBatch, ...] = ()
    later: tuple[PlannedBatch, ...] = ()
    """What is left for the runs after it: one run has sent enough by then."""
    rejected: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    unknown_types: Counter[str] = field(default_factory=Counter)
    """Of the requests in batches, those whose type is not known: everything is asked of them."""
    parts: Parts = field(default_factory=Parts)
    """Where the tokens of the batches go."""
    follows: int = 0
    """Requests that would share the answer of another one instead."""
    estimates: tuple[EstimateBasis, ...] = ()
    """Of the requests in batches, by model and processing type."""


def find_due(pipeline: Pipeline, snapshot: WorkSnapshot, company_ids: Sequence[str]) -> DueReport:
    """See what LiveDash has done beside us, bring the intake up to date, and say which of these
    companies are due.

    What LiveDash has put back among the waiting goes back to where it was before it could be taken
    for new.
    """
    beside = Noticed()
    if snapshot.has_any_to_lose or snapshot.installation.external_batches:
        beside = pipeline.livedash_acts.notice(pipeline.policy.external_quiet_seconds)
    if snapshot.has_followers:
        pipeline.followers.heal()
    # What is noticed may come to follow another one, for which nobody will buy an answer.
    is_drained = snapshot.installation.drain is not None
    noticed = 0 if is_drained else _notice(pipeline)
    backlogs = pipeline.queries.pending_by_company(company_ids, pipeline.account_name)
    report = DueReport(
        due=tuple(backlog for backlog in backlogs if pipeline.policy.due_rule.is_due(backlog)),
        noticed=noticed,
        beside=beside,
        waiting_requests=sum(backlog.requests for backlog in backlogs),
        waiting_companies=len(backlogs),
        oldest_wait_seconds=max((backlog.oldest_wait_seconds for backlog in backlogs), default=0.0),
        backlogs=tuple(backlogs),
    )
    return pipeline.reports.note(report)


def _notice(pipeline: Pipeline) -> int:
    """Notice all that waits, as far as the time of an op allows; how many requests were new.

    Of a backlog that is longer than what a run sends, only the oldest would else be seen, a few of
    each company: these would be as many small batches as there are companies.
    """
    budget = Budget.of_op(pipeline.policy)
    most = pipeline.policy.rows_per_run
    noticed = found = pipeline.queries.notice_pending(most)
    while found >= most and not budget.is_late:
        found = pipeline.queries.notice_pending(most)
        noticed += found
    return noticed


def preview(
    pipeline: Pipeline,
    snapshot: WorkSnapshot,
    company_ids: Sequence[str],
    *,
    only_model: str | None = None,
) -> PlanPreview:
    """Foresee what the next run would claim for these companies, as long as its time is enough, and
    the runs after it; changes nothing.
    """
    terms = claim_terms(pipeline, snapshot, only_model)
    packings = pipeline.queries.preview(company_ids, terms)
    rejected: Counter[str] = Counter()
    held: Counter[str] = Counter()
    unknown_types: Counter[str] = Counter()
    parts = Parts()
    for packing in packings:
        rejected.update(rejection.code for rejection in packing.rejections)
        held.update(packing.held)
    drafts = [draft for packing in packings for draft in packing.drafts]
    now = drafts[: _of_one_run(drafts, pipeline.policy)]
    for draft in now:
        parts += draft.parts
        unknown_types += _unknown_types(draft)
    return PlanPreview(
        batches=tuple(map(_planned, now)),
        later=tuple(map(_planned, drafts[len(now) :])),
        rejected=rejected,
        held=held,
        unknown_types=unknown_types,
        parts=parts,
        follows=sum(len(packing.followers) for packing in packings),
        estimates=_bases(now, snapshot),
    )


def _of_one_run(drafts: Sequence[Draft], policy: Policy) -> int:
    """How many of these one run sends: it claims until it has claimed enough rows."""
    taken = rows = 0
    while taken < len(drafts) and rows < policy.rows_per_run:
        claimed = ClaimSize(policy).within(drafts[taken:])
        taken += len(claimed)
        rows += sum(len(draft.candidates) for draft in claimed)
    return taken


def _planned(draft: Draft) -> PlannedBatch:
    return PlannedBatch(
        company_id=draft.company_id,
        model=draft.model,
        requests=len(draft.candidates),
        bytes=draft.bytes,
        tokens=draft.tokens,
        cost_eur=None if draft.price is None else draft.cost_eur,
    )


def _bases(drafts: Sequence[Draft], snapshot: WorkSnapshot) -> tuple[EstimateBasis, ...]:
    candidates = (one for draft in drafts for one in draft.candidates)
    keys = {(one.model, analysis.known_type(one.processing_type)) for one in candidates}
    return tuple(
        EstimateBasis(model, name, learnt.answers, learnt.is_enough, learnt.error_percent)
        for model, name in sorted(keys)
        for learnt in [_learnt(snapshot, model, name) or LearntUsage()]
    )


def _learnt(snapshot: WorkSnapshot, model: str, processing_type: str) -> LearntUsage | None:
    return snapshot.learnt_usage.get(model, {}).get(processing_type)


def _unknown_types(draft: Draft) -> Counter[str]:
    shown = (analysis.shown_if_unknown(one.processing_type) for one in draft.candidates)
    return Counter(name for name in shown if name is not None)


def claim_terms(pipeline: Pipeline, snapshot: WorkSnapshot, only_model: str | None = None) -> Terms:
    """Collect what packing has to know of policy, prices and processing types."""
    terms = terms_of(
        pipeline.policy,
        pipeline.price_of,
        snapshot,
        pipeline.api.account,
        pipeline.account_name,
    )
    return replace(terms, only_model=only_model)


def terms_of(
    policy: Policy,
    price_of: Callable[[str], Price | None],
    snapshot: WorkSnapshot,
    account: str,
    account_name: str,
) -> Terms:
    """The same for whoever has no pipeline; `policy` as the server's profile bounds it."""
    return Terms(
        policy=policy,
        price_of=price_of,
        sizes_of=lambda processing_type, name: _sizes_of(
            processing_type,
            policy.model_of(name),
            _learnt(snapshot, name, analysis.known_type(processing_type)),
        ),
        upload_bytes=snapshot.upload_bytes,
        account=account,
        account_name=account_name,
    )


def _sizes_of(processing_type: str, model: str, learnt: LearntUsage | None) -> Sizes:
    return Sizes(
        overhead_bytes=LINE_BYTES + analysis.overhead_bytes(processing_type, model),
        prompt_tokens=analysis.prompt_tokens(processing_type, model),
        schema_tokens=analysis.schema_tokens(processing_type, model),
        completion_tokens=analysis.expected_completion_tokens(processing_type, model),
        learnt=learnt,
        most_completion_tokens=analysis.most_completion_tokens(model),
    )
