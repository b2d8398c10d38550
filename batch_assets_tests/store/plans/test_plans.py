"""No plan touches rows in proportion to the history, and none more of the backlog than it moves."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import text

from batch_assets.domain.alerts.records import Recent
from batch_assets.domain.alerts.rules import RULES
from batch_assets.domain.batches import (
    Claim,
    ClaimedBatch,
    SubmittedBatch,
    SynchronousClaim,
    UploadedBatch,
)
from batch_assets.domain.bisection import halves
from batch_assets.domain.conservation import Look
from batch_assets.domain.lookups import Criteria
from batch_assets.domain.metrics import RunMetrics
from batch_assets.domain.policy import Caps
from batch_assets.domain.records import Backlog, Lease
from batch_assets.domain.report_data import RunEnd, Waiting
from batch_assets.store.alerts import Alerts
from batch_assets.store.bisection import Bisection, Split
from batch_assets.store.conservation import Conservation
from batch_assets.store.forecasts import Standings
from batch_assets.store.metrics import MOST_COMPANIES, Metrics
from batch_assets.store.protocol import Spent
from batch_assets.store.readings import NextLook, Readings
from batch_assets.store.registry import Registry
from batch_assets.store.strategy.records import HAVE_TWO
from batch_assets.store.synchronous_requests import SynchronousBatches, SynchronousRequests
from batch_assets.store.watching import NEWEST_ROWS, LeftToDo, NewlyDue, Watching
from batch_assets_tests.factories import make_external_batch, make_requests, make_run_metrics
from batch_assets_tests.policies import a_policy, a_synchronous_policy
from batch_assets_tests.store.plans.explain import explained, plans_of
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

SWEEP = 35_000
"""What a tick reads whatever there is: 5,000 entries, 5,000 waiting rows, and what they name."""
CLAIM = 16 * 5_000
"""What a claim reads of 5,000 rows: what they name, and the five requests of each one's session."""
OTHERS = 10_000
"""What a tick may read of requests that these tests have made within the overlap."""
ROWS = 100
"""How many rows the batches have whose lives are looked at."""
LITTLE = 40 * ROWS
"""What an operation on one of them may touch: a row in each of its tables, a few times over."""
DAY_OF_RUNS = 720
ROOMY = a_policy(default_token_allowance=10**12)


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
    """And whose account serves a company: there is a row for those alone that were given to one."""
    plans = plans_of(
        desk, lambda: desk.queries.pending_by_company(COMPANIES), touching=BACKLOG + OTHERS
    )
    assert {scan.source for scan in plans.scans if scan.is_table} == {"intake", "company_account"}


def test_a_look_for_companies_that_have_become_due(desk: Desk) -> None:
    found: list[NewlyDue] = []
    watching = Watching(desk.engine)
    plans = plans_of(
        desk,
        lambda: found.append(watching.newly_due(ROOMY.due_rule, datetime.now(UTC))),
        # A few rows of each company that waits, and what these tests have made of late.
        touching=10 * len(COMPANIES) + OTHERS,
    )
    # Other tests of this module may have claimed all of a company's.
    assert found[0].waiting_companies >= len(desk.queries.pending_by_company(COMPANIES))
    assert plans.indexes >= {
        "AIProcessingRequest_processingStatus_requestedAt_idx",
        "intake_company_id_model_requested_at_idx",
        "Company_pkey",
    }


