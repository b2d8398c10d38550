"""The schema `batch_assets` is lost with batches at every stage: each is found again, or freed."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.controls.abandon import abandon_batch
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.conservation import Conservation
from batch_assets.store.migrate import upgrade
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import choose_queries
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.odd_values import TIMES
from batch_assets_tests.one_database import empty, one_database
from batch_assets_tests.stages.half_made import (
    FAILING,
    Breaking,
    InterruptedHereError,
    claimed,
    created,
    dead,
    ended,
    followed,
    half_ingested,
    put_off,
    read_and_not_finalized,
    running,
    uploaded,
    uploaded_in_vain,
)
from batch_assets_tests.stages.support import QUICK, Lab, wait_until
from batch_assets_tests.stages.synchronous_support import ON, waiting
from batch_assets_tests.stages.synchronous_support import ask as ask_synchronously
from batch_assets_tests.store.queries.support import Desk

_LOSE = text("""
    DELETE FROM batch_assets.attempt;
    DELETE FROM batch_assets.batch;
    DELETE FROM batch_assets.daily_cost;
    DELETE FROM batch_assets.run_reading;
    DELETE FROM batch_assets.intake;
    DELETE FROM batch_assets.retry;
    DELETE FROM batch_assets.follower;
    DELETE FROM batch_assets.dead_letter;
    DELETE FROM batch_assets.search;
    DELETE FROM batch_assets.synchronous_request;
    UPDATE batch_assets.installation SET id = gen_random_uuid()::text, has_orphans = true;
