"""Money and double submission: defects 1 to 6."""

import pytest

from batch_assets_tests.defects.world import World, defect
from batch_assets_tests.stages.support import call_rule, refusal

LOST = {"kind": "drop", "work": "done"}
SLOW = {"kind": "delay", "seconds": 0.5}
NOT_NOW = {"retry-after-ms": "1"}


@pytest.mark.parametrize("call", ["files.create", "batches.create"])
@defect(1)
def test_defect_01_a_lost_answer_is_not_repeated(world: World, call: str) -> None:
    _, ids = world.lab.company(2)
    world.lab.configure(calls=[call_rule(call, LOST, count=1)])
    world.tick()
    world.carry_on()
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}
    paid, orphans = world.times_paid(ids), world.uploads_of_no_batch()
    assert (paid, orphans) == (2, 0), "defect 1: a lost answer was paid for again or left a file"


@defect(2)
def test_defect_02_a_crash_after_the_purchase_does_not_repeat_it(world: World) -> None:
    _, ids = world.lab.company(2)
    with world.killed_once_bought():
        world.system.create()
    world.carry_on()
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}
    assert world.times_paid(ids) == 2, "defect 2: the next tick has bought the same rows again"


@defect(2)
def test_defect_02_a_purchase_that_cannot_be_recorded_is_not_repeated(world: World) -> None:
    _, ids = world.lab.company(2)
    with world.refusing("AIBatchRequest", "status <> 'VALIDATING'"):
        world.system.create()
    assert len(world.submitted_lines()) == 2
    world.carry_on()
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}
    assert world.times_paid(ids) == 2, "defect 2: the next tick has bought the same rows again"


@defect(3)
def test_defect_03_two_schedulers_do_not_submit_the_same_rows(world: World) -> None:
    _, ids = world.lab.company(2)
    world.lab.configure(calls=[call_rule("files.create", SLOW)])
    world.both_at_once(lambda system: system.create())
    world.carry_on()
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}
    assert world.times_paid(ids) == 2, "defect 3: both schedulers have submitted everything"


@defect(3)
def test_defect_03_two_schedulers_do_not_retry_the_same_rows(world: World) -> None:
    _, ids = world.lab.company(2)
    world.lab.configure(rows=[{"effect": {"kind": "content", "content": "Fine."}}])
    world.system.create()
    world.let_the_server_work()
    world.system.check()
    world.system.process()
    assert world.failed() == 2
    world.lab.configure(calls=[call_rule("chat", SLOW)])
    world.both_at_once(lambda system: system.retry())
    world.carry_on()
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}
    assert world.times_paid(ids) == 4, "defect 3: both schedulers have retried everything"


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
@defect(4)
def test_defect_04_what_an_ended_batch_had_done_is_kept(world: World, ending: str) -> None:
    _, ids = world.lab.company(4)
    world.lab.configure(batches=[{"end_as": ending, "after_rows": 3, "count": 1}])
    world.tick()
    paid = [one for one in ids if world.times_paid([one])]
    assert len(paid) == 3
    assert world.statuses(paid) == {"PROCESSING_COMPLETE": 3}, "defect 4: paid output is not read"


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
@defect(4)
def test_defect_04_what_an_ended_batch_had_not_done_is_sent_again(
    world: World, ending: str
) -> None:
    world.lab.company(4)
    world.lab.configure(batches=[{"end_as": ending, "after_rows": 3, "count": 1}])
    world.tick()
    world.carry_on()
    stuck = world.statuses()["BATCHING_IN_PROGRESS"]
    assert not stuck, f"defect 4: {stuck} requests stay in a batch that has ended"
    assert world.statuses() == {"PROCESSING_COMPLETE": 4}


@pytest.mark.parametrize("status", [503, 429])
@defect(5)
def test_defect_05_a_status_check_that_fails_changes_nothing(world: World, status: int) -> None:
    _, ids = world.lab.company(2)
    failing = refusal(status, headers=NOT_NOW)
    world.lab.configure(
        timing={"hold_after_rows": 0},
        calls=[call_rule("batches.retrieve", failing), call_rule("batches.list", failing)],
    )
    world.system.create()
    for _ in range(5):
        world.system.check()
        world.system.process()
        world.system.retry()
    world.carry_on()
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}
    assert world.times_paid(ids) == 2, "defect 5: a batch that ran on was bought again live"


@defect(6)
def test_defect_06_what_was_paid_is_written_down(world: World) -> None:
    _, ids = world.lab.company(2)
    world.tick()
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}
    costs = [world.lab.desk.request(one).totalCostEur for one in ids]
    assert all(cost > 0 for cost in costs), "defect 6: no cost is written on the batch path"
