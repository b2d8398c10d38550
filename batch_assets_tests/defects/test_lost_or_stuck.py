"""Rows lost or stuck: defects 7 to 12."""

import pytest

from batch_assets_tests.defects.replaced.bulk import BulkSystem
from batch_assets_tests.defects.world import World, defect

FAILING = {"kind": "http_error", "status": 500}


@defect(7)
def test_defect_07_the_error_file_is_read(world: World) -> None:
    world.lab.company(3)
    world.lab.configure(rows=[{"lines": [1], "effect": FAILING}])
    world.tick()
    assert world.statuses()["PROCESSING_COMPLETE"] == 2
    world.carry_on()
    stuck = world.statuses()["BATCHING_IN_PROGRESS"]
    assert not stuck, f"defect 7: {stuck} requests of the error file stay in their batch"
    assert world.statuses() == {"PROCESSING_COMPLETE": 3}


@pytest.mark.parametrize("effect", ["missing", "unknown_custom_id"])
@defect(8)
def test_defect_08_a_line_that_is_missing_is_noticed(world: World, effect: str) -> None:
    world.lab.company(3)
    world.lab.configure(rows=[{"lines": [1], "effect": {"kind": effect}}])
    world.tick()
    assert world.statuses()["PROCESSING_COMPLETE"] == 2
    world.carry_on()
    stuck = world.statuses()["BATCHING_IN_PROGRESS"]
    assert not stuck, f"defect 8: {stuck} requests without a line stay in their batch"
    assert world.statuses() == {"PROCESSING_COMPLETE": 3}


@defect(9)
def test_defect_09_a_batch_of_failures_alone_comes_to_its_end(world: World) -> None:
    world.lab.company(2)
    world.lab.configure(rows=[{"effect": FAILING}])
    world.tick()
    assert world.batch_statuses() == ["PROCESSED"], "defect 9: a batch without output never ends"
    world.carry_on()
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}


@defect(10)
def test_defect_10_what_validation_refused_is_not_stuck(world: World) -> None:
    world.lab.company(2)
    world.lab.configure(batches=[{"end_as": "failed", "count": 1}])
    world.tick()
    assert "FAILED" in world.batch_statuses()
    world.carry_on()
    stuck = world.statuses()["BATCHING_IN_PROGRESS"]
    assert not stuck, f"defect 10: {stuck} requests stay in a batch that was refused"
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}


@defect(11)
def test_defect_11_more_than_a_thousand_pending_are_submitted(world: World) -> None:
    world.instead(BulkSystem).lab.company(1_001, messages=1)
    world.lab.configure(timing={"hold_after_rows": 0})
    world.system.create()
    waiting = world.statuses()["PENDING_BATCHING"]
    assert not waiting, f"defect 11: none of {waiting} pending requests of a company is submitted"
    assert len(world.batch_statuses()) == 2


@defect(12)
def test_defect_12_a_suspended_companys_paid_results_are_read(world: World) -> None:
    company_id, ids = world.lab.company(2)
    world.system.create()
    world.suspend(company_id)
    world.carry_on()
    assert world.times_paid(ids) == 2
    complete = world.statuses()["PROCESSING_COMPLETE"]
    assert complete == 2, "defect 12: what was paid for a suspended company is not read"
