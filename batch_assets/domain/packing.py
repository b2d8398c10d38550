"""Which of a company's waiting requests go into which batch: a pure function of what was read.

Requests are grouped by model and taken oldest first; those of a refused batch go by the groups of
its bisection, apart from all others. A batch ends where the next request would exceed its request
count or its bytes. Packing passes over what a cap, a budget, the model's token allowance or its
cooldown or the account's batches of the hour forbid; that waits, with its reason counted.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.budgets import BudgetLeft, is_beyond
from batch_assets.domain.custom_ids import can_be_matched
from batch_assets.domain.estimates import LearntUsage
from batch_assets.domain.money import Price, Usage
from batch_assets.domain.policy import Policy

ESTIMATED_BYTES_PER_TOKEN = 3
"""UTF-8 bytes a token of a conversation: English has about four, so that an estimate errs on the
safe side."""

JSON_BYTES_PER_MESSAGE = 32
"""What one message adds to the request line beside its text: time, role, quotes, escaped twice.
For tokens: these are not short of what is paid."""
LINE_BYTES_PER_MESSAGE = 23
"""The same for the bytes of a file, 22 of them without what has to be escaped in the text: a file
turns out less than half a per cent smaller than estimated. Requests that do not fit in, since there
was more to escape, wait again."""

_MOST_TOKENS_PER_ESTIMATED = ESTIMATED_BYTES_PER_TOKEN
"""A token has a byte at least, so that what is sent has no more tokens than bytes."""

CAP_ON_REQUESTS = "cap on requests"
CAP_ON_COST = "cap on estimated cost"
BEYOND_A_WHOLE_CAP = (
    "estimated at more than a whole cap on cost: it never fits, unless the cap is raised"
)
LONGER_THAN_ALLOWED = "longer than its model's token allowance"
HOURLY_BATCHES = "the account's batches of this hour are used up"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting request, locked by the claim that reads it; counts are of its messages."""

    request_id: str
    session_id: str
    company_id: str
    model: str
    processing_type: str
    message_count: int
    content_bytes: int
    bisection_group: str | None = None
    """The bisection group that it goes with: it has a batch of its own."""
    root_batch_id: str | None = None
    """The refused batch with which the suspicion began."""
    leader_id: str | None = None
    """The open request that asks the same: this one is not sent, and shares its answer."""
    is_dated: bool = True
    """Whether LiveDash's date of it is one that can be held."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that can never be sent, with a stable code and a reason for people."""

    candidate: Candidate
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is known of a model and type before sending: the request's and the answer's size."""

    overhead_bytes: int
    """Of the request's line without its conversation."""
    prompt_tokens: int
    """Of the instructions."""
    schema_tokens: int
    """Of the schema that is sent beside them; 0: none is."""
    completion_tokens: int
    """What is assumed of an answer as long as too little was learnt."""
    learnt: LearntUsage | None = None
    """What answers to others have used; `None`: there were none."""
    most_completion_tokens: int | None = None
    """The limit that is sent for an answer; `None`: nobody knows."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that packing has to know beside the candidates."""

    policy: Policy
    price_of: Callable[[str], Price | None]
    sizes_of: Callable[[str, str], Sizes]
    """(processing type, model) to its sizes."""
    only_model: str | None = None
    """Requests of other models are passed over; `None`: they are all wanted."""
    upload_bytes: int | None = None
    """What the server has turned out to take in one file; one request alone may be more."""
    account: str | None = None
    """The account whose allowances count, as `Holder` has it."""
    account_name: str = DEFAULT_ACCOUNT
    """What it is called: companies that another one serves are passed over."""
    unsendable: frozenset[str] = frozenset()
    """Requests that the server has refused for their size, each alone in a file."""


@dataclass(slots=True)
class Quota:
    """What may still be sent for one company; packing takes from it.

    The scopes of `requests` and `cost_eur` are "run", "day" and "company", in this order; `None` is
    no limit.
    """

    requests: dict[str, float | None] = field(default_factory=dict)
    cost_eur: dict[str, float | None] = field(default_factory=dict)
    budgets: list[BudgetLeft] = field(default_factory=list)
    """What is left of each budget; of several that are spent the first is the reason."""
    model_tokens: dict[str, int] = field(default_factory=dict)
    """Prompt tokens that may still be enqueued, for each model that has been looked up."""
    model_allowances: dict[str, int] = field(default_factory=dict)
    """Prompt tokens that may be enqueued of a model if none are; a longer request waits alone."""
    batches: int | None = None
    """Batches that the server may still be asked for in this hour."""
    models_in_cooldown: dict[str, str] = field(default_factory=dict)
    """Models of which nothing more may be sent now, with the reason; packing adds to them."""

    def take(self, model: str, estimate: "Estimate") -> None:
        """Use up what one request of a model needs."""
        if model in self.model_tokens:
            self.model_tokens[model] -= estimate.tokens
        for scope, left in self.requests.items():
            self.requests[scope] = None if left is None else left - 1
        for scope, left in self.cost_eur.items():
            self.cost_eur[scope] = None if left is None else left - (estimate.cost_eur or 0.0)
        for budget in self.budgets:
            budget.left_eur -= estimate.cost_eur or 0.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Where tokens are estimated to go: the first three are paid as input, the last as output."""

    prompt: int = 0
    schema: int = 0
    conversation: int = 0
    answer: int = 0

    @property
    def input(self) -> int:
        """What OpenAI calls prompt tokens."""
        return self.prompt + self.schema + self.conversation

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(
            self.prompt + other.prompt,
            self.schema + other.schema,
            self.conversation + other.conversation,
            self.answer + other.answer,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A request before it is sent: bytes of its line, tokens, EUR (`None`: no price).

    Input tokens err on the safe side, since the server's limits count by them; the cost is what
    such requests have cost, once enough of them were answered.
    """

    bytes: int
    text_bytes: int
    """Of its conversation, with what each message adds: what estimates learn by."""
    parts: Parts
    cost_eur: float | None

    @property
    def tokens(self) -> int:
        """Prompt tokens."""
        return self.parts.input


