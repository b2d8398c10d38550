"""What is learnt of answers: plans and runs go by it, and say how far off that was."""

from datetime import UTC, datetime

import pytest

from batch_assets.domain.estimates import ENOUGH
from batch_assets.domain.metrics import RunMetrics
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
