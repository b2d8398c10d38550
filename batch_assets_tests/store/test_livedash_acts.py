"""What LiveDash's timers do to rows of ours is noticed in one look, named, and put back."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.livedash_timers import hold_of
from batch_assets.store.conservation import Conservation
from batch_assets.store.livedash_acts import LiveDashActs, Noticed
from batch_assets.store.registry import Registry
from batch_assets.store.sessions import Followers
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.factories import (
    make_company,
    make_external_batch,
    make_request,
    make_session,
)
from batch_assets_tests.store.queries.support import PERMANENT, TRANSIENT, Desk, completed, failed

QUIET_SECONDS = 900.0
RESET = (
    'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PENDING_BATCHING\','
    ' "batchId" = NULL, "errorMessage" = :error WHERE id = :id'
)
WAITS_FOR_A_ROW = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    )
"""
BY_PROCESS = "Batch processing failed: Failed to download file: 404"


@pytest.fixture
def desk(emptied_engine: Engine) -> Desk:
    return Desk(emptied_engine, choose_queries(emptied_engine, optimized=True))


def notice(desk: Desk) -> Noticed:
    return LiveDashActs(desk.engine).notice(QUIET_SECONDS)


def held(desk: Desk) -> str | None:
    return Registry(desk.engine, QUIET_SECONDS).installation().hold_reason


def in_a_batch(desk: Desk) -> str:
    _, ids = desk.submitted(1)
    return ids[0]


def to_be_retried(desk: Desk) -> str:
    batch, ids = desk.ended(1)
    desk.write(batch.lease, [failed(ids[0], TRANSIENT)])
    desk.finalize(batch.lease)
    return ids[0]


def following(desk: Desk) -> str:
    with desk.engine.begin() as connection:
        again = make_request(connection, desk.session_id(in_a_batch(desk)))
    desk.queries.notice_pending(10)
    return again


def test_nothing_is_noticed_where_nobody_acts(desk: Desk) -> None:
    for make in (in_a_batch, to_be_retried, following):
        make(desk)
    before = desk.everything()
    assert notice(desk) == Noticed()
    assert desk.everything() == before
    assert held(desk) is None


@pytest.mark.parametrize("make", [in_a_batch, to_be_retried, following])
@pytest.mark.parametrize(
    ("error", "timer", "is_held"), [(BY_PROCESS, "process", True), ("by hand", "unknown", False)]
)
def test_a_request_that_was_reset_is_put_back_and_not_taken_for_new(
    desk: Desk, make: Callable[[Desk], str], error: str, timer: str, is_held: bool
) -> None:
    row = make(desk)
    before = desk.request(row)
    desk.do(RESET, id=row, error=error)
    found = notice(desk)
    assert (found.acts, found.put_back, found.bought_twice) == ({timer: 1}, 1, 0)
    after = desk.request(row)
    assert (after.processingStatus, after.batchId) == ("BATCHING_IN_PROGRESS", before.batchId)
    assert after.errorMessage == before.errorMessage
    assert desk.queries.notice_pending(10) == 0
    assert Conservation(desk.engine).all_rows().is_clean
    assert (held(desk) is not None) == is_held
    if is_held:
        assert "process timer has reset requests that were under way (1 seen)" in str(held(desk))
    assert notice(desk) == Noticed(), "once"


def test_one_that_was_noticed_again_before_leaves_the_intake(desk: Desk) -> None:
    row = in_a_batch(desk)
    desk.do(RESET, id=row, error=BY_PROCESS)
    desk.do(
        "INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)"
        " SELECT a.request_id, a.company_id, 'gpt-4o-mini', now() FROM batch_assets.attempt AS a"
    )
    notice(desk)
    assert desk.intake() == set()


def test_an_answer_that_comes_first_is_used(desk: Desk) -> None:
    batch, (row,) = desk.ended(1)
    desk.do(RESET, id=row, error=BY_PROCESS)
    written = desk.write(batch.lease, [completed(row)])
    assert written is not None
    assert written.completed == 1
    assert notice(desk) == Noticed()


