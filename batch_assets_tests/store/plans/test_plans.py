"""No plan touches rows in proportion to the history, and none more of the backlog than it moves."""

from dataclasses import replace

import pytest

from batch_assets.domain.batches import (
    Claim,
    ClaimedBatch,
    LiveClaim,
    SubmittedBatch,
    UploadedBatch,
)
from batch_assets.domain.conservation import Look
from batch_assets.domain.dead_letters import Criteria
from batch_assets.domain.policy import Caps, LivePolicy, Policy
from batch_assets.domain.records import Lease
from batch_assets.store.conservation import Conservation
from batch_assets.store.live import Live
from batch_assets.store.live_requests import LiveRequests
from batch_assets.store.protocol import Spent
from batch_assets.store.registry import Registry
from batch_assets.store.suspects import Split, Suspects
from batch_assets_tests.factories import make_foreign_batch, make_requests
from batch_assets_tests.store.plans.explain import plans_of
from batch_assets_tests.store.plans.world import (
    BACKLOG,
    COMPANIES,
)
from batch_assets_tests.store.queries.support import (
    PERMANENT,
    Desk,
    completed,
    failed,
    remote_batch,
    terms,
)

# The database is large: one of xdist's workers makes it, where they are told to look at groups.
pytestmark = pytest.mark.xdist_group("plans")

SWEEP = 30_000
"""What a tick reads whatever there is: 5,000 entries, 5,000 waiting rows, and what they name."""
OTHERS = 10_000
"""What a tick may read of requests that these tests have made within the overlap."""
ROWS = 100
"""How many rows the batches have whose lives are looked at."""
LITTLE = 40 * ROWS
"""What an operation on one of them may touch: a row in each of its tables, a few times over."""
ROOMY = Policy(default_token_allowance=10**12)


def test_a_tick_with_nothing_new(desk: Desk) -> None:
    plans = plans_of(desk, lambda: desk.queries.notice_pending(100_000), touching=SWEEP + OTHERS)
    assert plans.indexes >= {"AIProcessingRequest_processingStatus_requestedAt_idx", "intake_pkey"}


