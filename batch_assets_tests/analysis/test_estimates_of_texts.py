"""How near estimates of texts come to what OpenAI's tokenizer counts, once enough was read."""

import base64
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import pytest
import toktok  # type: ignore[import-untyped]

from batch_assets.analysis import (
    expected_completion_tokens,
    prompt_tokens,
    request_body,
    schema_tokens,
)
from batch_assets.domain.estimates import LearntUsage
from batch_assets.domain.money import Cost, Usage, livedash_price
from batch_assets.domain.packing import Candidate, Quota, Sizes, Terms, pack
from batch_assets.domain.records import Conversation, Response, RowOutcome
from batch_assets.store.outcomes import learnt_columns, learnt_of
from batch_assets_local.samples import sample_sessions
from batch_assets_tests.policies import a_policy

TYPES = ("session_analysis", "categorization", "summary")
MODEL = "gpt-4o-mini"
PRICE = livedash_price(1e-6, 4e-6)
BATCH = 20


@dataclass(frozen=True)
class Said:
    """A conversation: each message's role and content."""

    messages: Sequence[tuple[str, str]]

    def candidate(self, name: str) -> Candidate:
        size = sum(len(content.encode()) for _, content in self.messages)
        return Candidate("r", "s", "c", MODEL, name, len(self.messages), size)

    def texts(self, name: str) -> list[str]:
        """What the model is shown: the messages, and the schema of its answer."""
        times = ["2026-03-12 09:30:05"] * len(self.messages)
        roles, contents = zip(*self.messages, strict=True)
        body = request_body(Conversation("r", "s", "b", MODEL, name, times, roles, contents))
        schema = body["response_format"]["json_schema"]["schema"]
        shown = [one["content"] for one in body["messages"]]
        return [json.dumps(schema, separators=(",", ":")), *shown]


def counted(asked: Sequence[tuple[Said, str]]) -> list[int]:
    """The input tokens of each request; one call of the tokenizer, which begins slowly."""
    texts = [one.texts(name) for one, name in asked]
    tokens = iter(toktok.batch_count(list(chain.from_iterable(texts)), "o200k_base"))
    return [sum(next(tokens) for _ in some) + 3 * (len(some) - 1) for some in texts]


def samples() -> Iterator[Said]:
    for session in sample_sessions(now=datetime(2026, 3, 12, 9, 30, tzinfo=UTC)):
        if session.messages:
            yield Said([(one.role, one.content) for one in session.messages])


def texts() -> list[Said]:
    """Four hundred conversations of the samples."""
    found = list(samples())
    return random.Random(3).choices(found, k=400)


def odd(kind: str) -> list[Said]:
    """Conversations of digits, or of what looks like files."""
    rng = random.Random(4)

    def content() -> str:
        size = rng.randrange(100, 3_000)
        if kind == "digits":
            return "".join(rng.choices("0123456789", k=size))
        return base64.b64encode(rng.randbytes(size)).decode()

    return [Said([("user", content())]) for _ in range(400)]


def terms(learnt: Mapping[tuple[str, str], LearntUsage]) -> Terms:
    def sizes_of(name: str, model: str) -> Sizes:
        constant = prompt_tokens(name, model), schema_tokens(name, model)
        answer = expected_completion_tokens(name, model)
        return Sizes(0, *constant, answer, learnt.get((model, name)))

    return Terms(a_policy(), lambda _: PRICE, sizes_of)


def play(said: Sequence[Said], *names: str) -> tuple[float, float]:
    """Send conversations in batches, one after the other, and learn of each what it has used.

    How far off the estimates of the first half were, and of the second, as a part of the cost.
    """
    rng = random.Random(5)
    rate = a_policy().usd_to_eur
    learnt: dict[tuple[str, str], LearntUsage] = {}
    off, costs = [0.0, 0.0], [0.0, 0.0]
    requests = [(one, rng.choice(names)) for one in said]
    prompts = iter(counted(requests))
    for start in range(0, len(said), BATCH):
        asked = requests[start : start + BATCH]
        candidates = [one.candidate(name) for one, name in asked]
        (draft,) = pack(candidates, terms(learnt), Quota()).drafts
        of_batch: dict[str, LearntUsage] = {}
        cost = 0.0
        for (_, name), estimate in zip(asked, draft.estimates, strict=True):
            output = round(rng.uniform(0.3, 1.2) * expected_completion_tokens(name))
            usage = Usage(prompt_tokens=next(prompts), completion_tokens=output)
            eur = PRICE.batch.cost(usage) * rate
            response = Response("id", MODEL, None, None, usage, None)
            outcome = RowOutcome("r", response, Cost(eur=eur))
            used = learnt_of(outcome, estimate.text_bytes, estimate.cost_eur)
            assert used is not None
            of_batch[name] = used.plus(of_batch.get(name, LearntUsage()))
            cost += eur
        for column in learnt_columns([(MODEL, of_batch)]):
            key = column.pop("model"), column.pop("processing_type")
            learnt[key] = LearntUsage(**column).after(learnt.get(key, LearntUsage()))
        half = start >= len(said) // 2
        off[half] += abs(draft.cost_eur - cost)
        costs[half] += cost
    return off[0] / costs[0], off[1] / costs[1]


@pytest.mark.parametrize("name", TYPES)
def test_texts_are_estimated_to_a_few_per_cent_after_two_hundred(name: str) -> None:
    first, later = play(texts(), name)
    assert later < 0.1
    assert later < first


@pytest.mark.parametrize("kind", ["digits", "base64"])
def test_so_are_digits_and_what_looks_like_files(kind: str) -> None:
    first, later = play(odd(kind), "session_analysis")
    assert later < 0.1
    assert later < first


def test_the_types_of_one_batch_are_told_apart() -> None:
    _, later = play(texts(), *TYPES)
    assert later < 0.1
