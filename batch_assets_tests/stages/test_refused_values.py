"""What LiveDash's database refuses, from the batch that is sent to the row's end."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from batch_assets_tests.factories import make_company, make_request, make_session
from batch_assets_tests.stages.support import Lab
from batch_assets_tests.stages.synchronous_support import ON, failed


@contextmanager
def constrained(lab: Lab, table: str, check: str) -> Iterator[None]:
    """A CHECK written by hand, as some installations have them."""
    lab.desk.do(f'ALTER TABLE public."{table}" ADD CONSTRAINT by_hand CHECK ({check}) NOT VALID')
    try:
        yield
    finally:
        lab.desk.do(f'ALTER TABLE public."{table}" DROP CONSTRAINT by_hand')


def ended_long_ago(lab: Lab) -> None:
    """A request's batch has ended so long ago that nothing of it is waited for any more."""
    lab.company(1)
    lab.submit()
    lab.poll_to_the_end()
    lab.desk.do(
        "UPDATE batch_assets.batch SET ended_at = ended_at - interval '10 days',"
        " claimed_at = claimed_at - interval '10 days',"
        " submitted_at = submitted_at - interval '10 days'"
    )


@pytest.mark.parametrize(
    "check", ['"completedAt" >= "createdAt"', '"processedAt" >= "completedAt"']
)
def test_whole_seconds_of_the_servers_stop_no_company(lab: Lab, check: str) -> None:
    lab.company(2)
    lab.company(2)
    with constrained(lab, "AIBatchRequest", check):
        lab.submit()
        lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 4}


@pytest.mark.parametrize(
    ("table", "check", "becomes"),
    [
        ("AIProcessingRequest", '"totalTokens" < 1', "dead"),
        ("AIProcessingRequest", '"totalCostEur" <= 0', "dead"),
        ("AIProcessingRequest", "success = false", "dead"),
        ("Session", "sentiment::text = 'NEGATIVE'", "dead"),
        ("Question", "length(content) < 10", "complete"),
        ("SessionQuestion", '"order" >= 1', "complete"),
        ("SessionProcessingStatus", "stage::text <> 'QUESTION_EXTRACTION'", "complete"),
        ("SessionProcessingStatus", "status::text <> 'COMPLETED' OR metadata IS NULL", "complete"),
    ],
)
def test_what_was_refused_for_long_is_not_read_for_ever(
    lab: Lab, table: str, check: str, becomes: str
) -> None:
    ended_long_ago(lab)
    with constrained(lab, table, check):
        lab.ingest()
    assert lab.bucket_counts() == {becomes: 1}
    assert lab.desk.column("SELECT state FROM batch_assets.batch") == ["finalized"]
    assert lab.desk.value("SELECT sum(cost_eur) FROM batch_assets.attempt") > 0


def test_a_refused_live_answer_is_dead_at_once_and_keeps_its_cost(lab: Lab) -> None:
    failed(lab, 1)
    with constrained(lab, "AIProcessingRequest", '"totalTokens" < 1'):
        lab.under(synchronous=ON).retry_failed()
    assert lab.desk.column("SELECT code FROM batch_assets.dead_letter") == ["refused_by_database"]
    assert lab.desk.value("SELECT sum(cost_eur) FROM batch_assets.attempt") > 0


def test_refused_followers_cost_neither_their_leader_nor_a_run(lab: Lab) -> None:
    with lab.desk.engine.begin() as connection:
        company_id = make_company(connection)
        twins = make_session(connection, company_id)
        for n in range(2):
            make_request(connection, twins, age=timedelta(hours=3 + n))
        other = make_request(connection, make_session(connection, company_id))
    lab.submit()
    with constrained(lab, "AIProcessingRequest", 'NOT success OR "totalTokens" > 0'):
        lab.read_to_the_end()
        assert lab.statuses([other]) == ["PROCESSING_COMPLETE"]
        assert lab.bucket_counts() == {"complete": 2, "follows": 1}
        assert lab.submit().requests == 0
    lab.submit()
    assert lab.bucket_counts() == {"complete": 3}