def test_a_tick_with_new_requests(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        make_requests(connection, COMPANIES[0], 1_000)
    noticed = []
    plans_of(
        desk,
        lambda: noticed.append(desk.queries.notice_pending(100_000)),
        touching=SWEEP + OTHERS + 3 * 1_000,
    )
    assert noticed == [1_000]


def test_the_backlogs_are_read_in_the_intake_alone(desk: Desk) -> None:
    plans = plans_of(
        desk, lambda: desk.queries.pending_by_company(COMPANIES), touching=BACKLOG + OTHERS
    )
    assert {scan.source for scan in plans.scans if scan.is_table} == {"intake"}


def test_a_claim(desk: Desk) -> None:
    claims: list[Claim] = []
    policy = replace(ROOMY, rows_per_claim=4_000)
    plans = plans_of(
        desk,
        lambda: claims.append(desk.claim(*COMPANIES, policy=policy)),
        touching=15 * 5_000,
    )
    assert 4_000 <= sum(batch.requests for batch in claims[0].batches) <= 5_000
    assert plans.indexes >= {
        "intake_company_id_model_requested_at_idx",
        "AIProcessingRequest_pkey",
        "Session_pkey",
        "batch_claimed_at_idx",
        "batch_open_idx",
    }


def test_a_claim_of_little(desk: Desk) -> None:
    company_id, _ = desk.company(ROWS)
    plans_of(desk, lambda: desk.claim(company_id, policy=ROOMY), touching=LITTLE)


def test_a_live_claim_of_little(desk: Desk) -> None:
    batch, ids = desk.ended(ROWS)
    desk.write(batch.lease, [failed(request_id) for request_id in ids])
    desk.settle(batch.lease)
    desk.do("UPDATE batch_assets.retry SET retry_at = failed_at")
    store = LiveRequests(desk.engine)
    asked = store.choose(Criteria(request_ids=ids[:10]), ROWS)
    store.ask([one.candidate for one in asked], "an operator")
    live = Live(desk.engine)
    policy = replace(ROOMY, live=LivePolicy(lead_seconds=ROOMY.batch_timeout_seconds))
    claims: list[LiveClaim] = []
    plans = plans_of(
        desk,
        lambda: claims.append(live.claim(terms(policy), desk.holder, Spent())),
        touching=LITTLE,
    )
    assert sum(one.requests for one in claims[0].batches) == policy.live.requests_per_claim
    assert plans.indexes >= {"retry_retry_at_idx", "retry_pkey", "AIProcessingRequest_pkey"}
    lease = claims[0].batches[0].lease
    rows = [(lease, request_id) for request_id in ids]
    plans_of(desk, lambda: live.mark_called(rows), touching=LITTLE)
    plans_of(desk, lambda: live.called([lease.batch_id]), touching=LITTLE)


def test_a_claim_that_has_no_room_left(desk: Desk) -> None:
    claims: list[Claim] = []
    policy = Policy(default_token_allowance=1_000)
    plans_of(
        desk,
        lambda: claims.append(desk.claim(*COMPANIES, policy=policy)),
        touching=10 * 5_000,
    )
    assert sum(batch.requests for batch in claims[0].batches) <= 2
    assert claims[0].remaining == ()


def test_a_claim_under_a_cap(desk: Desk) -> None:
    claims: list[Claim] = []
    policy = replace(ROOMY, caps=Caps(run_requests=ROWS))
    plans_of(
        desk,
        lambda: claims.append(desk.claim(*COMPANIES, policy=policy)),
        touching=10 * 5_000,
    )
    assert sum(batch.requests for batch in claims[0].batches) == ROWS


def test_a_claim_that_passes_over_a_model(desk: Desk) -> None:
    company_id = COMPANIES[-1]
    desk.more(company_id, ROWS, model="gpt-4.1")
    desk.do(
        "INSERT INTO batch_assets.model_pause (model, until, reason)"
        " VALUES ('gpt-4o-mini', clock_timestamp() + interval '1 hour', 'token_limit_exceeded')"
    )
    claims: list[Claim] = []
    try:
        plans_of(
            desk, lambda: claims.append(desk.claim(company_id, policy=ROOMY)), touching=LITTLE + 600
        )
    finally:
        desk.do("DELETE FROM batch_assets.model_pause")
    assert [batch.requests for batch in claims[0].batches] == [ROWS]
    assert claims[0].held == {"model gpt-4o-mini rests: token_limit_exceeded": 600}


def test_a_claim_for_a_company_with_a_long_backlog(desk: Desk) -> None:
    claims: list[Claim] = []
    policy = replace(ROOMY, rows_per_claim=4_000)
    status = "UPDATE public.\"Company\" SET status = '{}' WHERE id = 'suspended'"
    desk.do(status.format("ACTIVE"))
    try:
        plans_of(
            desk,
            lambda: claims.append(desk.claim("suspended", policy=policy)),
            touching=15 * 5_000,
        )
    finally:
        desk.do(status.format("SUSPENDED"))
    assert sum(batch.requests for batch in claims[0].batches) == 5_000


def test_a_claim_of_what_can_never_be_sent(desk: Desk) -> None:
    company_id, _ = desk.company(ROWS, messages=0)
    claims: list[Claim] = []
    plans_of(desk, lambda: claims.append(desk.claim(company_id, policy=ROOMY)), touching=LITTLE)
    assert claims[0].rejected == {"no_messages": ROWS}


def test_a_claim_for_the_suspended_company(desk: Desk) -> None:
    plans_of(desk, lambda: desk.claim("suspended", policy=ROOMY), touching=1_000)


def test_from_a_claimed_batch_to_a_submitted_one(desk: Desk) -> None:
    queries = desk.queries
    batch, ids = desk.claimed(ROWS)
    upload = UploadedBatch(batch.lease, "file-in", 1_000, dropped=(ids[0],))
    submission = SubmittedBatch(batch.lease, remote_batch(batch.id))
    for act in (
        lambda: list(queries.conversations([batch.id])),
        lambda: queries.renew([batch.lease], 900),
        lambda: queries.record_uploads([upload], 900),
        lambda: queries.record_submissions([submission]),
        lambda: queries.batches_in_flight(1_000),
    ):
        plans_of(desk, act, touching=LITTLE)
    assert desk.batch(batch.id).state == "submitted"


def test_from_a_submitted_batch_to_a_settled_one(desk: Desk) -> None:
    queries = desk.queries
    in_flight, ids = desk.submitted(ROWS)
    lease = Lease(in_flight.id, in_flight.fence + 1)
    rows = [(in_flight.id, request_id) for request_id in ids]
    written = [
        completed(ids[0]),
        *(make(request_id) for request_id in ids[1:-9] for make in (completed, failed)),
    ]
    for act in (
        lambda: desk.end(in_flight),
        lambda: queries.take_ended(desk.holder, 1_000),
        lambda: queries.rows_of(rows),
        lambda: desk.write(lease, written),
        lambda: queries.open_rows([in_flight.id], 5),
        lambda: queries.settle([lease]),
        lambda: queries.leftovers(1_000),
        lambda: queries.record_deleted([in_flight.id]),
    ):
        plans_of(desk, act, touching=LITTLE)
    assert desk.batch(in_flight.id).state == "settled"


def test_a_refused_batch_in_two_lots(desk: Desk) -> None:
    batch, ids = desk.ended(ROWS, status="failed", output_file_id=None)
    suspects = Suspects(desk.engine)
    lots: list[ClaimedBatch] = []
    half = ROWS // 2
    split = Split(batch.lease, (ids[:half], ids[half:]))
    for act in (
        lambda: suspects.rows_of([batch.id]),
        lambda: suspects.split([split], most=2),
        lambda: desk.queries.settle([batch.lease]),
        lambda: lots.extend(desk.claim(batch.company_id, policy=ROOMY).batches),
    ):
        plans_of(desk, act, touching=LITTLE)
    assert [lot.requests for lot in lots] == [half, ROWS - half]
    for lot in lots:
        desk.upload(lot.lease)
        desk.submit(lot)
        desk.end(desk.in_flight(lot.id))
    leases = [ended.lease for ended in desk.queries.take_ended(desk.holder, 1_000)]
    plans_of(desk, lambda: desk.queries.settle(leases), touching=LITTLE)
    assert desk.value("SELECT count(*) FROM batch_assets.suspect") == 0


def test_what_was_failed_waits_again(desk: Desk) -> None:
    batch, ids = desk.ended(ROWS)
    desk.write(batch.lease, [failed(request_id) for request_id in ids])
    desk.do("UPDATE batch_assets.retry SET retry_at = now()")
    requeued: list[int] = []
    plans_of(desk, lambda: requeued.append(desk.queries.requeue_due(ROWS)), touching=LITTLE)
    assert requeued == [ROWS]


def test_what_was_never_submitted_waits_again(desk: Desk) -> None:
    queries = desk.queries
    batch, ids = desk.uploaded(ROWS)
    desk.lapse(batch.id)
    lease = Lease(batch.id, 2)
    for act in (
        lambda: queries.take_unresolved(desk.holder, 1_000),
        lambda: queries.record_absences([lease]),
        lambda: queries.expire([lease]),
        lambda: queries.release([lease]),
    ):
        plans_of(desk, act, touching=LITTLE)
    assert desk.statuses(ids) == {"PENDING_BATCHING"}


def test_what_livedash_has_in_flight(desk: Desk) -> None:
    company_id, ids = desk.company(ROWS)
    with desk.engine.begin() as connection:
        make_foreign_batch(connection, company_id, request_ids=ids)
    adopted: list[int] = []
    for_each_company = 5 * len(COMPANIES)
    registry = Registry(desk.engine, foreign_quiet_seconds=900)
    plans_of(desk, registry.glance, touching=10 * ROWS + for_each_company)
    plans_of(
        desk,
        lambda: adopted.append(desk.queries.adopt_foreign()),
        touching=10 * ROWS + for_each_company,
    )
    assert adopted == [1]


def test_a_look_at_what_is_open(desk: Desk) -> None:
    batch, ids = desk.ended(ROWS)
    desk.submitted(ROWS)
    desk.write(
        batch.lease,
        [*map(failed, ids[:10]), *(failed(one, PERMANENT) for one in ids[10:20])],
    )
    desk.settle(batch.lease)
    open_rows = desk.value(
        "SELECT count(*) FROM batch_assets.attempt AS a JOIN batch_assets.batch AS b"
        " ON b.id = a.batch_id WHERE a.outcome IS NULL"
        " AND b.state IN ('claimed', 'uploaded', 'submitted', 'ended')"
    )
    seen: list[Look] = []
    conservation = Conservation(desk.engine)
    plans = plans_of(
        desk,
        lambda: seen.append(conservation.open_rows(finished_within_seconds=1)),
        touching=10 * open_rows + LITTLE,
    )
    assert len(plans.all) == 1
    assert (seen[0].seen["rows_in_batch"], seen[0].is_clean) == (open_rows, True), seen[0].misfits