@dataclass(slots=True)
class Draft:
    """A batch that is about to be claimed: requests of one company and one model, oldest first.

    Of bisection groups, only one, and `root_batch_id` is the batch with which that began.
    """

    company_id: str
    model: str
    root_batch_id: str | None = None
    bisection_group: str | None = None
    candidates: list[Candidate] = field(default_factory=list)
    estimates: list[Estimate] = field(default_factory=list)
    """Of each of them."""
    is_full: bool = False
    """Whether the next request did not go in, or could not."""
    bytes: int = 0
    parts: Parts = field(default_factory=Parts)
    cost_eur: float = 0.0
    price: Price | None = None
    """What its model costs; `None`: nobody knows."""

    @property
    def tokens(self) -> int:
        """Prompt tokens."""
        return self.parts.input

    def add(self, candidate: Candidate, estimate: Estimate) -> None:
        """Take one request in."""
        self.candidates.append(candidate)
        self.estimates.append(estimate)
        self.bytes += estimate.bytes
        self.parts += estimate.parts
        self.cost_eur += estimate.cost_eur or 0.0


@dataclass(slots=True)
class Packing:
    """The drafts, what can never be sent or shares an answer, and why others were left waiting."""

    drafts: list[Draft] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    """Reason to number of requests that stay waiting because of it."""
    followers: list[Candidate] = field(default_factory=list)
    """Requests that ask the same as another open one: they use up nothing."""
    least_eur: float = math.inf
    """The least that one was estimated at, whether it was packed or held for its cost."""


def pack(candidates: Iterable[Candidate], terms: Terms, quota: Quota) -> Packing:
    """Pack one company's candidates, given oldest first, taking what is used from `quota`."""
    packing = Packing()
    drafts: dict[tuple[str, str | None], Draft] = {}
    for candidate in candidates:
        if candidate.leader_id is not None:
            packing.followers.append(candidate)
            continue
        size = size_up(candidate, terms)
        if isinstance(size, Rejection):
            packing.rejections.append(size)
            continue
        hold = _hold(candidate, size, terms, quota, packing)
        if hold is not None:
            packing.held[hold] += 1
            continue
        together = (candidate.model, candidate.bisection_group)
        draft = drafts.get(together)
        if draft is not None and not _fits(draft, size, terms):
            draft.is_full = True
        if draft is None or draft.is_full:
            if quota.batches is not None and quota.batches < 1:
                packing.held[HOURLY_BATCHES] += 1
                continue
            draft = Draft(
                candidate.company_id,
                candidate.model,
                candidate.root_batch_id,
                candidate.bisection_group,
                price=terms.price_of(candidate.model),
            )
            drafts[together] = draft
            packing.drafts.append(draft)
            quota.batches = None if quota.batches is None else quota.batches - 1
        draft.add(candidate, size)
        draft.is_full = len(draft.candidates) == terms.policy.max_batch_requests
        quota.take(candidate.model, size)
    return packing