def test_a_look_for_companies_with_many_new_requests(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch_assets.store.watching.NEWEST_ROWS", ROWS)
    with desk.engine.begin() as connection:
        make_requests(connection, COMPANIES[1], 10 * ROWS, messages=1)
    found: list[NewlyDue] = []
    watching = Watching(desk.engine)
    plans_of(
        desk,
        lambda: found.append(watching.newly_due(ROOMY.due_rule, datetime.now(UTC))),
        touching=10 * len(COMPANIES) + 4 * ROWS,
    )
    assert found[0].waiting_companies >= len(desk.queries.pending_by_company(COMPANIES))
    desk.queries.notice_pending(100_000)


def test_a_look_for_what_is_left_to_do_ends_with_the_first_that_is_due(desk: Desk) -> None:
    left: list[LeftToDo] = []
    watching = Watching(desk.engine)
    plans = plans_of(
        desk,
        lambda: left.append(
            watching.left_to_do(ROOMY.due_rule, datetime.now(UTC), {"webhook": "f"}, "a")
        ),
        touching=ROWS,
    )
    assert left[0].is_due
    assert "intake_company_id_model_requested_at_idx" in plans.indexes


def test_a_look_where_much_waits_and_nothing_is_due(desk: Desk) -> None:
    left: list[LeftToDo] = []
    watching = Watching(desk.engine)
    desk.do(
        "INSERT INTO batch_assets.model_cooldown (model, until, reason)"
        " SELECT DISTINCT model, now() + interval '1 hour', 'full' FROM batch_assets.intake"
    )
    plans = plans_of(
        desk,
        lambda: left.append(watching.left_to_do(ROOMY.due_rule, datetime.now(UTC), {}, "a")),
        # The newest rows and the oldest, each looked for in the intake, and a step a company.
        touching=2 * 2 * NEWEST_ROWS + 10 * len(COMPANIES),
    )
    desk.do("DELETE FROM batch_assets.model_cooldown")
    assert not left[0].is_due
    assert plans.indexes >= {
        "AIProcessingRequest_processingStatus_requestedAt_idx",
        "intake_company_id_model_requested_at_idx",
        "intake_pkey",
    }


def test_what_forecasts_are_made_of(desk: Desk) -> None:
    """The backlog is counted whole, and of the batches no more is read than tells something.

    Of each model a sample, the 2,000 that were read last, those of ten half days, what is open, and
    of the days what is in no day's sums.
    """
    with explained(desk.engine) as plans:
        Standings(desk.engine).read()
    of_batches = [scan for scan in plans.scans if scan.source == "batch"]
    assert not [scan for scan in of_batches if scan.kind == "Seq Scan"], str(plans)
    assert sum(scan.rows for scan in of_batches) <= 14 * 40 + 2_000 + 10 * 360 + 4 * ROWS
    assert plans.indexes >= {
        "batch_model_submitted_at_idx",
        "batch_finalized_at_idx",
        "batch_claimed_at_idx",
        "batch_open_idx",
        "batch_not_kept_idx",
    }


def test_a_look_at_what_is_in_flight(desk: Desk) -> None:
    watching = Watching(desk.engine)
    batch, _ = desk.submitted(3)
    ids = [batch.openai_batch_id, *(f"batch_h{number}" for number in range(99))]
    plans_of(desk, watching.in_flight, touching=OTHERS)
    plans = plans_of(desk, lambda: watching.in_flight_among(ids), touching=200)
    assert plans.indexes <= {"batch_openai_batch_id_key", "batch_open_idx"}


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
    desk.finalize(batch.lease)
    desk.do("UPDATE batch_assets.retry SET retry_at = failed_at")
    store = SynchronousRequests(desk.engine)
    asked = store.choose(Criteria(request_ids=ids[:10]), ROWS)
    store.ask([one.candidate for one in asked], "an operator")
    live = SynchronousBatches(desk.engine)
    policy = replace(
        ROOMY, synchronous=a_synchronous_policy(lead_seconds=ROOMY.batch_timeout_seconds)
    )
    claims: list[SynchronousClaim] = []
    plans = plans_of(
        desk,
        lambda: claims.append(live.claim(terms(policy), desk.holder, Spent())),
        touching=LITTLE,
    )
    assert sum(one.requests for one in claims[0].batches) == policy.synchronous.requests_per_claim
    assert plans.indexes >= {"retry_retry_at_idx", "retry_pkey", "AIProcessingRequest_pkey"}
    lease = claims[0].batches[0].lease
    rows = [(lease, request_id) for request_id in ids]
    plans_of(desk, lambda: live.mark_called(rows), touching=LITTLE)
    plans_of(desk, lambda: live.called([lease.batch_id]), touching=LITTLE)


def test_a_claim_that_has_no_room_left(desk: Desk) -> None:
    claims: list[Claim] = []
    policy = a_policy(default_token_allowance=1_000)
    plans_of(
        desk,
        lambda: claims.append(desk.claim(*COMPANIES, policy=policy)),
        touching=CLAIM,
    )
    assert sum(batch.requests for batch in claims[0].batches) <= 2
    assert claims[0].remaining == ()


def test_a_claim_under_a_cap(desk: Desk) -> None:
    claims: list[Claim] = []
    policy = replace(ROOMY, caps=Caps(run_requests=ROWS))
    plans_of(
        desk,
        lambda: claims.append(desk.claim(*COMPANIES, policy=policy)),
        touching=CLAIM,
    )
    assert sum(batch.requests for batch in claims[0].batches) == ROWS


def test_a_claim_that_passes_over_a_model(desk: Desk) -> None:
    company_id = COMPANIES[-1]
    desk.more(company_id, ROWS, model="gpt-4.1")
    desk.do(
        "INSERT INTO batch_assets.model_cooldown (model, until, reason)"
        " VALUES ('gpt-4o-mini', clock_timestamp() + interval '1 hour', 'token_limit_exceeded')"
    )
    claims: list[Claim] = []
    try:
        plans_of(
            desk, lambda: claims.append(desk.claim(company_id, policy=ROOMY)), touching=LITTLE + 600
        )
    finally:
        desk.do("DELETE FROM batch_assets.model_cooldown")
    assert [batch.requests for batch in claims[0].batches] == [ROWS]
    assert claims[0].held == {"model gpt-4o-mini is in cooldown: token_limit_exceeded": 600}


def test_a_claim_for_a_company_with_a_long_backlog(desk: Desk) -> None:
    claims: list[Claim] = []
    policy = replace(ROOMY, rows_per_claim=4_001)
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
        lambda: queries.finalize([lease]),
        lambda: queries.leftovers(1_000),
        lambda: queries.record_deleted([in_flight.id]),
    ):
        plans_of(desk, act, touching=LITTLE)
    assert desk.batch(in_flight.id).state == "finalized"


