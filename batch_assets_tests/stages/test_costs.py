"""What requests cost: each attempt with all that its cost came from, and LiveDash's sums of them.

What is right is calculated from the server's ledger, by the price that the test has set.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Row

from batch_assets.domain.metrics import Money, RunMetrics
from batch_assets.domain.money import read_price
from batch_assets.store.metrics import MetricHistory, Metrics
from batch_assets_tests.stages.support import Lab, call_rule, refusal
from batch_assets_tests.stages.synchronous_support import ON, ask, waiting

MODEL = "gpt-4o-mini"
RATE = 0.5
UNUSABLE = {"kind": "content", "content": "Fine."}
"""An answer that is billed and cannot be used."""


def billed_usd(lab: Lab, request_ids: list[str]) -> float:
    """What the server has billed for these requests, at 2, 0.5 and 8 USD for a million tokens.

    That is what `priced` sets; in a batch it is half.
    """
    usd = 0.0
    for entry in lab.server.ledger().entries():
        if not any(str(entry.custom_id).endswith(one) for one in request_ids):
            continue
        fresh = entry.prompt_tokens - entry.cached_tokens
        full = (fresh * 2 + entry.cached_tokens * 0.5 + entry.completion_tokens * 8) / 1e6
        usd += full if entry.kind == "live" else full / 2
    return usd


def priced(lab: Lab, price: str = "2/0.5/8", usd_to_eur: float = RATE) -> Lab:
    return lab.under(model_prices={MODEL: read_price(price)}, usd_to_eur=usd_to_eur)


def send_again(lab: Lab) -> None:
    """Send what has failed, and read it."""
    lab.retry()
    lab.submit()
    lab.read_to_the_end()


def test_all_that_a_cost_came_from_is_kept_with_the_attempt(lab: Lab) -> None:
    lab = priced(lab)
    _, ids = lab.company(3)
    lab.submit()
    lab.read_to_the_end()
    for request_id in ids:
        attempt, request = lab.desk.attempt(request_id), lab.desk.request(request_id)
        assert attempt.cost_usd == pytest.approx(billed_usd(lab, [request_id]), rel=1e-12)
        assert attempt.cost_eur == attempt.cost_usd * RATE
        assert attempt.prompt_tokens == request.promptTokens > 0
        assert attempt.completion_tokens == request.completionTokens > 0
        assert attempt.cached_tokens == request.cachedTokens is not None
        assert attempt.reasoning_tokens == request.reasoningTokens is not None
        assert attempt.service_tier == request.serviceTier == "default"
    (batch_id,) = lab.batches()
    batch = lab.desk.batch(batch_id)
    assert batch.cost_usd == pytest.approx(billed_usd(lab, ids), rel=1e-12)
    assert batch.usd_to_eur == RATE
    assert batch.price == {
        "source": "setting",
        "edition": "",
        "synchronous": [2e-6, 5e-7, 8e-6],
        "batch": [1e-6, 2.5e-7, 4e-6],
    }


def test_the_published_price_is_kept_with_its_edition(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    price = lab.desk.batch(lab.batches()[0]).price
    assert price["source"] == "genai-prices"
    assert price["edition"][0].isdigit()


def test_livedashs_price_is_kept_with_the_date_of_its_effect(lab: Lab) -> None:
    lab.desk.do(
        'INSERT INTO public."AIModel" (id, name, provider, "isActive", "updatedAt")'
        " VALUES ('model', :name, 'openai', true, now())",
        name=MODEL,
    )
    lab.desk.do(
        'INSERT INTO public."AIModelPricing" (id, "aiModelId", "promptTokenCost",'
        ' "completionTokenCost", "effectiveFrom", "effectiveUntil") VALUES'
        " ('first', 'model', 1, 1, '-infinity', NULL),"
        " ('later', 'model', 0.002, 0.008, '2026-03-01 12:00+00', NULL),"
        " ('last', 'model', 5, 5, '2026-05-01 12:00+00', '2026-05-02 12:00+00')"
    )
    lab.company(1)
    lab.submit()
    price = lab.desk.batch(lab.batches()[0]).price
    assert (price["source"], price["edition"]) == ("livedash", "2026-03-01T12:00:00Z")
    assert price["synchronous"] == pytest.approx([0.002, 0.001, 0.008])


def test_the_price_is_that_of_the_submission_and_the_rate_that_of_the_settlement(lab: Lab) -> None:
    _, ids = lab.company(2)
    priced(lab).submit()
    later = priced(lab, "20/5/80", usd_to_eur=0.8)
    later.read_to_the_end()
    usd = billed_usd(lab, ids)
    assert lab.desk.batch(lab.batches()[0]).cost_usd == pytest.approx(usd, rel=1e-12)
    total = sum(lab.desk.request(one).totalCostEur for one in ids)
    assert total == pytest.approx(usd * 0.8, rel=1e-6)


def test_what_had_no_price_when_it_was_sent_is_priced_as_of_its_reading(lab: Lab) -> None:
    lab.configure(models=[{"id": "ours"}])
    lab.company(2, model="ours")
    lab.submit()
    assert lab.desk.batch(lab.batches()[0]).price is None
    lab.under(model_prices={"ours": read_price("2/0.5/8")}).read_to_the_end()
    batch = lab.desk.batch(lab.batches()[0])
    assert (batch.price["source"], batch.unpriced) == ("setting", 0)
    assert batch.cost_usd > 0


@pytest.mark.parametrize("why", ["no price", "no usage"])
def test_a_cost_that_nobody_knows_is_null_here_and_0_in_livedashs_columns(
    lab: Lab, why: str
) -> None:
    model = "ours" if why == "no price" else MODEL
    rows = [{"effect": {"kind": "without_usage"}}] if why == "no usage" else []
    lab.configure(models=[{"id": model}], rows=rows)
    _, ids = lab.company(1, model=model)
    lab.submit()
    assert lab.read_to_the_end().rows.unpriced == 1
    attempt = lab.desk.attempt(ids[0])
    assert (attempt.cost_usd, attempt.cost_eur) == (None, 0)
    assert lab.desk.request(ids[0]).totalCostEur == 0


def test_livedashs_cost_and_tokens_are_the_sums_over_the_attempts(lab: Lab) -> None:
    lab = priced(lab)
    _, ids = lab.company(3)
    lab.configure(rows=[{"effect": UNUSABLE}])
    lab.submit()
    lab.read_to_the_end()
    lab.configure()
    send_again(lab)
    assert lab.times_billed(ids) == [2, 2, 2]
    for request_id in ids:
        request = lab.desk.request(request_id)
        assert request.processingStatus == "PROCESSING_COMPLETE"
        assert request.totalCostEur == pytest.approx(billed_usd(lab, [request_id]) * RATE, rel=1e-6)
        entries = list(lab.server.ledger().entries(custom_id=request_id))
        assert request.promptTokens == sum(one.prompt_tokens for one in entries)
        assert request.cachedTokens == sum(one.cached_tokens for one in entries)
        assert request.completionTokens == sum(one.completion_tokens for one in entries)
        assert request.totalTokens == request.promptTokens + request.completionTokens


def test_a_synchronous_answer_is_added_at_the_full_price(lab: Lab) -> None:
    lab = priced(lab).under(synchronous=ON)
    _, ids = lab.company(2)
    lab.configure(rows=[{"effect": UNUSABLE}])
    lab.submit()
    lab.read_to_the_end()
    lab.configure()
    ask(lab, ids)
    lab.retry_failed()
    for request_id in ids:
        request = lab.desk.request(request_id)
        assert request.processingStatus == "PROCESSING_COMPLETE"
        usd = billed_usd(lab, [request_id])
        assert request.totalCostEur == pytest.approx(usd * RATE, rel=1e-6)
        assert request.promptTokenCost == pytest.approx(2e-6), "the last answer's"
        kept = lab.desk.value(
            "SELECT sum(cost_usd) FROM batch_assets.attempt WHERE request_id = :id", id=request_id
        )
        assert kept == pytest.approx(usd, rel=1e-12)


def test_a_try_without_an_answer_takes_nothing_away(lab: Lab) -> None:
    lab = priced(lab)
    _, ids = lab.company(1)
    lab.configure(rows=[{"effect": UNUSABLE}])
    lab.submit()
    lab.read_to_the_end()
    paid = lab.desk.request(ids[0])
    lab.configure(rows=[{"effect": {"kind": "http_error", "status": 400}}])
    send_again(lab)
    request = lab.desk.request(ids[0])
    assert request.processingStatus == "PROCESSING_FAILED"
    assert request.totalCostEur == paid.totalCostEur > 0
    assert request.promptTokens == paid.promptTokens > 0
    assert request.cachedTokens == paid.cachedTokens
    assert request.promptTokenCost == paid.promptTokenCost > 0


@pytest.mark.parametrize(
    ("cost", "tokens", "sums_tokens"),
    [("NaN", -5, False), ("Infinity", 2_147_483_647, True), ("-3", 0, False), ("3.4e38", 1, True)],
)
def test_numbers_that_can_be_no_sums_keep_no_answer_from_being_written(
    lab: Lab, cost: str, tokens: int, *, sums_tokens: bool
) -> None:
    lab = priced(lab)
    _, ids = lab.company(1)
    lab.submit()
    lab.desk.do(
        'UPDATE public."AIProcessingRequest" SET "totalCostEur" = CAST(:cost AS real),'
        ' "cachedTokens" = :tokens WHERE id = :id',
        cost=cost,
        tokens=tokens,
        id=ids[0],
    )
    lab.read_to_the_end()
    request, attempt = lab.desk.request(ids[0]), lab.desk.attempt(ids[0])
    assert request.processingStatus == "PROCESSING_COMPLETE"
    assert request.totalCostEur == pytest.approx(attempt.cost_eur, rel=1e-6)
    before = tokens if sums_tokens else 0
    assert request.cachedTokens == min(before + attempt.cached_tokens, 2_147_483_647)


_KINDS = ("missing", "unknown_custom_id", "invalid_json", "without_usage")
LOST_LINES = [{"lines": [line], "effect": {"kind": kind}} for line, kind in enumerate(_KINDS, 1)]
"""Rows of a batch that are billed, and whose lines say nothing of it."""


def ended_with_lost_lines(lab: Lab, **quirks: Any) -> tuple[Lab, Row[Any]]:
    """A batch of ten, of which three lines cannot be read and one has no usage; and all billed."""
    lab = priced(lab)
    lab.configure(rows=LOST_LINES, quirks=quirks)
    lab.company(10)
    lab.submit()
    read = lab.read_to_the_end()
    assert (read.finalized, read.rows.completed) == (1, 7)
    return lab, lab.desk.batch(lab.batches()[0])


def all_billed_usd(lab: Lab) -> float:
    return billed_usd(lab, [""])


def test_what_was_billed_and_not_read_is_taken_from_the_batchs_own_usage(lab: Lab) -> None:
    lab, batch = ended_with_lost_lines(lab)
    billed = all_billed_usd(lab)
    assert batch.cost_usd < 0.8 * billed
    assert batch.cost_usd + batch.unattributed_usd == pytest.approx(billed, rel=1e-9)
    assert batch.unattributed_eur == pytest.approx(batch.unattributed_usd * RATE, rel=1e-9)
    assert not batch.unattributed_is_estimated
    (company,) = (one for one in lab.pipeline.queries.statistics() if one.sessions)
    assert company.unattributed_eur == batch.unattributed_eur


def test_where_the_batch_has_no_usage_it_is_estimated_and_marked_so(lab: Lab) -> None:
    lab, batch = ended_with_lost_lines(lab, omit_batch_fields=["usage"])
    assert batch.unattributed_is_estimated
    each = batch.cost_eur / 6
    assert batch.unattributed_eur == pytest.approx(3 * each)
    assert batch.unattributed_usd == pytest.approx(3 * each / RATE)


def test_where_it_has_neither_usage_nor_counts_each_missing_answer_is_estimated(lab: Lab) -> None:
    _, batch = ended_with_lost_lines(lab, omit_batch_fields=["usage", "request_counts"])
    assert batch.unattributed_is_estimated
    assert batch.unattributed_eur == pytest.approx(3 * batch.cost_eur / 6)


@pytest.mark.parametrize("omitted", [[], ["usage"], ["usage", "request_counts"]])
@pytest.mark.parametrize("ending", ["completed", "expired", "cancelled"])
def test_nothing_is_unattributed_where_all_that_was_billed_was_read(
    lab: Lab, ending: str, omitted: list[str]
) -> None:
    lab = priced(lab)
    rules = [{"end_as": ending, "after_rows": 3, "count": 1}] if ending != "completed" else []
    rows = [{"lines": [1], "effect": {"kind": "http_error", "status": 400}}]
    lab.configure(batches=rules, rows=rows, quirks={"omit_batch_fields": omitted})
    lab.company(5)
    lab.submit()
    assert lab.read_to_the_end().finalized == 1
    batch = lab.desk.batch(lab.batches()[0])
    assert batch.cost_usd == pytest.approx(all_billed_usd(lab), rel=1e-9)
    assert (batch.unattributed_usd, batch.unattributed_eur) == (0, 0)
    assert not batch.unattributed_is_estimated


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
def test_lines_lost_of_a_batch_that_was_cut_short_are_estimated(lab: Lab, ending: str) -> None:
    lab = priced(lab)
    lab.configure(
        batches=[{"end_as": ending, "after_rows": 3, "count": 1}],
        rows=[{"lines": [1, 2], "effect": {"kind": "missing"}}],
        quirks={"omit_batch_fields": ["usage"]},
    )
    lab.company(6)
    lab.submit()
    lab.read_to_the_end()
    batch = lab.desk.batch(lab.batches()[0])
    assert (batch.state, batch.completed) == ("finalized", 1)
    assert batch.unattributed_is_estimated
    assert batch.unattributed_usd == pytest.approx(2 * batch.cost_usd)


def test_a_call_of_which_nobody_knows_the_outcome_is_estimated(lab: Lab) -> None:
    lab = priced(lab).under(synchronous=ON)
    ids = waiting(lab, 1)
    lab.configure(calls=[call_rule("chat", {"kind": "drop", "work": "done"})])
    ask(lab, ids)
    lab.retry_failed()
    assert lab.desk.attempt(ids[0]).code == "indeterminate_live"
    batch = lab.desk.batch(lab.batches()[0])
    assert (batch.kind, batch.state) == ("synchronous", "finalized")
    assert batch.unattributed_is_estimated
    assert batch.unattributed_eur == pytest.approx(batch.estimated_cost_eur)
    assert batch.unattributed_usd == pytest.approx(batch.estimated_cost_eur / RATE)
    assert all_billed_usd(lab) > 0, "and billed it was"
    assert lab.desk.request(ids[0]).totalCostEur == 0


def test_results_that_are_lost_are_unattributed_altogether(lab: Lab) -> None:
    lab = priced(lab)
    lab.configure(calls=[call_rule("files.content", refusal(404, work_done=False))])
    lab.company(3)
    lab.submit()
    lab.read_to_the_end()
    batch = lab.desk.batch(lab.batches()[0])
    assert (batch.state, batch.completed) == ("finalized", 0)
    assert batch.unattributed_usd == pytest.approx(all_billed_usd(lab), rel=1e-9)
    assert batch.unattributed_eur == pytest.approx(batch.unattributed_usd * RATE, rel=1e-9)


def test_a_run_says_what_of_its_batches_was_not_read(lab: Lab) -> None:
    lab, batch = ended_with_lost_lines(lab)
    metrics = Metrics(lab.desk.engine)

    def recorded(run_id: str) -> Money:
        known = RunMetrics(run_id=run_id, recorded_at=datetime.now(UTC), mode="optimized")
        return metrics.record(known, None, run_seconds=60, account="an account").metrics.money

    money = recorded(lab.pipeline.run_id)
    assert money.wasted_unattributed_eur == batch.unattributed_eur > 0
    assert money.day_cost_eur == pytest.approx(batch.cost_eur + batch.unattributed_eur)
    assert recorded("another").wasted_unattributed_eur == 0
    day = timedelta(days=1)
    now = datetime.now(UTC)
    (company,) = MetricHistory(lab.desk.engine).companies(now - day, now + day)
    assert company["unattributed_eur"] == batch.unattributed_eur
