"""Control: defects 18 to 25."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.circuit_breakers import CircuitBreakerGuard
from batch_assets.store.breakers import Breakers
from batch_assets_tests.defects.observing import counted_uploads, most_rows_read
from batch_assets_tests.defects.replaced.bulk import BulkSystem, ParallelSystem
from batch_assets_tests.defects.tracking import new_tracking
from batch_assets_tests.defects.world import World, defect
from batch_assets_tests.stages.support import API_KEY, call_rule, refusal

SLOW = {"kind": "delay", "seconds": 0.3}
NOT_NOW = {"retry-after-ms": "1"}
USELESS = {"kind": "content", "content": "Fine."}


@defect(18)
def test_defect_18_what_was_not_measured_is_not_compared_with(world: World) -> None:
    process = new_tracking(world)
    chosen = [process.work() for _ in range(7)]
    assert chosen[:5] == ["optimized"] * 5
    assert chosen[5:] == ["optimized"] * 2, "defect 18: it was compared with an average of nothing"


@defect(18)
def test_defect_18_what_was_measured_outlives_its_process(world: World) -> None:
    process = new_tracking(world)
    for _ in range(5):
        process.work(breaks=True)
    assert process.work() == "original"
    chosen = new_tracking(world).work()
    assert chosen == "original", "defect 18: what one process has measured dies with it"


@pytest.fixture
def breakers(world: World) -> Iterator[None]:
    """Our runs ask the breakers before each call, as those of the job do."""
    lab = world.lab
    guard = CircuitBreakerGuard(Breakers(lab.desk.engine), lab.pipeline.policy)
    with BatchApi(API_KEY, lab.server.base_url, guard=guard) as api:
        world.lab = lab.using(api)
        world.system = world.new_process()
        yield


@pytest.mark.usefixtures("breakers")
@defect(19)
def test_defect_19_too_many_requests_of_one_company_stop_no_other(world: World) -> None:
    world.lab.company(2)
    no_room = refusal(429, "rate_limit_exceeded", headers=NOT_NOW)
    world.lab.configure(calls=[call_rule("batches.create", no_room)])
    for _ in range(5):
        world.system.create()
    assert world.statuses() == {"PENDING_BATCHING": 2}
    world.lab.configure()
    _, others = world.lab.company(2, model="gpt-4.1")
    world.system.create()
    sent = world.statuses(others)
    assert sent == {"BATCHING_IN_PROGRESS": 2}, "defect 19: nobody's requests are sent any more"
    world.lab.desk.do("DELETE FROM batch_assets.model_cooldown")
    world.carry_on()
    assert world.statuses() == {"PROCESSING_COMPLETE": 4}
    counted = world.lab.desk.column("SELECT request_id FROM batch_assets.attempt WHERE counted")
    assert len(counted) == 4, "no attempt was counted for what was not tried"


@defect(20)
def test_defect_20_no_more_companies_at_a_time_than_allowed(world: World) -> None:
    for _ in range(6):
        world.lab.company(1)
    world.instead(ParallelSystem).under(concurrent_companies=2)
    world.lab.configure(calls=[call_rule("files.create", SLOW)])
    with counted_uploads() as uploads:
        world.system.create()
    assert world.statuses() == {"BATCHING_IN_PROGRESS": 6}
    assert uploads.most == 2, f"defect 20: {uploads.most} companies at a time, and 2 were allowed"


@defect(21)
def test_defect_21_a_poisoned_request_is_paid_for_a_few_times_only(world: World) -> None:
    _, ids = world.lab.company(1)
    world.lab.configure(rows=[{"effect": USELESS}, {"where": "live", "effect": USELESS}])
    for _ in range(8):
        world.tick()
    assert world.statuses() == {"PROCESSING_FAILED": 1}
    paid = world.times_paid(ids)
    assert paid == world.lab.pipeline.policy.max_attempts, (
        f"defect 21: it was paid for {paid} times"
    )


@defect(22)
def test_defect_22_a_large_backlog_is_not_read_at_once(world: World) -> None:
    world.instead(BulkSystem).under(rows_per_claim=20, rows_per_look=20, max_batch_requests=20)
    world.lab.configure(timing={"hold_after_rows": 0})
    for _ in range(5):
        world.lab.company(20, messages=1)
    with most_rows_read(world.lab.desk.engine) as read:
        world.system.create()
    assert world.statuses() == {"BATCHING_IN_PROGRESS": 100}
    assert read.most <= 40, f"defect 22: {read.most} rows of a backlog of 100 are in memory at once"


@pytest.fixture
def small_pool(world: World) -> Iterator[Engine]:
    """Two connections, for which nobody waits long."""
    url = world.lab.desk.engine.url
    engine = create_engine(url, pool_size=2, max_overflow=0, pool_timeout=0.1)
    yield engine
    engine.dispose()


@defect(23)
def test_defect_23_nobodys_work_is_skipped_for_want_of_a_connection(
    world: World, small_pool: Engine
) -> None:
    world.instead(ParallelSystem).on(small_pool).under(concurrent_companies=8)
    for _ in range(8):
        world.lab.company(1)
    world.lab.configure(calls=[call_rule("files.create", SLOW)])
    world.system.create()
    skipped = world.statuses()["PENDING_BATCHING"]
    assert not skipped, f"defect 23: {skipped} companies were skipped, and nobody was told"
    assert world.statuses() == {"BATCHING_IN_PROGRESS": 8}


@defect(24)
def test_defect_24_a_line_that_the_database_refuses_is_not_forgotten(world: World) -> None:
    _, (row, _) = world.lab.company(2)
    session_id = world.lab.desk.session_id(row)
    with world.refusing("Session", f"id <> '{session_id}'"):
        world.tick()
    world.carry_on()
    stuck = world.statuses()["BATCHING_IN_PROGRESS"]
    assert not stuck, f"defect 24: {stuck} requests stay in a batch that is processed"
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}


@defect(25)
def test_defect_25_a_batch_that_cannot_be_closed_costs_no_results(world: World) -> None:
    _, ids = world.lab.company(2)
    with world.refusing("AIBatchRequest", "status <> 'PROCESSED'"):
        world.tick()
    world.carry_on()
    assert world.statuses() == {"PROCESSING_COMPLETE": 2}
    paid = world.times_paid(ids)
    assert paid == 2, f"defect 25: 2 finished requests were paid for {paid} times"