def test_a_batch_of_livedashs_is_named_with_what_both_have_bought(desk: Desk) -> None:
    row = in_a_batch(desk)
    company_id, (other,) = desk.company(1)
    with desk.engine.begin() as connection:
        theirs = make_external_batch(
            connection, company_id, status="IN_PROGRESS", request_ids=[row, other]
        )
    found = notice(desk)
    assert (found.acts, found.bought_twice) == ({"create": 2}, 1)
    acts = LiveDashActs(desk.engine).recent(60, 10)
    assert {(one.timer, one.batch_id, one.request_id, one.is_duplicate) for one in acts} == {
        ("create", theirs, None, False),
        ("create", theirs, row, True),
    }
    assert "create timer has bought batches" in str(held(desk))
    assert notice(desk) == Noticed(), "once"


def test_another_request_for_what_we_have_bought_is_bought_twice_as_well(desk: Desk) -> None:
    batch, (row,) = desk.ended(1)
    desk.write(batch.lease, [completed(row)])
    desk.finalize(batch.lease)
    with desk.engine.begin() as connection:
        again = make_request(connection, desk.session_id(row))
        make_external_batch(connection, batch.company_id, status="IN_PROGRESS", request_ids=[again])
    assert notice(desk).bought_twice == 1


def test_a_batch_of_long_ago_is_none_of_now(desk: Desk) -> None:
    company_id, ids = desk.company(1)
    with desk.engine.begin() as connection:
        make_external_batch(
            connection,
            company_id,
            status="IN_PROGRESS",
            request_ids=ids,
            age=timedelta(seconds=QUIET_SECONDS + 60),
        )
    assert notice(desk) == Noticed()


@pytest.mark.parametrize(
    ("changes", "is_answered"),
    [
        ({"processingStatus": "PROCESSING_COMPLETE", "success": True}, True),
        ({"errorMessage": "Final retry failed: 429"}, False),
        ({"errorMessage": "Failed to parse AI response"}, False),
    ],
)
@pytest.mark.parametrize("was_paid", [True, False], ids=["paid", "unpaid"])
def test_a_dead_letter_that_was_bought_live_is_named(
    desk: Desk, changes: Mapping[str, object], is_answered: bool, was_paid: bool
) -> None:
    batch, (row,) = desk.ended(1)
    desk.write(batch.lease, [failed(row, PERMANENT, paid=was_paid)])
    desk.finalize(batch.lease)
    sets = ", ".join(f'"{name}" = :{name}' for name in changes)
    sets = sets.replace(":processingStatus", 'CAST(:processingStatus AS public."AIRequestStatus")')
    desk.do(f'UPDATE public."AIProcessingRequest" SET {sets} WHERE id = :id', id=row, **changes)
    found = notice(desk)
    assert (found.acts, found.bought_twice) == ({"retry": 1}, int(was_paid))
    letters = desk.column("SELECT request_id FROM batch_assets.dead_letter")
    assert letters == ([] if is_answered else [row])
    if not is_answered:
        assert desk.request(row).errorMessage == PERMANENT.reason, "so that the next try is seen"
    status = desk.analysis_status(row)
    assert status is not None
    assert status.status == ("COMPLETED" if is_answered else "FAILED")
    assert "retry timer has bought dead letters live (1 seen)" in str(held(desk))
    assert notice(desk) == Noticed()


def test_a_stage_that_was_put_back_while_its_request_is_in_a_batch_is_in_progress_again(
    desk: Desk,
) -> None:
    row = in_a_batch(desk)
    desk.do("UPDATE public.\"SessionProcessingStatus\" SET status = 'PENDING'")
    assert notice(desk) == Noticed()
    status = desk.analysis_status(row)
    assert status is not None
    assert status.status == "IN_PROGRESS"


@pytest.mark.parametrize("word", ["PENDING", "FAILED", "COMPLETED", "SKIPPED"])
def test_any_other_stage_is_set_however_many_sessions_livedash_has_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr("batch_assets.store.livedash_acts.STAGES_A_LOOK", 3)
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        others = [make_session(connection, company_id) for _ in range(5)]
    row = in_a_batch(desk)
    for session_id in others:
        desk.set_stage(session_id, "PENDING")
    desk.set_stage(desk.session_id(row), word)
    notice(desk)
    status = desk.analysis_status(row)
    assert status is not None
    assert status.status == "IN_PROGRESS"


