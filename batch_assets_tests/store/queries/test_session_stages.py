"""LiveDash's stages of a session: what all of its requests say together."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Row, text

from batch_assets.domain.records import Findings, RowOutcome
from batch_assets.stages.controls.reset import correct_stages
from batch_assets_tests.factories import make_company, make_request, make_session
from batch_assets_tests.store.queries.support import (
    FINDINGS,
    PERMANENT,
    TRANSIENT,
    Desk,
    completed,
    failed,
)


def stage(desk: Desk, session_id: str, name: str = "AI_ANALYSIS") -> Row[Any] | None:
    with desk.engine.begin() as connection:
        return connection.execute(
            text(
                'SELECT p.* FROM public."SessionProcessingStatus" AS p'
                ' WHERE p."sessionId" = :id AND p.stage::text = :stage'
            ),
            {"id": session_id, "stage": name},
        ).one_or_none()


def status(desk: Desk, session_id: str) -> str | None:
    found = stage(desk, session_id)
    return None if found is None else str(found.status)


def two_of_one_session(desk: Desk) -> tuple[str, str, list[str]]:
    """A company, its session, and two requests of different types for it, noticed."""
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        ids = [
            make_request(connection, session_id, processing_type=name)
            for name in ("session_analysis", "summary")
        ]
    desk.queries.notice_pending(100)
    return company_id, session_id, ids


def ended(desk: Desk, company_id: str) -> Any:
    (claimed,) = desk.claim(company_id).batches
    desk.upload(claimed.lease)
    desk.submit(claimed)
    desk.end(desk.in_flight(claimed.id))
    return desk.take(claimed.id)


@pytest.mark.parametrize("word", [None, "PENDING", "FAILED", "COMPLETED", "SKIPPED"])
def test_a_session_is_in_progress_as_soon_as_a_request_is_noticed(
    desk: Desk, word: str | None
) -> None:
    with desk.engine.begin() as connection:
        session_id = make_session(connection, make_company(connection))
        make_request(connection, session_id)
    if word is not None:
        desk.set_stage(session_id, word)
    desk.queries.notice_pending(100)
    assert status(desk, session_id) == "IN_PROGRESS"


def test_a_stage_that_was_put_back_while_its_request_waits_is_in_progress_again(
    desk: Desk,
) -> None:
    _, session_id, _ = two_of_one_session(desk)
    desk.set_stage(session_id, "PENDING")
    desk.queries.notice_pending(100)
    assert status(desk, session_id) == "IN_PROGRESS"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((completed, completed), "COMPLETED"),
        ((completed, lambda row: failed(row, PERMANENT)), "COMPLETED"),
        ((lambda row: failed(row, PERMANENT), completed), "COMPLETED"),
        ((lambda row: failed(row, PERMANENT),) * 2, "FAILED"),
        ((completed, lambda row: failed(row, TRANSIENT)), "IN_PROGRESS"),
        ((lambda row: failed(row, PERMANENT), RowOutcome), "IN_PROGRESS"),
    ],
    ids=[
        "both",
        "one, then dead",
        "dead, then one",
        "both dead",
        "one to retry",
        "one waits again",
    ],
)
def test_the_stage_says_what_all_requests_do(
    desk: Desk, outcomes: tuple[Any, Any], expected: str
) -> None:
    company_id, session_id, ids = two_of_one_session(desk)
    batch = ended(desk, company_id)
    for make, row in zip(outcomes, ids, strict=True):
        desk.write(batch.lease, [make(row)])
    desk.finalize(batch.lease)
    found = stage(desk, session_id)
    assert found is not None
    assert found.status == expected
    assert (found.completedAt is None) == (expected == "IN_PROGRESS")
    assert found.errorMessage == (PERMANENT.reason if expected == "FAILED" else None)


def test_a_later_dead_letter_leaves_an_answer_alone(desk: Desk) -> None:
    company_id, session_id, _ = two_of_one_session(desk)
    batch = ended(desk, company_id)
    rows = [row for _, row in desk.queries.open_rows([batch.id], 10)]
    desk.write(batch.lease, [completed(row) for row in rows])
    desk.finalize(batch.lease)
    assert status(desk, session_id) == "COMPLETED"
    with desk.engine.begin() as connection:
        late = make_request(connection, session_id, processing_type="sentiment_analysis")
    desk.queries.notice_pending(100)
    assert status(desk, session_id) == "IN_PROGRESS"
    again = ended(desk, company_id)
    desk.write(again.lease, [failed(late, PERMANENT)])
    assert status(desk, session_id) == "COMPLETED"


def test_an_answer_that_livedash_has_stored_before_counts(desk: Desk) -> None:
    company_id, session_id, ids = two_of_one_session(desk)
    with desk.engine.begin() as connection:
        make_request(connection, session_id, success=True)
    batch = ended(desk, company_id)
    desk.write(batch.lease, [failed(row, PERMANENT) for row in ids])
    assert status(desk, session_id) == "COMPLETED"


def test_a_retry_that_livedash_has_answered_ends_it(desk: Desk) -> None:
    batch, (row,) = desk.ended(1)
    desk.write(batch.lease, [failed(row, TRANSIENT)])
    desk.finalize(batch.lease)
    desk.do("UPDATE batch_assets.retry SET retry_at = now() - interval '1 s'")
    desk.do(
        'UPDATE public."AIProcessingRequest"'
        " SET \"processingStatus\" = 'PROCESSING_COMPLETE', success = true WHERE id = :id",
        id=row,
    )
    assert desk.queries.requeue_due(10) == 0
    assert status(desk, desk.session_id(row)) == "COMPLETED"


def test_a_release_and_a_retry_leave_it_in_progress(desk: Desk) -> None:
    company_id, session_id, _ = two_of_one_session(desk)
    (claimed,) = desk.claim(company_id).batches
    desk.set_stage(session_id, "PENDING")
    desk.queries.release([claimed.lease])
    assert status(desk, session_id) == "IN_PROGRESS"


def test_what_livedash_keeps_with_an_analysis(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    session_id = desk.session_id(row)
    desk.do(
        'UPDATE public."SessionProcessingStatus" SET metadata = \'{"importId": 7}\''
        ' WHERE "sessionId" = :id',
        id=session_id,
    )
    desk.do(
        'UPDATE public."Message" SET "timestamp" = TIMESTAMPTZ \'2026-03-12 09:30Z\''
        ' + "order" * INTERVAL \'1 minute\' WHERE "sessionId" = :id',
        id=session_id,
    )
    desk.do(
        'UPDATE public."Session" SET "startTime" = TIMESTAMPTZ \'2026-03-12 09:30Z\''
        " WHERE id = :id",
        id=session_id,
    )
    desk.write(batch.lease, [completed(row)])
    analysis, extraction = stage(desk, session_id), stage(desk, session_id, "QUESTION_EXTRACTION")
    assert analysis is not None
    assert extraction is not None
    assert analysis.metadata == {
        "importId": 7,
        "language": "nl",
        "sentiment": "NEGATIVE",
        "category": "LEAVE_VACATION",
        "questionsCount": len(FINDINGS.questions or ()),
    }
    assert (extraction.status, extraction.metadata) == ("COMPLETED", {"questionsProcessed": 2})
    assert extraction.startedAt is not None
    assert extraction.completedAt >= extraction.startedAt
    session = desk.session(row)
    assert session.messagesSent == 2, "those of the role user"
    assert f"{session.endTime:%Y-%m-%d %H:%M}" == "2026-03-12 09:33"


def test_only_what_was_found_is_kept(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    desk.write(batch.lease, [completed(row, Findings(summary="A summary."))])
    session_id = desk.session_id(row)
    analysis = stage(desk, session_id)
    assert analysis is not None
    assert (analysis.status, analysis.metadata) == ("COMPLETED", None)
    assert stage(desk, session_id, "QUESTION_EXTRACTION") is None
    assert desk.session(row).messagesSent == 2


def test_an_end_is_left_as_it_was_where_a_message_has_no_time(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    before = desk.session(row).endTime
    desk.do(
        'UPDATE public."Message" SET "timestamp" = NULL WHERE "sessionId" = :id AND "order" = 1',
        id=desk.session_id(row),
    )
    desk.write(batch.lease, [completed(row)])
    assert desk.session(row).endTime == before, "as LiveDash's own query orders them"


def test_an_end_never_comes_before_the_beginning(desk: Desk) -> None:
    batch, (row, *_) = desk.ended()
    desk.do(
        'UPDATE public."Message" SET "timestamp" = TIMESTAMPTZ \'2001-01-01 00:00Z\''
        ' WHERE "sessionId" = :id',
        id=desk.session_id(row),
    )
    desk.write(batch.lease, [completed(row)])
    session = desk.session(row)
    assert session.endTime == session.startTime


def test_the_control_sets_right_what_nothing_will_finish(desk: Desk) -> None:
    company_id, asked_id, _ = two_of_one_session(desk)
    desk.set_stage(asked_id, "PENDING")
    with desk.engine.begin() as connection:
        left, answered = (make_session(connection, company_id) for _ in range(2))
        make_request(connection, answered, status="PROCESSING_COMPLETE", success=True)
    for session_id in (left, answered):
        desk.set_stage(session_id, "IN_PROGRESS")
    foreseen = correct_stages(desk.engine, dry_run=True)
    assert (foreseen.orphaned, foreseen.unstaged) == (2, 1)
    assert status(desk, left) == "IN_PROGRESS"
    done = correct_stages(desk.engine, dry_run=False)
    assert (done.orphaned, done.unstaged) == (2, 1)
    assert [status(desk, one) for one in (left, answered, asked_id)] == [
        "PENDING",
        "COMPLETED",
        "IN_PROGRESS",
    ]
    assert correct_stages(desk.engine, dry_run=False).sentences == [
        "Nothing to do: each stage says what its session's requests do."
    ]


@pytest.mark.parametrize(
    ("becomes", "word"), [("PROCESSING_COMPLETE", "COMPLETED"), ("PROCESSING_FAILED", "FAILED")]
)
@pytest.mark.parametrize("outcome", [completed, failed])
def test_a_row_that_livedash_has_ended_meanwhile_leaves_no_stage_in_progress(
    desk: Desk, becomes: str, word: str, outcome: Callable[[str], RowOutcome]
) -> None:
    batch, (theirs, ours) = desk.ended(2)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET success = :ok, "errorMessage" = \'Theirs.\','
        ' "processingStatus" = CAST(:becomes AS public."AIRequestStatus") WHERE id = :id',
        ok=word == "COMPLETED",
        becomes=becomes,
        id=theirs,
    )
    written = desk.write(batch.lease, [outcome(theirs), completed(ours)])
    assert written is not None
    assert (written.completed, written.discarded) == (1, 1)
    found = stage(desk, desk.session_id(theirs))
    assert found is not None
    assert (found.status, found.metadata) == (word, None), "our answer was not used"
    assert found.errorMessage == ("Theirs." if word == "FAILED" else None)
    assert status(desk, desk.session_id(ours)) == "COMPLETED"


def test_a_follower_of_a_row_that_livedash_has_ended_ends_with_it(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        leader, follower = (make_request(connection, session_id) for _ in range(2))
    desk.queries.notice_pending(100)
    batch = ended(desk, company_id)
    (led_id,) = desk.column("SELECT request_id FROM batch_assets.follower")
    (leader,) = {leader, follower} - {led_id}
    desk.do(
        'UPDATE public."AIProcessingRequest" SET success = true,'
        " \"processingStatus\" = 'PROCESSING_COMPLETE' WHERE id = :id",
        id=leader,
    )
    desk.write(batch.lease, [completed(leader)])
    assert desk.statuses([leader, led_id]) == {"PROCESSING_COMPLETE"}
    assert status(desk, session_id) == "COMPLETED"