def size_up(candidate: Candidate, terms: Terms) -> Estimate | Rejection:
    """The request's estimate, or why it can never be sent."""
    if not can_be_matched(candidate.request_id):
        return Rejection(
            candidate,
            "unusable_id",
            "Its id is too long or holds characters such as a tab or a line break: no result of a "
            "batch could be matched to it.",
        )
    if not candidate.is_dated:
        return Rejection(
            candidate,
            "unusable_date",
            "Its date (requestedAt) is infinite or lies outside the years 1 to 9999: put that "
            "right in LiveDash's table, then requeue it.",
        )
    if candidate.message_count == 0:
        return Rejection(candidate, "no_messages", "The session has no messages.")
    if candidate.request_id in terms.unsendable:
        return Rejection(
            candidate,
            "upload_refused",
            "The server, or a gateway before it, refuses the conversation for its size (HTTP 413), "
            "also where nothing else is in the file.",
        )
    sizes = terms.sizes_of(candidate.processing_type, candidate.model)
    text = candidate.content_bytes + JSON_BYTES_PER_MESSAGE * candidate.message_count
    line = candidate.content_bytes + LINE_BYTES_PER_MESSAGE * candidate.message_count
    size = line + sizes.overhead_bytes
    usage = _expected(sizes, text)
    parts = Parts(
        prompt=sizes.prompt_tokens,
        schema=sizes.schema_tokens,
        conversation=_most_tokens(text),
        answer=usage.completion_tokens,
    )
    tokens = parts.input
    policy = terms.policy
    if size > policy.max_batch_bytes or tokens > policy.longest_request(candidate.model):
        return Rejection(
            candidate, "too_large", f"The conversation is too long to be sent (~{tokens} tokens)."
        )
    price = terms.price_of(candidate.model)
    cost = None if price is None else price.batch.cost(usage) * policy.usd_to_eur
    return Estimate(bytes=size, text_bytes=text, parts=parts, cost_eur=cost)


def _most_tokens(text_bytes: int) -> int:
    return -(-text_bytes // ESTIMATED_BYTES_PER_TOKEN)


def _expected(sizes: Sizes, text_bytes: int) -> Usage:
    """What a request is expected to use: by what others have used, or by what is assumed."""
    constant = sizes.prompt_tokens + sizes.schema_tokens
    if sizes.learnt is not None and sizes.learnt.is_enough:
        usage = sizes.learnt.expected(text_bytes, constant)
        # A server that has said nonsense of one answer must not keep all others from being sent.
        input_limit = _MOST_TOKENS_PER_ESTIMATED * constant + text_bytes
        output_limit = sizes.most_completion_tokens or usage.completion_tokens
        return replace(
            usage,
            prompt_tokens=min(usage.prompt_tokens, input_limit),
            completion_tokens=min(usage.completion_tokens, output_limit),
        )
    return Usage(
        prompt_tokens=constant + _most_tokens(text_bytes),
        completion_tokens=sizes.completion_tokens,
    )


def _hold(
    candidate: Candidate, size: Estimate, terms: Terms, quota: Quota, packing: Packing
) -> str | None:
    """Why a request has to wait although it could be sent, or `None`; `packing` learns its cost."""
    if quota.model_allowances.get(candidate.model, size.tokens) < size.tokens:
        return LONGER_THAN_ALLOWED
    if candidate.model not in quota.models_in_cooldown:
        reason = _why_cooling(candidate.model, size, terms, quota)
        if reason is not None:
            quota.models_in_cooldown[candidate.model] = reason
    if candidate.model in quota.models_in_cooldown:
        return held_by_cooldown(candidate.model, quota.models_in_cooldown[candidate.model])
    if any(left is not None and left < 1 for left in quota.requests.values()):
        return CAP_ON_REQUESTS
    packing.least_eur = min(packing.least_eur, size.cost_eur or 0.0)
    return _beyond_its_cost(candidate, size, terms, quota)


def _beyond_its_cost(
    candidate: Candidate, size: Estimate, terms: Terms, quota: Quota
) -> str | None:
    """Which budget or cap its cost would go beyond, or `None`; first what it never fits into."""
    if size.cost_eur is None and quota.budgets:
        return f"model {candidate.model} has no price, and its company has a budget"
    cost = size.cost_eur or 0.0
    for budget in quota.budgets:
        if budget.never_fits(cost):
            return budget.use.too_small_reason
    if any(0 < cap < cost for cap in terms.policy.caps.costs_eur):
        return BEYOND_A_WHOLE_CAP
    for budget in quota.budgets:
        if is_beyond(budget.left_eur, cost):
            return budget.held_reason
    if any(left is not None and is_beyond(left, cost) for left in quota.cost_eur.values()):
        return CAP_ON_COST
    return None


def _why_cooling(model: str, size: Estimate, terms: Terms, quota: Quota) -> str | None:
    """Why nothing more of a model can be sent from here on, or `None`."""
    # Where one company alone has a budget, others may send what has no price.
    is_limited = terms.policy.caps.limits_cost or any(one.is_of_all for one in quota.budgets)
    if size.cost_eur is None and is_limited:
        return "it has no price, and costs are capped"
    if quota.model_tokens.get(model, size.tokens) < size.tokens:
        return "its token allowance is used up"
    return None


def held_by_cooldown(model: str, reason: str) -> str:
    """The reason with which requests of a model in a cooldown are counted as held."""
    return f"model {model} is in cooldown: {reason}"


def _fits(draft: Draft, size: Estimate, terms: Terms) -> bool:
    most = terms.policy.max_batch_bytes
    if terms.upload_bytes is not None:
        most = min(most, terms.upload_bytes)
    return draft.bytes + size.bytes <= most
