"""Packing: which of a company's waiting requests go into which batch, and why others stay."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from batch_assets.domain.custom_ids import can_be_matched
from batch_assets.domain.money import Price, livedash_price
from batch_assets.domain.packing import Candidate, Parts, Quota, Sizes, Terms, pack
from batch_assets.domain.policy import Caps, Policy
from batch_assets_tests.policies import a_policy

PRICE = livedash_price(0.01, 0.02)
OVERHEAD = 109
PROMPT_TOKENS, SCHEMA_TOKENS = 13, 20
ANSWER_TOKENS = 50

MakeCandidate = Callable[..., Candidate]


@pytest.fixture
def candidate() -> MakeCandidate:
    """Makes candidates r1, r2, … of 200 bytes and 67 tokens, half of each beside the text."""
    numbers = iter(range(1, 1_000_000))

    def make(
        model: str = "m1",
        *,
        content_bytes: int = 68,
        message_count: int = 1,
        group: str | None = None,
    ) -> Candidate:
        number = next(numbers)
        return Candidate(
            request_id=f"r{number}",
            session_id=f"s{number}",
            company_id="c1",
            model=model,
            processing_type="summary",
            message_count=message_count,
            content_bytes=content_bytes,
            bisection_group=group,
            root_batch_id=None if group is None else "refused",
        )

    return make


def terms(policy: Policy | None = None, prices: Mapping[str, Price | None] | None = None) -> Terms:
    return Terms(
        policy=policy or a_policy(),
        price_of=lambda model: (prices or {}).get(model, PRICE),
        sizes_of=lambda kind, model: Sizes(OVERHEAD, PROMPT_TOKENS, SCHEMA_TOKENS, ANSWER_TOKENS),
    )


UNUSABLE_IDS = [
    "r\t1",
    "r\n1",
    "r\r1",
    "r\u20281",
    "r\u00851",
    "r\x001",
    "r" * 513,
    "r1 ",
    "\ud83d",
]


def ids(candidates: list[Candidate]) -> list[str]:
    return [candidate.request_id for candidate in candidates]


def test_a_draft_ends_at_its_number_of_requests(candidate: MakeCandidate) -> None:
    packing = pack([candidate() for _ in range(5)], terms(a_policy(max_batch_requests=2)), Quota())
    assert [ids(draft.candidates) for draft in packing.drafts] == [
        ["r1", "r2"],
        ["r3", "r4"],
        ["r5"],
    ]


def test_a_draft_ends_at_its_bytes(candidate: MakeCandidate) -> None:
    packing = pack([candidate() for _ in range(5)], terms(a_policy(max_batch_bytes=401)), Quota())
    assert [ids(draft.candidates) for draft in packing.drafts] == [
        ["r1", "r2"],
        ["r3", "r4"],
        ["r5"],
    ]
    assert [draft.bytes for draft in packing.drafts] == [400, 400, 200]
    assert [draft.is_full for draft in packing.drafts] == [True, True, False]


def test_a_draft_may_fill_its_bytes_exactly(candidate: MakeCandidate) -> None:
    packing = pack([candidate(), candidate()], terms(a_policy(max_batch_bytes=400)), Quota())
    assert [draft.bytes for draft in packing.drafts] == [400]


def test_each_model_has_drafts_of_its_own(candidate: MakeCandidate) -> None:
    mixed = [candidate("m1"), candidate("m2"), candidate("m1"), candidate("m2")]
    packing = pack(mixed, terms(), Quota())
    assert [(draft.model, ids(draft.candidates)) for draft in packing.drafts] == [
        ("m1", ["r1", "r3"]),
        ("m2", ["r2", "r4"]),
    ]
    assert {draft.company_id for draft in packing.drafts} == {"c1"}


def test_each_lot_of_suspects_has_drafts_of_its_own(candidate: MakeCandidate) -> None:
    mixed = [candidate(group=group) for group in ("a", None, "b", "a", None, "a")]
    packing = pack(mixed, terms(a_policy(max_batch_requests=2)), Quota())
    assert [(ids(draft.candidates), draft.root_batch_id) for draft in packing.drafts] == [
        (["r1", "r4"], "refused"),
        (["r2", "r5"], None),
        (["r3"], "refused"),
        (["r6"], "refused"),
    ]


def test_the_estimate_counts_text_messages_prompt_and_answer(candidate: MakeCandidate) -> None:
    (draft,) = pack([candidate(message_count=2, content_bytes=304)], terms(), Quota()).drafts
    assert draft.bytes == 304 + 2 * 23 + OVERHEAD
    conversation = 123
    assert draft.parts == Parts(PROMPT_TOKENS, SCHEMA_TOKENS, conversation, ANSWER_TOKENS)
    assert draft.tokens == 156, "a third of the conversation's bytes, rounded up, and the rest"
    usd = (156 * 0.01 + ANSWER_TOKENS * 0.02) / 2
    assert draft.cost_eur == pytest.approx(usd * 0.85)


def test_a_session_without_messages_can_never_be_sent(candidate: MakeCandidate) -> None:
    packing = pack([candidate(message_count=0, content_bytes=0)], terms(), Quota())
    (rejection,) = packing.rejections
    assert (rejection.code, rejection.reason) == ("no_messages", "The session has no messages.")
    assert not packing.drafts


@pytest.mark.parametrize("odd", UNUSABLE_IDS, ids=ascii)
def test_what_no_result_could_be_matched_to_is_never_sent(
    candidate: MakeCandidate, odd: str
) -> None:
    bad, good = replace(candidate(), request_id=odd), replace(candidate(), request_id="é-r 1")
    packing = pack([bad, good], terms(), Quota())
    assert [rejection.code for rejection in packing.rejections] == ["unusable_id"]
    assert odd not in packing.rejections[0].reason
    assert [ids(draft.candidates) for draft in packing.drafts] == [["é-r 1"]]
    assert not can_be_matched(odd)


@pytest.mark.parametrize(
    "policy",
    [a_policy(max_batch_bytes=199), a_policy(default_token_allowance=66)],
    ids=["bytes", "tokens"],
)
def test_what_fits_into_no_batch_can_never_be_sent(
    candidate: MakeCandidate, policy: Policy
) -> None:
    packing = pack([candidate()], terms(policy), Quota())
    assert [rejection.code for rejection in packing.rejections] == ["too_large"]


@pytest.mark.parametrize("code", ["no_messages", "too_large"])
def test_a_rejection_uses_up_no_room(candidate: MakeCandidate, code: str) -> None:
    bad = {
        "no_messages": candidate(message_count=0, content_bytes=0),
        "too_large": candidate(content_bytes=10_000),
    }[code]
    good = candidate()
    quota = Quota(requests={"run": 1}, cost_eur={"run": 10.0}, model_tokens={"m1": 67})
    packing = pack([bad, good], terms(a_policy(max_batch_bytes=1_000)), quota)
    assert [rejection.code for rejection in packing.rejections] == [code]
    assert [ids(draft.candidates) for draft in packing.drafts] == [[good.request_id]]


def test_the_token_allowance_of_a_model_ends_its_turn(candidate: MakeCandidate) -> None:
    quota = Quota(model_tokens={"m1": 2 * 67})
    waiting = [candidate("m1") for _ in range(4)] + [candidate("m2")]
    packing = pack(waiting, terms(), quota)
    assert {draft.model: len(draft.candidates) for draft in packing.drafts} == {"m1": 2, "m2": 1}
    assert packing.held == {"model m1 is in cooldown: its token allowance is used up": 2}
    assert quota.model_tokens == {"m1": 0}


def test_no_small_request_overtakes_a_large_one_of_its_model(candidate: MakeCandidate) -> None:
    quota = Quota(model_tokens={"m1": 100})
    packing = pack([candidate(content_bytes=500), candidate()], terms(), quota)
    assert not packing.drafts
    assert packing.held.total() == 2


def test_a_resting_model_holds_its_requests_with_the_reason(candidate: MakeCandidate) -> None:
    quota = Quota(models_in_cooldown={"m1": "token_limit_exceeded"})
    packing = pack([candidate("m1"), candidate("m2")], terms(), quota)
    assert [draft.model for draft in packing.drafts] == ["m2"]
    assert packing.held == {"model m1 is in cooldown: token_limit_exceeded": 1}


@pytest.mark.parametrize("scope", ["run", "day", "company"])
def test_a_cap_on_requests_holds_the_rest(candidate: MakeCandidate, scope: str) -> None:
    quota = Quota(requests={"run": None, "day": None, "company": None} | {scope: 3})
    packing = pack([candidate() for _ in range(5)], terms(), quota)
    assert [len(draft.candidates) for draft in packing.drafts] == [3]
    assert packing.held == {"cap on requests": 2}
    assert quota.requests[scope] == 0


@pytest.mark.parametrize("scope", ["run", "day", "company"])
def test_a_cap_on_cost_holds_the_rest(candidate: MakeCandidate, scope: str) -> None:
    one = (67 * 0.01 + ANSWER_TOKENS * 0.02) / 2 * 0.85
    quota = Quota(cost_eur={"run": None, "day": None, "company": None} | {scope: 2.5 * one})
    packing = pack([candidate() for _ in range(4)], terms(), quota)
    assert [len(draft.candidates) for draft in packing.drafts] == [2]
    assert packing.held == {"cap on estimated cost": 2}


def test_a_used_up_cap_lets_nothing_through(candidate: MakeCandidate) -> None:
    packing = pack([candidate()], terms(), Quota(requests={"day": -7}))
    assert not packing.drafts
    assert packing.held == {"cap on requests": 1}


def test_a_model_without_a_price_waits_only_while_costs_are_capped(
    candidate: MakeCandidate,
) -> None:
    unknown = {"m1": None}
    capped = terms(a_policy(caps=Caps(day_cost_eur=1_000_000.0)), unknown)
    assert pack([candidate()], capped, Quota()).held == {
        "model m1 is in cooldown: it has no price, and costs are capped": 1
    }
    (draft,) = pack([candidate()], terms(prices=unknown), Quota()).drafts
    assert draft.cost_eur == 0.0


def test_counting_requests_alone_does_not_ask_for_a_price(candidate: MakeCandidate) -> None:
    counted = terms(a_policy(caps=Caps(day_requests=5)), {"m1": None})
    assert len(pack([candidate()], counted, Quota(requests={"day": 5})).drafts) == 1
