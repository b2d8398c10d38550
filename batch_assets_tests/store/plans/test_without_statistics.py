"""Where the planner knows nothing yet, nothing takes more than its rows a few times over."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from batch_assets.domain.batches import (
    BatchOutcomes,
    Claim,
    ClaimedBatch,
    EndedBatch,
    SubmittedBatch,
    UploadedBatch,
)
from batch_assets.domain.records import RowOutcome
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.factories import make_requests
from batch_assets_tests.one_database import one_database
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.plans.explain import bounded_plans_of
from batch_assets_tests.store.queries.support import Desk, completed, failed, remote_batch

ROWS = 6_000
POLICY = a_policy(default_token_allowance=10**12)


@pytest.fixture
def desk(databases: TestDatabases) -> Iterator[Desk]:
    """A database of which no statistics were ever taken."""
    with one_database(databases) as opened:
        yield Desk(opened, choose_queries(opened, optimized=True))


def test_a_large_set_all_its_way(desk: Desk) -> None:
    queries = desk.queries
    companies = [desk.company()[0] for _ in range(4)]
    with desk.engine.begin() as connection:
        for company_id in companies:
            make_requests(connection, company_id, ROWS // 4, messages=1)
    claims: list[Claim] = []
    bounded(desk, lambda: queries.notice_pending(100_000))
    bounded(desk, lambda: queries.pending_by_company(companies))
    bounded(desk, lambda: claims.append(desk.claim(*companies, policy=POLICY)))
    batches = claims[0].batches
    assert sum(batch.requests for batch in batches) == ROWS
    submit(desk, batches)
    for in_flight in queries.batches_in_flight(100):
        desk.end(in_flight)
    write(desk, queries.take_ended(desk.holder, 100))
    desk.do("UPDATE batch_assets.retry SET retry_at = now()")
    bounded(desk, lambda: queries.requeue_due(ROWS))
    assert len(desk.intake()) == ROWS - ROWS // 4


def submit(desk: Desk, batches: Sequence[ClaimedBatch]) -> None:
    """Send what was claimed."""
    queries = desk.queries
    ids = [batch.id for batch in batches]
    uploads = [UploadedBatch(batch.lease, f"file-{batch.id}", 1_000) for batch in batches]
    submitted = [SubmittedBatch(batch.lease, remote_batch(batch.id)) for batch in batches]
    bounded(desk, lambda: list(queries.conversations(ids)))
    bounded(desk, lambda: queries.record_uploads(uploads, 900))
    bounded(desk, lambda: queries.record_submissions(submitted))


def write(desk: Desk, taken: Sequence[EndedBatch]) -> None:
    """Half of the rows are answered, and of these half failed; the others wait again."""
    queries = desk.queries
    rows = queries.open_rows([batch.id for batch in taken], ROWS + 1)
    assert len(rows) == ROWS
    bounded(desk, lambda: queries.rows_of(rows))
    outcomes: dict[str, list[RowOutcome]] = {batch.id: [] for batch in taken}
    for number, (batch_id, request_id) in enumerate(rows[: ROWS // 2]):
        outcomes[batch_id].append((completed, failed)[number % 2](request_id))
    results = [BatchOutcomes(batch.lease, outcomes[batch.id]) for batch in taken]
    bounded(desk, lambda: queries.write_results(results, POLICY))
    bounded(desk, lambda: queries.finalize([batch.lease for batch in taken]))


def bounded(desk: Desk, act: Callable[[], object]) -> None:
    """Let nothing be read more often than each of its rows a few times in each of its tables."""
    bounded_plans_of(desk, act, touching=15 * ROWS)