def test_a_dead_letter_bought_live_is_bought_twice_if_we_have_bought_its_twin(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        first, second = (make_request(connection, session_id) for _ in range(2))
    desk.queries.notice_pending(10)
    for outcome in (failed(first, PERMANENT), completed(second)):
        (claimed,) = desk.claim(company_id).batches
        desk.upload(claimed.lease)
        desk.submit(claimed)
        desk.end(desk.in_flight(claimed.id))
        lease = desk.take(claimed.id).lease
        desk.write(lease, [outcome])
        desk.finalize(lease)
    desk.do(
        'UPDATE public."AIProcessingRequest"'
        " SET \"processingStatus\" = 'PROCESSING_COMPLETE', success = true WHERE id = :id",
        id=first,
    )
    seen = notice(desk)
    assert (seen.acts, seen.bought_twice) == ({"retry": 1}, 1)


@pytest.mark.parametrize(
    ("make", "entries"),
    [(in_a_batch, "attempt"), (to_be_retried, "retry"), (following, "follower")],
)
def test_what_another_run_is_about_to_move_is_left_to_it(
    desk: Desk, make: Callable[[Desk], str], entries: str
) -> None:
    """Else it might go back to where it is no more, and nobody would ever look for it there."""
    row = make(desk)
    desk.do(RESET, id=row, error=BY_PROCESS)
    with desk.engine.begin() as other_run:
        lock = f"SELECT FROM batch_assets.{entries} WHERE request_id = :id FOR UPDATE"
        other_run.execute(text(lock), {"id": row})
        assert notice(desk).put_back == 0
    assert notice(desk).put_back == 1


def test_a_retry_that_was_reset_is_not_requeued_before_that_is_noticed(desk: Desk) -> None:
    row = to_be_retried(desk)
    desk.do("UPDATE batch_assets.retry SET retry_at = now() - interval '1 s'")
    desk.do(RESET, id=row, error=BY_PROCESS)
    assert desk.queries.requeue_due(10) == 0
    assert notice(desk).acts == {"process": 1}
    assert desk.queries.requeue_due(10) == 1
    assert desk.intake() == {row}


def test_a_heir_that_livedash_takes_at_the_same_moment_stays_in_its_batch(desk: Desk) -> None:
    row = following(desk)
    leader = desk.value("SELECT leader_id FROM batch_assets.follower")
    desk.do(RESET, id=row, error=BY_PROCESS)
    desk.do(
        'UPDATE public."AIProcessingRequest"'
        ' SET "processingStatus" = \'PROCESSING_FAILED\', "batchId" = NULL WHERE id = :id',
        id=leader,
    )
    desk.do("UPDATE batch_assets.attempt SET outcome = 'discarded', ended_at = now()")
    company_id = desk.value('SELECT "companyId" FROM public."Session" LIMIT 1')
    with ThreadPoolExecutor(1) as pool:
        with desk.engine.begin() as livedash:
            batch_id = make_external_batch(livedash, company_id, request_ids=[row])
            healing = pool.submit(Followers(desk.engine).heal)
            deadline = time.monotonic() + 30
            while not desk.value(WAITS_FOR_A_ROW) and time.monotonic() < deadline:
                time.sleep(0.01)
        healing.result()
    assert (desk.request(row).processingStatus, desk.request(row).batchId) == (
        "BATCHING_IN_PROGRESS",
        batch_id,
    )
    assert desk.intake() == set()


def test_many_dead_letters_are_compared_in_turns(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch_assets.store.livedash_acts.LETTERS_A_LOOK", 2)
    batch, ids = desk.ended(5)
    desk.write(batch.lease, [failed(row, PERMANENT) for row in ids])
    desk.do('UPDATE public."AIProcessingRequest" SET "errorMessage" = \'Final retry failed: x\'')
    seen = [notice(desk).acts.get("retry", 0) for _ in range(4)]
    assert seen == [2, 2, 1, 0]


def test_the_sentence_says_which_timer_it_was_and_how_it_is_turned_off() -> None:
    assert hold_of({}, QUIET_SECONDS) is None
    assert hold_of({"unknown": 3}, QUIET_SECONDS) is None
    hold = hold_of({"create": 2, "retry": 1}, QUIET_SECONDS)
    said = "" if hold is None else hold.reason
    assert "create timer has bought batches (2 seen) and its retry timer" in said
    assert "quiet for 15 minutes" in said
    assert "Start LiveDash's server without OPENAI_API_KEY" in said
