"""Over simulated days, whatever happens: what a day has submitted costs no more than its caps.

But for how far off the estimates were of what was in flight when the day's last batch was claimed.
One of two models reasons, and now and then to its limit; texts of one company have more tokens a
byte; batches end late, also on the next day; lines are lost and billed; batches are released and
were made all the same.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from batch_assets.domain.batches import BatchOutcomes, ClaimedBatch
from batch_assets.domain.money import Usage, batch_cost, livedash_price
from batch_assets.domain.packing import JSON_BYTES_PER_MESSAGE, Sizes, Terms
from batch_assets.domain.policy import Caps
from batch_assets.domain.records import RowOutcome
from batch_assets.store.protocol import Spent
from batch_assets.store.registry import Registry
from batch_assets_tests.factories import make_requests
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import ACCOUNT, FINDINGS, RESPONSE, Desk

PRICES = {
    "gpt-4o-mini": livedash_price(2e-5, 8e-5),
    "o4-mini": livedash_price(1e-6, 4e-6),
}
CONSTANT_TOKENS = 350
LIMIT = 9_000
BYTES_A_TOKEN = {"texts": 4.3, "digits": 1.8}
CAPS = Caps(run_cost_eur=0.12, day_cost_eur=0.3, company_day_cost_eur=0.15)
POLICY = a_policy(caps=CAPS, max_batch_requests=6)
DAYS, ROUNDS = 4, 5


@dataclass
class Sent:
    """A batch that was claimed: what it was estimated at, and what it has cost in the end."""

    batch: ClaimedBatch
    day: int
    cost_eur: float = 0.0
    is_settled: bool = False


@dataclass
class History:
    """What was sent, and what was in flight of each day and company at its last claim."""

    desk: Desk
    registry: Registry
    rng: random.Random
    companies: Mapping[str, str]
    """Their ids, with the kind of their texts."""
    sent: list[Sent] = field(default_factory=list)
    in_flight: dict[tuple[int, str | None], list[Sent]] = field(default_factory=dict)
    held: int = 0

    def wait(self) -> None:
        """More comes to wait than the caps let through."""
        with self.desk.engine.begin() as connection:
            for company_id in self.companies:
                for _ in range(16):
                    model = self.rng.choices(list(PRICES), [3, 1])[0]
                    said = [("user", "x" * self.rng.randrange(300, 4_000))]
                    make_requests(
                        connection, company_id, 1, model=model, messages=said, age=timedelta(1)
                    )
        self.desk.queries.notice_pending(10_000)

    def claim(self, day: int) -> None:
        """Claim and send under the caps, by what was learnt until then."""
        learnt = self.registry.snapshot().learnt_usage

        def sizes(kind: str, model: str) -> Sizes:
            answer = LIMIT if model == "o4-mini" else 100
            return Sizes(1_000, 200, 200, answer, learnt.get(model, {}).get(kind))

        terms = Terms(POLICY, PRICES.get, sizes, account=ACCOUNT)
        order = self.rng.sample(sorted(self.companies), len(self.companies))
        claim = self.desk.queries.claim(order, terms, self.desk.holder, Spent())
        self.held += claim.held.get("cap on estimated cost", 0)
        new = [Sent(batch, day) for batch in claim.batches]
        self.sent += new
        for one in new:
            if self.rng.random() < 0.1:
                self.release(one)
            else:
                self.desk.upload(one.batch.lease)
                self.desk.submit(one.batch)
        for company_id in {None, *(one.batch.company_id for one in new)} if new else ():
            self.in_flight[day, company_id] = [
                one for one in self.of(day, company_id) if not one.is_settled or one in new
            ]

    def of(self, day: int, company_id: str | None) -> list[Sent]:
        """What a day has sent, of one company or of all."""
        return [
            one
            for one in self.sent
            if one.day == day and company_id in (None, one.batch.company_id)
        ]

    def release(self, one: Sent) -> None:
        """Give a batch back; half of them the server has made all the same."""
        self.desk.queries.release([one.batch.lease])
        one.is_settled = True
        if self.rng.random() < 0.5:
            one.cost_eur = one.batch.cost_eur * self.rng.uniform(0.5, 1.3)
            self.desk.do(
                "INSERT INTO batch_assets.duplicate_batch"
                " (openai_batch_id, batch_id, estimated_cost_eur, cost_usd, cost_eur)"
                " VALUES (:id, :id, :estimate, 0, :cost)",
                id=one.batch.id,
                estimate=one.batch.cost_eur,
                cost=one.cost_eur,
            )

    def settle(self, part: float) -> None:
        """Let a part of what is in flight end, and read it."""
        for one in self.sent:
            if not one.is_settled and self.rng.random() < part:
                self.read(one)

    def read(self, one: Sent) -> None:
        """Read a batch to its end; some of its lines are lost, and billed all the same."""
        rows = self.desk.rows(
            'SELECT r.id, r."processingType" AS kind, sum(octet_length(m.content)) AS size'
            ' FROM batch_assets.attempt AS a JOIN public."AIProcessingRequest" AS r'
            ' ON r.id = a.request_id JOIN public."Message" AS m ON m."sessionId" = r."sessionId"'
            " WHERE a.batch_id = :id GROUP BY 1, 2 ORDER BY 1",
            id=one.batch.id,
        )
        price = PRICES[one.batch.model]
        outcomes = []
        prompt = completion = 0
        for number, row in enumerate(rows):
            usage = self.usage(one.batch, row.size)
            prompt += usage.prompt_tokens
            completion += usage.completion_tokens
            cost = batch_cost(usage, price, POLICY.usd_to_eur)
            one.cost_eur += cost.eur
            if number == 0 or self.rng.random() > 0.2:
                answer = replace(RESPONSE, usage=usage)
                findings = replace(FINDINGS, questions=None)
                outcomes.append(
                    RowOutcome(row.id, answer, cost, findings, processing_type=row.kind)
                )
        billed = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=0)
        self.desk.end(self.desk.in_flight(one.batch.id), billed=billed)
        lease = self.desk.take(one.batch.id).lease
        results = [BatchOutcomes(lease, outcomes, price=price, model=one.batch.model)]
        assert not self.desk.queries.write_results(results, POLICY)[one.batch.id].error
        assert self.desk.finalize(lease) is not None
        one.is_settled = True

    def usage(self, batch: ClaimedBatch, size: int) -> Usage:
        """What one request really uses."""
        bytes_a_token = BYTES_A_TOKEN[self.companies[batch.company_id]]
        text = size + JSON_BYTES_PER_MESSAGE / 4
        output = self.rng.randrange(60, 140)
        if batch.model == "o4-mini":
            output = LIMIT if self.rng.random() < 0.05 else self.rng.randrange(300, 2_000)
        return Usage(CONSTANT_TOKENS + round(text / bytes_a_token), output, cached_tokens=0)

    def night(self) -> None:
        """It is the next day."""
        self.desk.do("UPDATE batch_assets.batch SET claimed_at = claimed_at - interval '1 day'")


@pytest.mark.parametrize("seed", range(2))
def test_no_day_and_no_company_spends_more_than_its_cap_and_the_error_of_what_was_in_flight(
    desk: Desk, registry: Registry, seed: int
) -> None:
    companies = {desk.company(0)[0]: kind for kind in ("texts", "texts", "digits")}
    rng = random.Random(seed)
    history = History(desk, registry, rng, companies)
    for day in range(DAYS):
        history.wait()
        for _ in range(ROUNDS):
            history.claim(day)
            history.settle(0.6)
        history.night()
    history.settle(1.0)

    assert history.held > 0
    caps = dict.fromkeys(companies, CAPS.company_day_cost_eur)
    for (day, company_id), in_flight in history.in_flight.items():
        cap = CAPS.day_cost_eur if company_id is None else caps[company_id]
        spent = sum(one.cost_eur for one in history.of(day, company_id))
        error = sum(max(one.cost_eur - one.batch.cost_eur, 0) for one in in_flight)
        assert cap is not None
        assert spent <= cap + error + 1e-9, (day, company_id)
    recorded = desk.value(
        "SELECT sum(b.cost_eur + b.unattributed_eur) FROM batch_assets.batch AS b"
    ) + desk.value("SELECT coalesce(sum(cost_eur), 0) FROM batch_assets.duplicate_batch")
    assert recorded == pytest.approx(sum(one.cost_eur for one in history.sent))
    last = sum(one.cost_eur for one in history.of(DAYS - 1, None))
    assert last > 0.8 * 0.3, "and what may be spent is"
