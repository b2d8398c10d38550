"""What a history has cost, from whichever side it is asked, is what the server has billed.

Two models, one of which reasons; six companies; answers that cannot be used, lines that are lost,
broken or another's, answers without usage, batches that expire or are cancelled, sessions that are
deleted meanwhile, and synchronous requests. What is right is calculated from the ledger.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from batch_assets.domain.money import read_price
from batch_assets.store.metrics import MetricHistory
from batch_assets_tests.stages.support import Lab
from batch_assets_tests.stages.synchronous_support import ON, ask

PRICES = {"gpt-4o-mini": (2.0, 0.5, 8.0), "gpt-5-mini": (3.0, 0.3, 20.0)}
"""USD for a million tokens, at the full price; a batch costs half."""
RATE = 0.8
UNUSABLE = {"kind": "content", "content": "Fine."}
FAULTS = [
    {"lines": [1], "effect": UNUSABLE},
    {"lines": [2], "effect": {"kind": "missing"}},
    {"lines": [3], "effect": {"kind": "unknown_custom_id"}},
    {"lines": [4], "effect": {"kind": "invalid_json"}},
    {"lines": [5], "effect": {"kind": "without_usage"}},
    {"lines": [6], "effect": {"kind": "refusal"}},
    {"lines": [7], "effect": {"kind": "duplicate"}},
    {"lines": [8], "effect": {"kind": "http_error", "status": 500}},
]
"""All but the last are billed."""
ENDINGS = [
    {"end_as": "expired", "after_rows": 6, "count": 1},
    {"end_as": "cancelled", "after_rows": 4, "count": 1},
]


def billed_by_batch(lab: Lab) -> Mapping[str | None, float]:
    """USD that the server has billed, by its id of the batch; `None`: synchronous requests."""
    usd: defaultdict[str | None, float] = defaultdict(float)
    for entry in lab.server.ledger().entries():
        (price,) = (price for model, price in PRICES.items() if entry.model.startswith(model))
        fresh = entry.prompt_tokens - entry.cached_tokens
        tokens = (fresh, entry.cached_tokens, entry.completion_tokens)
        full = sum(count * rate for count, rate in zip(tokens, price, strict=True)) / 1e6
        usd[entry.batch_id] += full if entry.kind == "live" else full / 2
    return usd


@pytest.fixture
def history(lab: Lab) -> Lab:
    """A lab with such a history behind it, nothing of which is under way any more."""
    texts = {name: read_price("/".join(map(str, price))) for name, price in PRICES.items()}
    lab = lab.under(model_prices=texts, usd_to_eur=RATE, synchronous=ON, max_attempts=5)
    lab.configure(rows=FAULTS, batches=ENDINGS)
    ids = []
    for number in range(6):
        model = list(PRICES)[number % 2]
        ids += lab.company(12, model=model)[1]
    lab.submit()
    lab.poll_to_the_end()
    for request_id in ids[::17]:
        lab.desk.delete_session(request_id)
    lab.ingest()
    lab.configure(rows=[{"lines": [1], "effect": UNUSABLE}])
    lab.retry()
    lab.submit()
    lab.read_to_the_end()
    lab.configure()
    put_off = lab.desk.column("SELECT request_id FROM batch_assets.retry ORDER BY 1 LIMIT 3")
    if put_off:
        ask(lab, put_off)
    lab.retry_failed()
    lab.finish()
    return lab


def test_every_figure_agrees_with_the_ledger(history: Lab) -> None:
    billed = billed_by_batch(history)
    in_all = sum(billed.values())
    assert billed[None] > 0, "something was sent synchronously"
    batches = history.desk.rows("SELECT * FROM batch_assets.batch")
    assert {one.state for one in batches} <= {"finalized", "released"}
    for batch in batches:
        if batch.kind == "batch" and batch.state == "finalized":
            known = batch.cost_usd + batch.unattributed_usd
            assert known == pytest.approx(billed[batch.openai_batch_id], rel=1e-9)
            assert not batch.unattributed_is_estimated
    synchronous = sum(one.cost_usd for one in batches if one.kind == "synchronous")
    assert synchronous == pytest.approx(billed[None], rel=1e-9)

    cost = sum(one.cost_eur for one in batches)
    unattributed = sum(one.unattributed_eur for one in batches)
    assert unattributed > 0.02 * cost, "a good part cannot be read"
    assert cost + unattributed == pytest.approx(in_all * RATE, rel=1e-9)
    of_attempts = history.desk.value("SELECT sum(cost_eur) FROM batch_assets.attempt")
    assert of_attempts == pytest.approx(cost, rel=1e-9)
    companies = history.pipeline.queries.statistics()
    assert sum(one.cost_eur for one in companies) == pytest.approx(cost, rel=1e-9)
    assert sum(one.unattributed_eur for one in companies) == pytest.approx(unattributed, rel=1e-9)
    now, day = datetime.now(UTC), timedelta(days=1)
    exported = MetricHistory(history.desk.engine).companies(now - day, now + day)
    assert sum(one["cost_eur"] for one in exported) == pytest.approx(cost, rel=1e-9)
    assert sum(one["unattributed_eur"] for one in exported) == pytest.approx(unattributed, rel=1e-9)


def test_livedashs_report_says_all_but_what_was_deleted_and_what_was_not_read(history: Lab) -> None:
    """As LiveDash's `getAIProcessingCosts` adds it up, and its admin page by company."""
    gone = history.desk.value(
        "SELECT sum(a.cost_eur) FROM batch_assets.attempt AS a WHERE NOT EXISTS"
        ' (SELECT FROM public."AIProcessingRequest" AS r WHERE r.id = a.request_id)'
    )
    assert gone > 0, "what was deleted is kept here"
    paid = history.desk.value("SELECT sum(cost_eur) FROM batch_assets.attempt")
    (report,) = history.desk.rows(
        'SELECT sum(CAST("totalCostEur" AS float8)) AS eur, sum("promptTokens") AS prompt,'
        ' sum("completionTokens") AS completion, sum("totalTokens") AS total'
        ' FROM public."AIProcessingRequest"'
    )
    assert report.eur == pytest.approx(paid - gone, rel=1e-6)
    (kept,) = history.desk.rows(
        "SELECT sum(a.prompt_tokens) AS prompt, sum(a.completion_tokens) AS completion"
        ' FROM batch_assets.attempt AS a JOIN public."AIProcessingRequest" AS r'
        " ON r.id = a.request_id"
    )
    assert (report.prompt, report.completion) == (kept.prompt, kept.completion)
    assert report.total == report.prompt + report.completion
    by_company = history.desk.rows(
        'SELECT s."companyId" AS id, sum(CAST(r."totalCostEur" AS float8)) AS eur'
        ' FROM public."AIProcessingRequest" AS r JOIN public."Session" AS s'
        ' ON s.id = r."sessionId" GROUP BY s."companyId"'
    )
    for company in by_company:
        ours = history.desk.value(
            "SELECT sum(a.cost_eur) FROM batch_assets.attempt AS a"
            ' JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id'
            " WHERE a.company_id = :id",
            id=company.id,
        )
        assert company.eur == pytest.approx(ours, rel=1e-6)
