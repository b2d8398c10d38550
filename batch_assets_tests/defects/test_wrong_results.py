"""Wrong results: defects 13 to 17."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from batch_assets.resources.company_file import CompanyFile, Instant
from batch_assets.resources.company_lookup import CompanyCache
from batch_assets.store.original import OriginalQueries
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.defects.replaced.bulk import BulkSystem
from batch_assets_tests.defects.replaced.components import (
    ReplacedCache,
    optimized_statistics,
    original_statistics,
)
from batch_assets_tests.defects.world import World, defect
from batch_assets_tests.stages.support import ANSWER

QUESTION = "May I swap my shift on Friday with a colleague?"
LIFETIME = 300.0


@defect(13)
def test_defect_13_whole_conversations_are_submitted(world: World) -> None:
    world.instead(BulkSystem).lab.company(2, messages=[("user", QUESTION)])
    world.lab.configure(timing={"hold_after_rows": 0})
    world.system.create()
    lines = world.submitted_lines()
    assert len(lines) == 2
    assert all(QUESTION in json.dumps(one) for one in lines), "defect 13: a conversation is missing"


@defect(14)
def test_defect_14_an_empty_conversation_is_not_paid_for(world: World) -> None:
    _, ids = world.lab.company(2, messages=0)
    world.tick()
    assert world.times_paid(ids) == 0, "defect 14: an empty conversation was submitted and paid"
    assert world.statuses() == {"PROCESSING_FAILED": 2}
    reasons = {world.lab.desk.request(one).errorMessage for one in ids}
    assert reasons == {"The session has no messages."}


class Companies:
    """The companies that a run takes for active, remembered the way of either side, and a clock."""

    def __init__(self, world: World, directory: Path) -> None:
        self.minutes = 0.0
        self._world = world
        self._directory = directory
        self._shared = ReplacedCache(self._ask, self._now, LIFETIME)
        self._of_this_process = ReplacedCache(self._shared.active, self._now, LIFETIME)

    def seen_by_another_process(self) -> Sequence[str]:
        return self._ours() if self._world.is_ours else self._shared.active()

    def seen(self) -> Sequence[str]:
        return self._ours() if self._world.is_ours else self._of_this_process.active()

    def _ours(self) -> Sequence[str]:
        started = Instant(1_000_000, 5_000)
        now = Instant(started.wall_seconds + self._now(), started.uptime_seconds + self._now())
        cache = CompanyCache(
            CompanyFile(self._directory, "postgresql://db.example.com/livedash"),
            self._world.lab.pipeline.queries.active_companies,
            lifetime_seconds=LIFETIME,
            warn=pytest.fail,
            now=lambda: now,
        )
        return [company.id for company in cache.active().companies]

    def _ask(self) -> Sequence[str]:
        return [one.id for one in self._world.lab.pipeline.queries.active_companies()]

    def _now(self) -> float:
        return 60 * self.minutes


@defect(15)
def test_defect_15_no_answer_is_older_than_its_lifetime(world: World, tmp_path: Path) -> None:
    company_id, _ = world.lab.company(1)
    companies = Companies(world, tmp_path)
    assert companies.seen_by_another_process() == [company_id]
    world.suspend(company_id)
    companies.minutes = 4.9
    companies.seen()
    companies.minutes = 9.8
    seen = companies.seen()
    assert seen == [], "defect 15: a company still counts as active 9.8 minutes after it ended"


@defect(15)
def test_defect_15_nothing_is_submitted_for_a_suspended_company(world: World) -> None:
    company_id, ids = world.lab.company(1)
    world.lab.pipeline.queries.notice_pending(10)
    world.suspend(company_id)
    world.system.create_for(company_id)
    world.let_the_server_work()
    assert world.times_paid(ids) == 0, "defect 15: work was submitted for a suspended company"


@pytest.mark.parametrize(
    ("content", "word"),
    [("I think it is fine.", "JSON"), (json.dumps(ANSWER | {"category": "LUNCH"}), "category")],
    ids=["not JSON", "wrong category"],
)
@defect(16)
def test_defect_16_an_answer_that_is_of_no_use_fails_with_its_reason(
    world: World, content: str, word: str
) -> None:
    _, (row,) = world.lab.company(1)
    world.lab.configure(rows=[{"effect": {"kind": "content", "content": content}}])
    world.system.create()
    world.let_the_server_work()
    world.system.check()
    world.system.process()
    assert world.failed() == 1
    reason = world.lab.desk.request(row).errorMessage
    assert word in reason, f"defect 16: the reason is no more than {reason!r}"
    assert "LUNCH" not in reason


@defect(17)
def test_defect_17_both_implementations_give_the_same_statistics(world: World) -> None:
    world.lab.company(3)
    world.tick()
    world.lab.company(2)
    optimized, original = statistics_of(world)
    assert optimized
    assert optimized == original, "defect 17: the fallback changes what the answer looks like"


def statistics_of(world: World) -> tuple[object, object]:
    """The optimized and the original answer of the side that is looked at."""
    engine = world.lab.desk.engine
    if world.is_ours:
        return choose_queries(engine, optimized=True).statistics(), OriginalQueries(
            engine
        ).statistics()
    return optimized_statistics(engine), original_statistics(engine)
