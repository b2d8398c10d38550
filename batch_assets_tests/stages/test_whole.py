"""All stages together, as one run after the other makes them."""

import pytest

from batch_assets.domain.policy import Caps
from batch_assets.stages.pipeline import Budget
from batch_assets_tests.stages.support import ANSWER, Lab


def test_rows_become_analyses_and_nothing_is_left_anywhere(lab: Lab) -> None:
    first, ids = lab.company(5)
    second, more = lab.company(4, model="gpt-4.1-mini")
    report = lab.under(max_batch_requests=3).submit()
    assert (report.batches, report.requests, report.released, report.unresolved) == (4, 9, 0, 0)
    assert report.estimated_tokens > 0
    assert report.estimated_cost_eur > 0
    assert lab.poll_to_the_end().ended == 4
    read = lab.ingest()
    assert (read.finalized, read.postponed, read.rows.completed) == (4, 0, 9)
    assert (read.refused, read.failures) == ({}, {})
    assert lab.bucket_counts() == {"complete": 9}
    assert lab.times_billed(ids + more) == [1] * 9

    session = lab.desk.session(ids[0])
    assert (session.language, session.sentiment, session.forwardedHr) == ("nl", "POSITIVE", True)
    assert session.summary == ANSWER["summary"]
    request = lab.desk.request(ids[0])
    assert request.totalCostEur > 0
    assert request.totalTokens == request.promptTokens + request.completionTokens

    charged = lab.server.ledger().entries(custom_id=ids[0])
    assert [entry.prompt_tokens for entry in charged] == [request.promptTokens]
    assert {company.company_id for company in lab.pipeline.queries.statistics()} == {first, second}

    assert lab.clean() == 4
    assert lab.remote_files() == []
    assert list(lab.pipeline.spool_dir.iterdir()) == []
    nothing = lab.submit()
    assert (nothing.batches, nothing.requests) == (0, 0)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4-turbo", "gpt-3.5-turbo", "gpt-4", "o3"])
def test_every_kind_of_model_is_asked_in_a_form_that_it_takes(lab: Lab, model: str) -> None:
    _, ids = lab.company(2, model=model, processing_type="session_analysis")
    lab.submit()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 2}
    assert lab.times_billed(ids) == [1, 1]


def test_costs_add_up_from_rows_to_batches_to_companies(lab: Lab) -> None:
    _, ids = lab.company(4)
    lab.submit()
    report = lab.read_to_the_end()
    rows = sum(float(lab.desk.attempt(row).cost_eur) for row in ids)
    (batch_id,) = lab.batches("finalized")
    assert rows > 0
    assert lab.desk.batch(batch_id).cost_eur == pytest.approx(rows)
    assert report.rows.cost_eur == pytest.approx(rows)
    (company,) = lab.pipeline.queries.statistics()
    assert company.cost_eur == pytest.approx(rows)
    assert company.synchronous_cost_eur == pytest.approx(2 * rows)
    stored = sum(float(lab.desk.request(row).totalCostEur) for row in ids)
    assert stored == pytest.approx(rows, rel=1e-5)


def test_a_company_that_is_suspended_meanwhile_still_gets_what_it_paid_for(lab: Lab) -> None:
    company_id, ids = lab.company(3)
    lab.submit()
    lab.more(company_id, 2)
    lab.desk.do("UPDATE public.\"Company\" SET status = 'SUSPENDED'")
    lab.read_to_the_end()
    assert lab.submit().requests == 0
    assert lab.bucket_counts() == {"complete": 3, "waiting": 2}
    assert lab.times_billed(ids) == [1, 1, 1]


def test_caps_hold_over_the_runs_of_a_day(lab: Lab) -> None:
    for _ in range(3):
        lab.company(4)
    capped = lab.under(caps=Caps(day_requests=7), max_batch_requests=2)
    first = capped.submit()
    assert first.requests == 7
    assert first.held["cap on requests"] > 0
    assert capped.submit().requests == 0
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 7, "waiting": 5}


def test_a_backlog_longer_than_a_run_is_sent_in_whole_batches(lab: Lab) -> None:
    lab = lab.under(rows_per_run=6, batches_per_claim=1)
    companies = [lab.company(1)[0] for _ in range(4)]
    for _ in range(4):
        for company_id in companies:
            lab.more(company_id, 1)
    lab.submit(Budget.of_op(lab.pipeline.policy))
    sent = lab.desk.column("SELECT requests FROM batch_assets.batch")
    assert sent == [5, 5], "as many as the run sends, of two companies and not of all"


def test_a_run_stops_at_its_number_of_rows(lab: Lab) -> None:
    for _ in range(4):
        lab.company(3)
    report = lab.under(batches_per_claim=1).submit(Budget(seconds=60, rows=5))
    assert report.requests == 6, "the batch that crosses the number is sent whole"
    assert lab.submit().requests == 6