def test_batches_that_are_looked_at_again(desk: Desk) -> None:
    batch, _ = desk.ended(ROWS)
    readings = Readings(desk.engine)
    look = NextLook(batch.lease, 0.0, is_incomplete=True, output_bytes=1, error_bytes=1)
    for act in (
        lambda: readings.see_again([batch]),
        lambda: readings.note_completeness([(batch.lease, False)]),
        lambda: readings.look_later([look]),
        lambda: Bisection(desk.engine).was_answered_since(batch.id),
    ):
        plans_of(desk, act, touching=LITTLE)


def test_a_refused_batch_in_two_lots(desk: Desk) -> None:
    batch, ids = desk.ended(ROWS, status="failed", output_file_id=None)
    suspects = Bisection(desk.engine)
    groups: list[ClaimedBatch] = []
    split = Split(batch.lease, halves(batch.id, ids), is_suspected=True)
    for act in (
        lambda: suspects.rows_of([batch.id]),
        lambda: suspects.evidence([batch.id]),
        lambda: suspects.split([split], most=2),
        lambda: desk.queries.finalize([batch.lease]),
        lambda: groups.extend(desk.claim(batch.company_id, policy=ROOMY).batches),
    ):
        plans_of(desk, act, touching=LITTLE)
    assert [group.requests for group in groups] == [ROWS // 2, ROWS - ROWS // 2]
    for group in groups:
        desk.upload(group.lease)
        desk.submit(group)
        desk.end(desk.in_flight(group.id))
    leases = [ended.lease for ended in desk.queries.take_ended(desk.holder, 1_000)]
    plans_of(desk, lambda: desk.queries.finalize(leases), touching=LITTLE)
    assert desk.value("SELECT count(*) FROM batch_assets.bisection_request") == 0


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
        lambda: queries.record_absences([lease], "account-1"),
        lambda: queries.expire([lease]),
        lambda: queries.release([lease]),
    ):
        plans_of(desk, act, touching=LITTLE)
    assert desk.statuses(ids) == {"PENDING_BATCHING"}


