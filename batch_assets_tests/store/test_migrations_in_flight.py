"""An installation with batches and retries in flight is moved out of LiveDash's reach, and back."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from batch_assets.domain.budgets import ALL_COMPANIES, Budget, Period
from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.store.budgets import StoredBudgets
from batch_assets.store.company_accounts import CompanyAccounts
from batch_assets.store.conservation import Conservation
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import current, downgrade, upgrade
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.factories import make_company, make_request
from batch_assets_tests.store.queries.support import PERMANENT, TRANSIENT, Desk, failed

BEFORE = "0007"


@pytest.fixture
def engine(databases: TestDatabases) -> Iterator[Engine]:
    url = databases.clone_migrated()
    engine = open_engine(url)
    yield engine
    engine.dispose()
    databases.drop(url)


def url_of(engine: Engine) -> str:
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def stage(desk: Desk, request_id: str) -> str:
    found = desk.analysis_status(request_id)
    assert found is not None
    return str(found.status)


def test_it_is_moved_over_and_back_and_over(engine: Engine) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    submitted, (in_batch,) = desk.submitted(1)
    ended, (put_off, dead, left) = desk.ended(3)
    desk.write(ended.lease, [failed(put_off, TRANSIENT), failed(dead, PERMANENT)])
    finalized, _ = desk.ended(1, output_file_id=None, status="failed")
    desk.finalize(finalized.lease)
    with engine.begin() as connection:
        follower = make_request(connection, desk.session_id(in_batch))
    desk.queries.notice_pending(10)
    assert Conservation(engine).all_rows().is_clean
    # What an earlier version does not know goes with its columns.
    desk.do("UPDATE batch_assets.attempt SET text_bytes = NULL, estimated_cost_eur = NULL")
    here = desk.everything()

    engine.dispose()
    downgrade(url_of(engine), BEFORE)
    assert desk.livedash_batch(submitted.id).status == "VALIDATING"
    assert desk.livedash_batch(ended.id).status == "COMPLETED"
    assert desk.livedash_batch(finalized.id).status == "FAILED"
    assert desk.statuses([in_batch, left]) == {"BATCHING_IN_PROGRESS"}
    assert desk.statuses([put_off, dead]) == {"PROCESSING_FAILED"}
    assert desk.request(put_off).completedAt is not None
    assert stage(desk, put_off) == "FAILED"
    assert desk.retry(put_off).code == TRANSIENT.code
    assert desk.statuses([follower]) == {"PENDING_BATCHING"}

    engine.dispose()
    upgrade(url_of(engine))
    desk.queries.notice_pending(10)
    assert desk.livedash_batch(submitted.id).status == "UPLOADING"
    assert desk.livedash_batch(ended.id).status == "UPLOADING"
    assert desk.livedash_batch(finalized.id).status == "FAILED"
    assert desk.statuses([in_batch, put_off, left, follower]) == {"BATCHING_IN_PROGRESS"}
    assert (desk.request(put_off).batchId, desk.request(put_off).completedAt) == (None, None)
    assert stage(desk, put_off) == "IN_PROGRESS"
    assert desk.statuses([dead]) == {"PROCESSING_FAILED"}
    assert Conservation(engine).all_rows().is_clean
    there = desk.everything()
    assert [row.id for row in there["request"]] == [row.id for row in here["request"]]
    assert there["livedash_batch"] == here["livedash_batch"]
    assert there["attempt"] == here["attempt"]


def test_what_an_earlier_version_left_waiting_is_in_progress_again(engine: Engine) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    batch, (row,) = desk.claimed(1)
    desk.queries.release([batch.lease])
    engine.dispose()
    downgrade(url_of(engine), BEFORE)
    desk.do("UPDATE public.\"SessionProcessingStatus\" SET status = 'PENDING'")
    engine.dispose()
    upgrade(url_of(engine))
    assert stage(desk, row) == "IN_PROGRESS", "LiveDash would have asked for it again"


def test_budgets_are_not_lost_unasked(engine: Engine) -> None:
    budgets = StoredBudgets(engine)
    budgets.set([Budget(ALL_COMPANIES, Period.MONTH, 250.0)], "the tests")
    url = url_of(engine)
    for target in ("0020", BEFORE, "base"):
        with pytest.raises(MigrationRefusedError, match="has 1 budget, which an older version"):
            downgrade(url, target)
    downgrade(url, "0021")
    assert [use.amount_eur for use in budgets.uses()] == [250.0]
    downgrade(url, "0020", drop_budgets=True)
    assert current(url) == "0020"
    downgrade(url, BEFORE)
    upgrade(url)
    assert budgets.uses() == []


def test_no_older_version_is_given_what_another_account_serves(engine: Engine) -> None:
    assigned = CompanyAccounts(engine)
    with engine.begin() as connection:
        company_id = make_company(connection)
    assigned.assign(company_id, "acme", "the tests")
    url = url_of(engine)
    with pytest.raises(MigrationRefusedError, match="has 1 company of further accounts"):
        downgrade(url, "0022")
    assigned.assign(company_id, "default", "the tests")
    downgrade(url, "0022")
    assert current(url) == "0022"
    upgrade(url)
    assigned.assign(company_id, "acme", "the tests")
    downgrade(url, "base")
