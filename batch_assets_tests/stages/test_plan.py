"""Planning: who is due, and what would be sent."""

from datetime import timedelta

import pytest

from batch_assets.analysis import expected_completion_tokens
from batch_assets.domain.policy import Caps, Cooldown
from batch_assets.stages.pipeline import Budget
from batch_assets.stages.plan import find_due, preview
from batch_assets.stages.submit import submit_due
from batch_assets_tests.stages.support import Lab


def test_the_survey_notices_and_says_who_is_due(lab: Lab) -> None:
    lab = lab.under(min_batch_requests=3, max_wait_seconds=1_800)
    many, _ = lab.company(3)
    few, _ = lab.company(2, age=timedelta(minutes=29))
    old, _ = lab.company(1, age=timedelta(minutes=31))
    none, _ = lab.company(0)
    report = find_due(lab.pipeline, lab.pipeline.read_snapshot(), [many, few, old, none])
    assert [backlog.company_id for backlog in report.due] == [old, many]
    assert (report.noticed, report.waiting_requests, report.waiting_companies) == (6, 6, 3)
    assert report.oldest_wait_seconds == pytest.approx(31 * 60, abs=60)
    again = find_due(lab.pipeline, lab.pipeline.read_snapshot(), [many, few, old, none])
    assert (again.noticed, again.waiting_requests) == (0, 6)


def test_nothing_waits_for_nobody(lab: Lab) -> None:
    report = find_due(lab.pipeline, lab.pipeline.read_snapshot(), [])
    assert (report.due, report.oldest_wait_seconds) == ((), 0.0)


def test_a_preview_shows_batches_money_and_reasons_and_changes_nothing(lab: Lab) -> None:
    company_id, _ = lab.company(3)
    lab.more(company_id, 1, messages=0)
    lab.more(company_id, 1, processing_type="horoscope")
    lab.more(company_id, 2, model="gpt-4.1")
    lab.pipeline.registry.cool_model("gpt-4.1", Cooldown(600, 600, "token_limit_exceeded"))
    before = lab.desk.everything()
    small = lab.under(max_batch_requests=2).pipeline
    shown = preview(small, small.read_snapshot(), [company_id])
    assert lab.desk.everything() == before
    assert [(one.company_id, one.model, one.requests) for one in shown.batches] == [
        (company_id, "gpt-4o-mini", 2),
        (company_id, "gpt-4o-mini", 2),
    ]
    assert shown.unknown_types == {"horoscope": 1}
    assert sum(one.tokens for one in shown.batches) == shown.parts.input
    assert shown.parts.answer == 4 * expected_completion_tokens("full_analysis")
    assert shown.rejected == {"no_messages": 1}
    assert shown.held == {"model gpt-4.1 is in cooldown: token_limit_exceeded": 2}
    assert all(one.tokens > 0 and one.cost_eur and one.bytes > 0 for one in shown.batches)


def test_the_estimate_is_near_what_is_sent_and_not_below_it(lab: Lab) -> None:
    company_id, _ = lab.company(5)
    (planned,) = preview(lab.pipeline, lab.pipeline.read_snapshot(), [company_id]).batches
    lab.submit()
    lab.read_to_the_end()
    (batch_id,) = lab.batches()
    sent = lab.desk.batch(batch_id)
    assert planned.bytes == pytest.approx(sent.input_bytes, rel=0.1)
    assert sent.prompt_tokens <= planned.tokens <= 2 * sent.prompt_tokens
    assert sent.cost_eur <= planned.cost_eur <= 3 * sent.cost_eur


@pytest.mark.parametrize(
    "cap",
    [
        {"run_requests": 8},
        {"day_requests": 8},
        {"company_day_requests": 3},
        {"run_cost_eur": 8.5},
        {"day_cost_eur": 8.5},
        {"company_day_cost_eur": 3.5},
    ],
    ids=lambda cap: next(iter(cap)),
)
def test_a_plan_chooses_what_a_run_sends_under_each_cap(lab: Lab, cap: dict[str, float]) -> None:
    companies = [lab.company(4, age=timedelta(hours=hours))[0] for hours in (2, 9, 1, 5)]
    small = lab.under(max_batch_requests=3)
    (each,) = {
        round(one.cost_eur / one.requests, 12)
        for one in preview(small.pipeline, small.pipeline.read_snapshot(), companies).batches
        if one.cost_eur is not None
    }
    limits = {name: most * each if name.endswith("eur") else most for name, most in cap.items()}
    capped = small.under(caps=Caps(**limits))  # type: ignore[arg-type] # counts and costs
    for company_ids in (companies, companies[::-1]):
        shown = preview(capped.pipeline, capped.pipeline.read_snapshot(), company_ids)
        assert sum(shown.held.values()) > 0
    capped.submit()
    sent = lab.desk.rows(
        "SELECT company_id, model, requests FROM batch_assets.batch ORDER BY claimed_at, id"
    )
    planned = [(one.company_id, one.model, one.requests) for one in shown.batches]
    assert sorted(planned) == sorted(tuple(one) for one in sent)


@pytest.mark.parametrize("rows_per_run", [1, 4, 5, 8, 9, 100])
def test_a_plan_is_of_the_next_run_and_says_what_that_leaves(lab: Lab, rows_per_run: int) -> None:
    companies = [lab.company(4, age=timedelta(hours=hours))[0] for hours in (2, 9, 1)]
    small = lab.under(max_batch_requests=3, rows_per_claim=4, rows_per_run=rows_per_run)
    shown = preview(small.pipeline, small.pipeline.read_snapshot(), companies)
    budget = Budget.of_op(small.pipeline.policy)
    due = find_due(small.pipeline, small.pipeline.read_snapshot(), companies).due
    ids = [backlog.company_id for backlog in due]
    submit_due(small.pipeline, small.pipeline.read_snapshot(), ids, budget)
    sent = lab.desk.rows("SELECT company_id, requests FROM batch_assets.batch")
    planned = [(one.company_id, one.requests) for one in shown.batches]
    assert sorted(planned) == sorted(tuple(one) for one in sent)
    assert sum(one.requests for one in (*shown.batches, *shown.later)) == 12
    assert bool(shown.later) == (rows_per_run <= 8)
    assert shown.parts.answer == sum(requests for _, requests in planned) * (
        expected_completion_tokens("full_analysis")
    )


def test_a_budget_ends_with_its_rows_or_its_time() -> None:
    now = [100.0]
    budget = Budget(seconds=10, rows=5, clock=lambda: now[0])
    assert not budget.is_spent
    budget.spend(5)
    assert budget.is_spent
    budget = Budget(seconds=10, rows=5, clock=lambda: now[0])
    now[0] = 109.9
    assert not budget.is_spent
    now[0] = 110.0
    assert budget.is_spent
