"""What is learnt of answers: plans and runs go by it, and say how far off that was."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from batch_assets.domain.estimates import ENOUGH
from batch_assets.domain.metrics import RunMetrics
from batch_assets.domain.money import Usage
from batch_assets.domain.policy import Caps
from batch_assets.openai_batch import responses
from batch_assets.openai_batch.responses import read_usage
from batch_assets.stages.plan import preview
from batch_assets.store.metrics import Metrics
from batch_assets_tests.stages.support import Lab


def test_a_plan_says_how_far_off_estimates_were_and_so_does_a_run(lab: Lab) -> None:
    company_id, _ = lab.company(ENOUGH - 1)
    (before,) = preview(lab.pipeline, lab.pipeline.read_snapshot(), [company_id]).estimates
    assert (before.answers, before.is_learnt, before.error_percent) == (0, False, None)
    lab.submit()
    lab.read_to_the_end()
    for _ in range(9):
        lab.more(company_id, 20)
        lab.submit()
        lab.read_to_the_end()
    lab.more(company_id, 20)
    shown = preview(lab.pipeline, lab.pipeline.read_snapshot(), [company_id])
    (basis,) = shown.estimates
    assert (basis.model, basis.processing_type) == ("gpt-4o-mini", "full_analysis")
    assert (basis.answers, basis.is_learnt) == (ENOUGH - 1 + 9 * 20, True)
    assert basis.error_percent is not None
    assert 0 <= basis.error_percent < 15
    sent = lab.submit()
    planned = sum(one.cost_eur or 0.0 for one in shown.batches)
    assert sent.estimated_cost_eur == pytest.approx(planned)
    lab.read_to_the_end()
    billed = lab.desk.value(
        "SELECT cost_eur FROM batch_assets.batch ORDER BY claimed_at DESC LIMIT 1"
    )
    assert sent.estimated_cost_eur == pytest.approx(billed, rel=0.05)
    known = RunMetrics("a run", datetime.now(UTC), mode="optimized")
    money = Metrics(lab.desk.engine).record(known, None, 60, "an account").metrics.money
    assert money.estimate_error_percent is not None
    assert 0 <= money.estimate_error_percent < basis.error_percent


def test_an_absurd_usage_is_not_learnt_and_stops_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab.under(caps=Caps(day_cost_eur=50.0))
    company_id, _ = lab.company(ENOUGH + 10)
    lab.submit()
    usages: list[object] = []

    def first_is_absurd(usage: object) -> Usage:
        usages.append(usage)
        return replace(read_usage(usage), completion_tokens=2**31 - 1 if len(usages) == 1 else 80)

    monkeypatch.setattr(responses, "read_usage", first_is_absurd)
    lab.read_to_the_end()
    assert lab.desk.value("SELECT max(completion_tokens) FROM batch_assets.attempt") == 2**31 - 1
    assert lab.desk.value("SELECT answers FROM batch_assets.learnt_usage") == ENOUGH + 9
    assert lab.desk.value("SELECT completion_tokens FROM batch_assets.learnt_usage") < 10_000
    # What the day has cost stands; the next one goes on.
    lab.desk.do("UPDATE batch_assets.batch SET claimed_at = claimed_at - interval '1 day'")
    lab.more(company_id, 5)
    assert lab.submit().requests == 5


def test_no_estimate_exceeds_what_is_allowed_whatever_was_learnt(lab: Lab) -> None:
    company_id, _ = lab.company(ENOUGH)
    lab.submit()
    lab.read_to_the_end()
    lab.desk.do(
        "UPDATE batch_assets.learnt_usage SET completion_tokens = 1e9, prompt_tokens = 1e12,"
        " completion_tokens_squared = 1e18"
    )
    lab.more(company_id, 1)
    (batch,) = preview(lab.pipeline, lab.pipeline.read_snapshot(), [company_id]).batches
    assert lab.submit().requests == 1
    price = lab.pipeline.price_of("gpt-4o-mini")
    assert price is not None
    text_bytes = lab.desk.value("SELECT max(text_bytes) FROM batch_assets.attempt")
    most_usd = (3 * batch.tokens + text_bytes) * price.batch.prompt + 1_000 * price.batch.completion
    assert (batch.cost_eur or 0.0) <= most_usd * lab.pipeline.policy.usd_to_eur


def test_a_model_that_reasons_counts_with_all_it_may_until_enough_was_read(lab: Lab) -> None:
    model = "gpt-5-mini"
    company_id, _ = lab.company(ENOUGH - 1, model=model)
    lab.submit()
    lab.read_to_the_end()
    lab.more(company_id, 1, model=model)
    few = preview(lab.pipeline, lab.pipeline.read_snapshot(), [company_id])
    assert few.parts.answer == 9_000
    lab.submit()
    lab.read_to_the_end()
    lab.more(company_id, 1, model=model)
    enough = preview(lab.pipeline, lab.pipeline.read_snapshot(), [company_id])
    highest = lab.desk.value("SELECT max(completion_tokens) FROM batch_assets.attempt")
    assert 0 < enough.parts.answer < highest