def test_what_livedash_has_in_flight(desk: Desk) -> None:
    company_id, ids = desk.company(ROWS)
    with desk.engine.begin() as connection:
        make_external_batch(connection, company_id, request_ids=ids)
    adopted: list[int] = []
    for_each_company = 5 * len(COMPANIES)
    registry = Registry(desk.engine, external_quiet_seconds=900)
    plans_of(desk, registry.snapshot, touching=10 * ROWS + for_each_company)
    plans_of(
        desk,
        lambda: adopted.append(desk.queries.adopt_external()),
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
    desk.finalize(batch.lease)
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
    # What is to be retried is in progress as well, in no batch.
    in_progress = open_rows + desk.value("SELECT count(*) FROM batch_assets.retry")
    (look, *_) = seen
    assert (look.seen["rows_in_batch"], look.is_clean) == (in_progress, True), look.violations


def test_the_alerts_are_judged_by_the_last_day_alone(desk: Desk) -> None:
    desk.do("TRUNCATE batch_assets.run_metric")
    with desk.engine.begin() as connection:
        make_run_metrics(connection, 20_000, minutes_apart=2)
        # As the server does by itself after a few hours of runs.
        connection.execute(text("ANALYZE batch_assets.run_metric"))
    alerts = Alerts(desk.engine)
    seen: list[Recent] = []
    try:
        plans = plans_of(desk, lambda: seen.append(alerts.recent(3_600)), touching=LITTLE)
    finally:
        desk.do("TRUNCATE batch_assets.run_metric")
    assert (len(plans.all), seen[0].runs) == (1, 30)


def test_who_is_behind_an_alert_is_looked_for_only_where_that_can_be(desk: Desk) -> None:
    batch, ids = desk.ended(ROWS, status="failed", output_file_id=None)
    desk.write(batch.lease, [failed(one, PERMANENT) for one in ids])
    desk.finalize(batch.lease)
    alerts = Alerts(desk.engine)
    plans_of(desk, lambda: alerts.behind(["schedule_paused"], 3_600), touching=0)
    others = [name for name in RULES if name not in {"backlog_age", "dead_letters"}]
    plans_of(desk, lambda: alerts.behind(others, 3_600), touching=LITTLE)
    # Whose the newest dead letters are, of all that there are.
    newest = 10_000
    plans_of(
        desk,
        lambda: alerts.behind(["dead_letters"], 3_600),
        touching=newest + 4 * len(COMPANIES),
    )
    plans = plans_of(
        desk,
        lambda: alerts.behind(["backlog_age"], 3_600),
        touching=BACKLOG + OTHERS + 2 * len(COMPANIES),
    )
    assert {scan.source for scan in plans.scans if scan.is_table} <= {"Company", "intake"}


def test_the_end_of_a_run(desk: Desk) -> None:
    measure_the_past(desk)
    read_from = (
        "SELECT (SELECT count(*) FROM batch_assets.batch"
        " WHERE finalized_at > now() - interval '1 d')"
        " + (SELECT count(*) FROM batch_assets.batch"
        " WHERE state IN ('claimed', 'uploaded', 'submitted', 'ended'))"
        " + (SELECT count(*) FROM batch_assets.retry)"
        " + (SELECT count(*) FROM batch_assets.dead_letter)"
    )
    history = 40 * len(HAVE_TWO) + DAY_OF_RUNS
    backlogs = [Backlog(company_id, 600, 60.0) for company_id in COMPANIES]
    metrics = Metrics(desk.engine)
    known = RunMetrics(run_id="now", recorded_at=datetime.now(UTC), mode="optimized")
    ends: list[RunEnd] = []

    def end(waiting: Waiting) -> None:
        ends.append(metrics.record(known, waiting, 60, "an account"))

    for waiting, again in (
        (Waiting(others=backlogs), 0),
        (Waiting(others=backlogs[:-1], sent_company_ids=COMPANIES[-1:]), 1),
    ):
        plans = plans_of(
            desk,
            partial(end, waiting),
            touching=3 * desk.value(read_from)
            + history
            + again * BACKLOG // len(COMPANIES)
            + 2 * len(COMPANIES),
        )
        assert len(plans.all) == 1
        assert plans.indexes >= {
            "batch_open_idx",
            "batch_finalized_at_idx",
            "run_metric_recorded_at_idx",
            "operation_run_operation_implementation_recorded_at_idx",
        }
    assert ends[0].metrics.backlog.waiting_companies == len(COMPANIES)
    assert len(ends[0].companies) == MOST_COMPANIES
    assert ends[0].metrics.queries.original_to_optimized_ratio == pytest.approx(10)


def measure_the_past(desk: Desk) -> None:
    """Runs every two minutes for some days, of which each measured both implementations."""
    with desk.engine.begin() as connection:
        connection.execute(text("DELETE FROM batch_assets.run_metric"))
        connection.execute(text("DELETE FROM batch_assets.operation_run"))
        make_run_metrics(connection, 4 * DAY_OF_RUNS, minutes_apart=2)
        connection.execute(
            text(
                "INSERT INTO batch_assets.operation_run (run_id, operation, implementation,"
                " purpose, calls, failures, fallbacks, seconds, statements, rows, recorded_at)"
                " SELECT n::text, o, i, 'work', 1, 0, 0, CASE i WHEN 'original' THEN 1 ELSE 0.1"
                " END, 1, 1, now() - n * interval '2 min'"
                " FROM generate_series(1, 1000) AS n, unnest(CAST(:operations AS text[])) AS o,"
                " unnest(ARRAY['original', 'optimized']) AS i"
            ),
            {"operations": sorted(HAVE_TWO)},
        )
        connection.execute(text("ANALYZE batch_assets.run_metric, batch_assets.operation_run"))
