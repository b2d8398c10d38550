"""What holds of every packing, whatever waits and however small the quota is."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from batch_assets.domain.money import livedash_price
from batch_assets.domain.packing import Candidate, Packing, Quota, Sizes, Terms, pack
from batch_assets.domain.policy import Caps, Policy

MODELS = ("m1", "m2", "unpriced")
TYPES = ("summary", "categorization", "unknown")
PRICE = livedash_price(1e-5, 2e-5)


@st.composite
def waiting(draw: st.DrawFn) -> list[Candidate]:
    sizes = st.tuples(
        st.sampled_from(MODELS),
        st.sampled_from(TYPES),
        st.integers(0, 4),
        st.integers(0, 3_000),
    )
    return [
        Candidate(f"r{number}", f"s{number}", "c1", model, kind, count, size if count else 0)
        for number, (model, kind, count, size) in enumerate(draw(st.lists(sizes, max_size=40)))
    ]


policies = st.builds(
    Policy,
    max_batch_requests=st.integers(1, 10),
    max_batch_bytes=st.integers(200, 6_000),
    default_token_allowance=st.integers(50, 3_000),
    usd_to_eur=st.floats(0.01, 100),
    caps=st.sampled_from([Caps(), Caps(run_cost_eur=1.0)]),
)
limits = st.one_of(st.none(), st.integers(-5, 30))
costs = st.one_of(st.none(), st.floats(-0.01, 0.2))


@st.composite
def quotas(draw: st.DrawFn) -> Quota:
    return Quota(
        requests={scope: draw(limits) for scope in ("run", "day", "company")},
        cost_eur={scope: draw(costs) for scope in ("run", "day", "company")},
        model_tokens=draw(st.dictionaries(st.sampled_from(MODELS), st.integers(-100, 3_000))),
        models_in_cooldown=draw(st.dictionaries(st.sampled_from(MODELS), st.just("asleep"))),
    )


def terms_of(policy: Policy) -> Terms:
    return Terms(
        policy=policy,
        price_of=lambda model: None if model == "unpriced" else PRICE,
        sizes_of=lambda kind, model: Sizes(150, 30, 20, 20),
    )


def packed(packing: Packing) -> list[Candidate]:
    return [candidate for draft in packing.drafts for candidate in draft.candidates]


@given(waiting(), policies, quotas())
def test_every_request_is_in_exactly_one_place(
    candidates: list[Candidate], policy: Policy, quota: Quota
) -> None:
    packing = pack(candidates, terms_of(policy), quota)
    placed = packed(packing) + [rejection.candidate for rejection in packing.rejections]
    assert max(Counter(candidate.request_id for candidate in placed).values(), default=1) == 1
    assert len(placed) + packing.held.total() == len(candidates)
    assert set(placed) <= set(candidates)


@given(waiting(), policies, quotas())
def test_no_draft_exceeds_a_limit_or_mixes_models(
    candidates: list[Candidate], policy: Policy, quota: Quota
) -> None:
    packing = pack(candidates, terms_of(policy), quota)
    for draft in packing.drafts:
        assert 0 < len(draft.candidates) <= policy.max_batch_requests
        assert 0 < draft.bytes <= policy.max_batch_bytes
        assert {(one.company_id, one.model) for one in draft.candidates} == {
            (draft.company_id, draft.model)
        }


@given(waiting(), policies, quotas())
def test_the_room_is_never_overdrawn_and_what_is_left_is_right(
    candidates: list[Candidate], policy: Policy, quota: Quota
) -> None:
    requests, cost_eur = dict(quota.requests), dict(quota.cost_eur)
    tokens = dict(quota.model_tokens)
    packing = pack(candidates, terms_of(policy), quota)
    sent = packed(packing)
    for scope, limit in requests.items():
        if limit is not None:
            assert len(sent) <= max(limit, 0)
            assert quota.requests[scope] == limit - len(sent)
    spent = sum(draft.cost_eur for draft in packing.drafts)
    assert all(spent <= max(limit, 0.0) + 1e-9 for limit in cost_eur.values() if limit is not None)
    for model, allowance in tokens.items():
        used = sum(draft.tokens for draft in packing.drafts if draft.model == model)
        assert used <= max(allowance, 0)


@given(waiting(), policies, quotas())
def test_the_oldest_of_a_model_go_first(
    candidates: list[Candidate], policy: Policy, quota: Quota
) -> None:
    packing = pack(candidates, terms_of(policy), quota)
    position = {candidate.request_id: index for index, candidate in enumerate(candidates)}
    for model in MODELS:
        order = [
            position[candidate.request_id]
            for draft in packing.drafts
            if draft.model == model
            for candidate in draft.candidates
        ]
        assert order == sorted(order)


@given(waiting(), policies)
def test_with_room_enough_only_a_missing_price_holds_anything_back(
    candidates: list[Candidate], policy: Policy
) -> None:
    packing = pack(candidates, terms_of(policy), Quota())
    never = [rejection.candidate for rejection in packing.rejections]
    unpriced = [one for one in candidates if one.model == "unpriced" and one not in never]
    assert packing.held.total() == (len(unpriced) if policy.caps.limits_cost else 0)
