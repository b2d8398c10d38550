"""Synchronous requests of one session that ask the same: one call is made for all."""

from typing import Any

import pytest

from batch_assets.domain.policy import SynchronousPolicy
from batch_assets.store.conservation import Conservation
from batch_assets_tests.factories import make_request
from batch_assets_tests.stages.support import Lab, call_rule, refusal
from batch_assets_tests.stages.synchronous_support import (
    ON,
    ask,
    calls,
    dead_twins,
    failed,
    only,
    waiting,
)


def synchronous_calls(lab: Lab, ids: list[str]) -> int:
    return sum(calls(lab, one) for one in ids)


def run(lab: Lab, live: SynchronousPolicy = ON) -> int:
    return lab.under(synchronous=live).retry_failed().synchronous.synchronous_calls


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_of_dead_twins_one_is_called_for_all(lab: Lab, one_at_a_time: bool) -> None:
    ids = dead_twins(lab, 3)
    ask(lab, ids)
    assert run(lab, only(requests_per_claim=1 if one_at_a_time else 100)) == 1
    assert synchronous_calls(lab, ids) == 1
    assert lab.bucket_counts() == {"complete": 3}
    assert lab.desk.column("SELECT request_id FROM batch_assets.synchronous_request") == []
    assert Conservation(lab.desk.engine).all_rows().is_clean


def test_a_dead_twin_follows_the_one_that_is_called_while_it_waits(lab: Lab) -> None:
    (first,) = dead_twins(lab, 1)
    with lab.desk.engine.begin() as connection:
        second = make_request(connection, lab.desk.session_id(first))
    waiting(lab, 0)
    ask(lab, [first, second])
    assert run(lab) == 1
    assert (calls(lab, first), calls(lab, second)) == (0, 1)
    assert lab.bucket_counts() == {"complete": 2}


def test_a_dead_twin_follows_the_one_in_a_batch(lab: Lab) -> None:
    (first,) = dead_twins(lab, 1)
    with lab.desk.engine.begin() as connection:
        second = make_request(connection, lab.desk.session_id(first))
    lab.submit()
    ask(lab, [first])
    assert run(lab) == 0
    assert lab.bucket_counts() == {"follows": 1, "in_batch": 1}
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 2}
    query = (
        "SELECT shares_answer_of FROM batch_assets.attempt"
        f" WHERE request_id = '{first}' AND outcome = 'completed'"
    )
    assert lab.desk.column(query) == [second]


def test_twins_of_one_that_a_budget_holds_stay_asked_for(lab: Lab) -> None:
    ids = dead_twins(lab)
    ask(lab, ids)
    assert run(lab, only(day_requests=0)) == 0
    assert lab.bucket_counts() == {"dead": 2}
    assert sorted(
        lab.desk.column("SELECT request_id FROM batch_assets.synchronous_request")
    ) == sorted(ids)


@pytest.mark.parametrize(
    "effect", [{"kind": "drop", "work": "done"}, refusal(500, work_done=True)], ids=["drop", "500"]
)
def test_a_call_that_nobody_knows_the_outcome_of_is_not_made_for_a_follower(
    lab: Lab, effect: dict[str, Any]
) -> None:
    """It may have been paid for: then the conversation is not bought again unasked."""
    (first,) = failed(lab, 1)
    with lab.desk.engine.begin() as connection:
        second = make_request(connection, lab.desk.session_id(first))
    waiting(lab, 0)
    assert lab.bucket_counts() == {"follows": 1, "retry": 1}
    lab.configure(calls=[call_rule("chat", effect, count=1)])
    run(lab)
    assert lab.bucket_counts() == {"dead": 2}
    assert {lab.desk.dead_letter(one).code for one in (first, second)} == {"indeterminate_live"}
    lab.under(synchronous=ON).finish()
    assert synchronous_calls(lab, [first, second]) == 1
    status = lab.desk.analysis_status(first)
    assert status is not None
    assert status.status == "FAILED"