""")
"""What a schema that was lost and made again differs by, without the seconds that it takes."""


@pytest.fixture(scope="module")
def unwatched_engine(databases: TestDatabases) -> Iterator[Engine]:
    """Not that of the other tests: what is lost is in no bucket, and makes moves that are none."""
    with one_database(databases) as opened:
        yield opened


@pytest.fixture
def engine(unwatched_engine: Engine) -> Engine:
    empty(unwatched_engine)
    return unwatched_engine


@pytest.fixture
def own_engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        empty(opened)
        yield opened


def lose(lab: Lab) -> None:
    with lab.desk.engine.begin() as connection:
        connection.execute(_LOSE)


def lose_schema(lab: Lab) -> None:
    """Drop the schema for real, and make it again."""
    lab.desk.do("DROP SCHEMA batch_assets CASCADE")
    engine = lab.desk.engine
    engine.dispose()
    upgrade(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))


def finish(lab: Lab) -> None:
    """Run until nothing is under way, as an operator who has confirmed sees it."""

    def is_done() -> bool:
        lab.recover()
        lab.retry()
        lab.read_to_the_end()
        lab.submit()
        return not lab.bucket_counts().keys() & {"waiting", "in_batch", "retry", "follows"}

    wait_until(is_done, seconds=30)


SET_COMPLETED = 'public."AIProcessingRequest" SET "completedAt"'
STAGES: Sequence[Callable[[Lab], list[str]]] = (
    *(claimed, uploaded_in_vain, uploaded, created, running, ended, half_ingested),
    *(read_and_not_finalized, put_off, followed),
)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_what_was_under_way_when_the_schema_was_lost_is_billed_once(
    lab: Lab, stage: Callable[[Lab], list[str]]
) -> None:
    before = ended(lab)
    lab.ingest()
    ids = stage(lab)
    lose(lab)
    finish(lab)
    assert set(lab.statuses(ids)) == {"PROCESSING_COMPLETE"}
    assert lab.times_billed([*before, *ids]) == [1] * (len(ids) + 2)
    found = Conservation(lab.desk.engine).all_rows()
    assert found.is_clean, found


@pytest.mark.parametrize("moment", TIMES[:6:2])
def test_one_of_any_date_is_read_like_any_other(lab: Lab, moment: str) -> None:
    ids = half_ingested(lab)
    lose(lab)
    for column in ('public."AIBatchRequest" SET "createdAt"', SET_COMPLETED):
        lab.desk.do(f"UPDATE {column} = CAST(:moment AS timestamptz)", moment=moment)
    made = "SELECT min(claimed_at), max(claimed_at) FROM batch_assets.batch"
    read = "SELECT min(ended_at), max(ended_at) FROM batch_assets.attempt"
    finish(lab)
    for query in (made, read):
        first, last = tuple(lab.desk.rows(query)[0])
        assert datetime.min.replace(tzinfo=UTC) < first <= last <= datetime.now(UTC), query
    assert set(lab.statuses(ids)) == {"PROCESSING_COMPLETE"}
    assert lab.times_billed(ids) == [1] * len(ids)


@pytest.mark.parametrize("implementation", ["optimized", "original"])
def test_a_schema_that_is_dropped_with_batches_at_every_stage(
    own_engine: Engine, api: BatchApi, server: RunningServer, tmp_path: Path, implementation: str
) -> None:
    pipeline = Pipeline(
        queries=choose_queries(own_engine, optimized=implementation == "optimized"),
        registry=Registry(own_engine, external_quiet_seconds=900),
        api=api,
        policy=QUICK,
        spool_dir=tmp_path,
        owner="host:1",
    )
    lab = Lab(pipeline, server, Desk(own_engine, pipeline.queries))
    ids, dead_ids = put_off(lab), dead(lab)
    ids += half_ingested(lab) + created(lab) + followed(lab) + uploaded(lab) + claimed(lab)
    lose_schema(lab)
    rows = lab.desk.column('SELECT id FROM public."AIProcessingRequest"')

    named = {
        str(one.kind): one.count for one in Conservation(own_engine).all_rows().look.violations
    }
    assert named["in_unwatched_batch"] == 8, "one of the half-read has its answer"
    lab.recover()
    assert lab.batches() == [], "until somebody has confirmed, nothing is known of whose it is"
    pipeline.registry.confirm("the tests")
    report = lab.recover()
    assert report.earlier.orphaned_requests == 3, "two put off, one follows"
    finish(lab)
    assert lab.times_billed(ids) == [1] * len(ids)
    assert sum(lab.times_billed(rows)) == len(ids), "what followed was not bought, nor what is dead"
    assert lab.bucket_counts() == {"complete": len(ids) + 1, "failed_elsewhere": len(dead_ids)}
    found = Conservation(own_engine).all_rows()
    assert found.is_clean, found


def test_a_live_call_whose_record_is_lost_is_not_made_again(lab: Lab) -> None:
    ids = waiting(lab, 2)
    ask_synchronously(lab, ids)
    live = lab.under(synchronous=ON)
    breaking = Breaking(lab.pipeline.queries, "write_results", 0)
    with pytest.raises(InterruptedHereError):
        live.asking(breaking).retry_failed()
    lose(lab)
    lab.recover()
    lab.ingest()
    assert lab.bucket_counts() == {"dead": 2}
    assert {row.code for row in map(lab.desk.dead_letter, ids)} == {"indeterminate_live"}


def test_what_an_orphan_had_put_off_keeps_it_from_no_end(lab: Lab) -> None:
    """All that its file holds has left it: the row that failed is in no batch when it is lost."""
    lab.configure(rows=[FAILING])
    ids = read_and_not_finalized(lab)
    lab.configure()
    lose(lab)
    lab.recover()
    lab.poll_to_the_end()
    assert lab.ingest().finalized == 1
    finish(lab)
    assert lab.times_billed(ids) == [1, 1]


def test_without_a_sign_of_the_earlier_installation_nothing_is_freed(lab: Lab) -> None:
    """The key may be another one now: an empty list is no proof, and no file of ours in it is."""
    ids = claimed(lab)
    lose(lab)
    for _ in range(3):
        report = lab.recover()
    assert (report.unproved, report.released) == (1, 0)
    assert set(lab.statuses(ids)) == {"BATCHING_IN_PROGRESS"}

    (batch_id,) = lab.batches("claimed")
    with pytest.raises(BatchAssetsError, match="with the key that it was made with"):
        abandon_batch(lab.pipeline, batch_id, "0m", str, force=True, dry_run=False)
    stuck = lab.under(stuck_seconds=0)
    foreseen = abandon_batch(stuck.pipeline, batch_id, "0m", str, force=True, dry_run=True)
    assert "could not be found out. Giving it up lets its 2 requests wait" in foreseen.sentence
    given_up = abandon_batch(stuck.pipeline, batch_id, "0m", str, force=True, dry_run=False)
    assert "is given up: its 2 requests wait again; if the server has it" in given_up.sentence
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_a_batch_that_a_run_works_on_is_not_given_up_as_unresolved(lab: Lab) -> None:
    claimed(lab)
    (batch_id,) = lab.batches("claimed")
    stuck = lab.under(stuck_seconds=0)
    with pytest.raises(BatchAssetsError, match="A run works on batch"):
        abandon_batch(stuck.pipeline, batch_id, "0m", str, force=True, dry_run=False)
    assert lab.bucket_counts() == {"in_batch": 2}


def test_a_batch_that_the_server_does_not_know_stays_as_it_is(lab: Lab) -> None:
    ids = running(lab)
    lab.desk.do("""UPDATE public."AIBatchRequest" SET "openaiBatchId" = 'batch_of_another_key'""")
    lose(lab)
    lab.recover()
    assert lab.poll().unknown == 1
    assert set(lab.statuses(ids)) == {"BATCHING_IN_PROGRESS"}


def test_nothing_of_an_orphan_is_cancelled_or_deleted(lab: Lab) -> None:
    """The database that made it may live on, and need its files."""
    running(lab)
    files = lab.all_file_ids()
    lose(lab)
    lab.recover()
    lab.under(batch_timeout_seconds=0).read_to_the_end()
    lab.clean()
    assert files <= lab.all_file_ids()
    assert not lab.pipeline.registry.snapshot().has_leftovers
