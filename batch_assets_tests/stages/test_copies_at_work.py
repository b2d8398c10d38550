"""The look at the server's newest batches before anything is bought: one call, one statement."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from batch_assets.domain.errors import ApiError, SubmissionHeldError
from batch_assets.domain.records import RemoteBatch
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.objects import Page
from batch_assets.stages.copies import look_for_others
from batch_assets.stages.orphans import delete_leftovers
from batch_assets.stages.reports import Reports
from batch_assets.store.counting import Tally, count_statements, counted_into
from batch_assets.store.engine import open_engine
from batch_assets.store.registry import Registry
from batch_assets_tests.stages.support import (
    API_KEY,
    AT_ONCE,
    Lab,
    call_rule,
    plenty,
    refusal,
)
from batch_assets_tests.stages.test_orphans import create, find, upload


@dataclass
class CountedApi(BatchApi):
    """The real client, which counts the pages that it reads."""

    base_url: str
    pages: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(API_KEY, self.base_url)

    def batches_page(self, after: str | None = None) -> Page[RemoteBatch]:
        self.pages.append(after)
        return super().batches_page(after)


def of_others(count: int, created_at: object = None) -> dict[str, Any]:
    """A quirk: so many batches of other people, in front of ours."""
    one = {"object": "batch", "status": "completed", "metadata": None, "created_at": created_at}
    foreign = [one | {"id": f"batch_of_others_{number}"} for number in range(count)]
    return {"lists": {"foreign_batches": foreign}}


def run_of(lab: Lab) -> Lab:
    """What another run sees, or another process of this one."""
    return replace(lab, pipeline=replace(lab.pipeline, looks=Reports()))


def unknown_batch(lab: Lab) -> str:
    """A batch with our id that the database does not know; the server's id."""
    return create(lab, "made-elsewhere", upload(lab, "any.jsonl", "request-1"))


@contextmanager
def counted_engine(lab: Lab) -> Iterator[Engine]:
    """Another engine on the same database, whose statements are counted."""
    engine = open_engine(lab.desk.engine.url.render_as_string(hide_password=False))
    count_statements(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def test_a_run_that_submits_makes_one_call_and_one_statement_more(lab: Lab) -> None:
    with CountedApi(lab.server.base_url) as api:
        counted = lab.using(api)
        lab.company(1)
        counted.submit()
        lab.company(1)
        api.pages.clear()
        counted.submit()
        assert api.pages == [None]
        tally = Tally()
        with counted_engine(lab) as engine, counted_into(tally):
            pipeline = replace(counted.pipeline, registry=Registry(engine, 900))
            look_for_others(pipeline, pipeline.read_snapshot())
        assert tally.statements == 2, "a snapshot and what is known"
        api.pages.clear()
        counted.submit()
        counted.recover()
        assert api.pages == [], "an idle run asks nothing"


def test_a_run_that_submits_and_deletes_files_looks_once(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    lab.read_to_the_end()
    lab.company(1)
    with CountedApi(lab.server.base_url) as api:
        counted = run_of(lab).using(api)
        assert counted.submit().batches == 1
        assert counted.clean() == 1
        assert api.pages == [None]
        counted.read_to_the_end()
        api.pages.clear()
        assert counted.clean() == 1
        assert api.pages == [None], "that was another run's"


def test_what_a_run_has_made_itself_does_not_hide_a_copy_when_files_are_deleted(lab: Lab) -> None:
    """Another process of this run has submitted: its looks are not known in this one."""
    lab.company(1)
    lab.submit()
    lab.read_to_the_end()
    seen = lab.pipeline.read_snapshot()
    unknown_batch(lab)
    lab.desk.do("UPDATE batch_assets.batch SET claimed_at = now() + interval '1 hour'")
    lab.configure(quirks=of_others(150, int(datetime.now(UTC).timestamp())))
    files = lab.remote_files()
    assert delete_leftovers(run_of(lab).pipeline, seen, plenty()) == 0
    assert lab.remote_files() == files
    assert not lab.pipeline.registry.installation().may_touch


def test_a_copy_that_was_found_after_the_snapshot_keeps_the_files(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    lab.read_to_the_end()
    this_run = run_of(lab)
    seen, files = this_run.pipeline.read_snapshot(), lab.all_file_ids()
    lab.company(1)
    assert this_run.submit().batches == 1, "it has looked, and seen nobody"
    unknown_batch(lab)
    assert find(lab).unknown == 1, "the audit sees it meanwhile"
    assert delete_leftovers(this_run.pipeline, seen, plenty()) == 0
    assert files <= lab.all_file_ids()


def test_it_looks_back_to_the_newest_that_is_known_and_no_further_than_it_may(lab: Lab) -> None:
    with CountedApi(lab.server.base_url) as api:
        counted = lab.using(api)
        lab.configure(quirks=of_others(1_000))
        look_for_others(counted.pipeline, counted.pipeline.read_snapshot())
        assert len(api.pages) == lab.pipeline.policy.pages_per_look
        lab.company(1)
        counted.submit()
        lab.desk.do("UPDATE batch_assets.batch SET claimed_at = now() - interval '1 hour'")
        lab.configure(quirks=of_others(1_000, int(datetime.now(UTC).timestamp()) - 7_200))
        api.pages.clear()
        look_for_others(counted.pipeline, counted.pipeline.read_snapshot())
        assert api.pages == [None]


def test_what_this_database_does_not_know_holds_all_that_spends_or_deletes(lab: Lab) -> None:
    lab.company(2)
    lab.submit()
    lab.read_to_the_end()
    _, ids = lab.company(1)
    unknown_batch(lab)
    files = lab.all_file_ids()
    with pytest.raises(SubmissionHeldError, match="confirm --copy"):
        lab.submit()
    assert lab.clean() == 0
    # The unknown batch may have ended meanwhile, with a file more.
    assert files <= lab.all_file_ids()
    assert lab.bucket_counts() == {"complete": 2, "waiting": 1}
    with pytest.raises(SubmissionHeldError):
        lab.submit()
    lab.pipeline.registry.make_home("me", as_copy=False)
    assert lab.submit().batches == 1
    assert lab.clean() == 1
    lab.finish()
    assert lab.times_billed(ids) == [1]


@pytest.mark.parametrize("seconds", [-900, 900])
def test_what_was_made_before_the_confirmation_holds_nothing_whatever_the_clocks_say(
    lab: Lab, seconds: int
) -> None:
    timing = {"clock_skew_seconds": seconds, "hold_after_rows": 0}
    lab.configure(timing=timing)
    unknown_batch(lab)
    lab.desk.do("UPDATE batch_assets.installation SET alone_since = now() + interval '2 seconds'")
    lab.company(1)
    assert lab.submit().batches == 1
    lab.desk.do("UPDATE batch_assets.installation SET alone_since = now() - interval '10 seconds'")
    lab.company(1)
    with pytest.raises(SubmissionHeldError):
        lab.submit()


def test_a_list_that_fails_is_said_and_holds_nothing(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.company(1)
    lab.configure(calls=[call_rule("batches.list", refusal(500, headers=AT_ONCE))])
    assert lab.submit().batches == 1
    assert "Whether a copy of this database is at work elsewhere is not known" in caplog.text


def test_an_account_that_is_refused_is_found_before_anything_is_claimed(lab: Lab) -> None:
    lab.company(1)
    lab.configure(calls=[call_rule("batches.list", refusal(401, "invalid_api_key"))])
    with pytest.raises(ApiError):
        lab.submit()
    assert lab.batches() == []


def test_an_intent_that_is_committed_after_the_list_was_read_is_not_unknown(lab: Lab) -> None:
    """Another run makes a batch while this one looks: it had committed its intent before."""
    lab.company(1)
    (batch,) = lab.claim()
    lab.configure(timing={"hold_after_rows": 0})
    create(lab, batch.id, upload(lab, "any.jsonl", "request-1"))
    assert look_for_others(lab.pipeline, lab.pipeline.read_snapshot()).unknown_seen == 0


@pytest.mark.parametrize("oldest_first", [True, False])
def test_the_daily_look_reads_a_list_without_order_to_its_end(
    lab: Lab, *, oldest_first: bool
) -> None:
    unknown_batch(lab)
    old = int(datetime.now(UTC).timestamp()) - 30 * 86_400
    lists = of_others(250, old)["lists"] | {"oldest_first": oldest_first}
    lab.configure(quirks={"lists": lists})
    assert find(lab).unknown == 1
    assert "does not know" in str(lab.pipeline.registry.installation().hold_reason)
