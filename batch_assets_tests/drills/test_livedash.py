"""LiveDash as the drills play it: each rule that was read in its source, on its own rows."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_assets_tests.drills.livedash_rows import (
    Rows,
    make_model,
    make_pending_session,
    make_stage,
)
from batch_assets_tests.factories import (
    make_company,
    make_external_batch,
    make_request,
    make_requests,
    make_session,
)
from drills.livedash import (
    Answer,
    Created,
    Line,
    LiveDash,
    LivePath,
    RefusedError,
    Remote,
    Request,
    StubApi,
    UnavailableError,
)

HALF_AN_HOUR = timedelta(minutes=30)
FINDINGS = {
    "summary": "A day off was asked for.",
    "sentiment": "POSITIVE",
    "category": "LEAVE_VACATION",
    "language": "nl",
}


@dataclass
class Scripted:
    """Answers LiveDash's calls as a test says."""

    remote: Remote | Exception = field(default_factory=lambda: RefusedError("404"))
    lines: Sequence[Line] | Exception = ()
    answer: Answer | Exception = field(default_factory=lambda: Answer(json.dumps(FINDINGS)))
    asked: list[str] = field(default_factory=list)

    def buy(self, requests: Sequence[Request]) -> Created:
        raise UnavailableError("Upload file to OpenAI failed after 4 attempts")

    def retrieve(self, openai_batch_id: str) -> Remote:
        self.asked.append(openai_batch_id)
        if isinstance(self.remote, Exception):
            raise self.remote
        return self.remote

    def download(self, file_id: str) -> Sequence[Line]:
        self.asked.append(file_id)
        if isinstance(self.lines, Exception):
            raise self.lines
        return self.lines

    def call(self, request: Request) -> Answer:
        self.asked.append(request.id)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def livedash(emptied_engine: Engine) -> Iterator[LiveDash]:
    opened = LiveDash.beside(emptied_engine)
    yield opened
    opened.close()


@pytest.fixture
def rows(emptied_engine: Engine) -> Rows:
    return Rows(emptied_engine)


def do(rows: Rows, statement: str, **values: Any) -> None:
    with rows.engine.begin() as connection:
        connection.execute(text(statement), values)


# The processing timer


def test_a_request_is_made_for_each_session_that_is_pending(livedash: LiveDash, rows: Rows) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        make_model(connection, company_id, "gpt-4.1")
        pending = make_pending_session(connection, company_id)
        for status in ("IN_PROGRESS", "COMPLETED", "FAILED", "SKIPPED"):
            make_stage(connection, make_session(connection, company_id), status)
        make_session(connection, company_id)
        make_stage(connection, make_session(connection, company_id), "PENDING", stage="CSV_IMPORT")
    (made,) = livedash.processing_timer()
    assert (made.session_id, made.company_id) == (pending, company_id)
    request = rows.request(made.id)
    assert (request.processingType, request.model) == ("session_analysis", "gpt-4.1")
    assert (request.processingStatus, request.batchId) == ("PENDING_BATCHING", None)
    assert (request.success, request.completedAt, request.errorMessage) == (False, None, None)
    assert (request.promptTokens, request.totalTokens, request.totalCostEur) == (0, 0, 0)
    stage = rows.stage(pending)
    assert (stage.status, stage.errorMessage, stage.metadata) == ("IN_PROGRESS", None, {"kept": 1})
    assert stage.startedAt is not None
    assert livedash.processing_timer() == []


def test_a_second_request_is_made_when_the_stage_is_pending_again(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        session_id = make_pending_session(connection, make_company(connection))
    first = livedash.processing_timer()
    do(rows, "UPDATE public.\"SessionProcessingStatus\" SET status = 'PENDING'")
    second = livedash.processing_timer()
    assert [one.session_id for one in [*first, *second]] == [session_id, session_id]


@pytest.mark.parametrize("status", ["SUSPENDED", "TRIAL", "ARCHIVED"])
def test_nothing_is_made_for_companies_that_are_not_active(
    livedash: LiveDash, rows: Rows, status: str
) -> None:
    with rows.engine.begin() as connection:
        make_pending_session(connection, make_company(connection, status=status))
    assert livedash.processing_timer() == []


def test_sessions_without_messages_take_places_that_they_do_not_use(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        for _ in range(2):
            make_pending_session(connection, company_id, messages=0)
    with rows.engine.begin() as connection:
        younger = make_pending_session(connection, company_id)
    assert livedash.processing_timer(most=2) == []
    assert [one.session_id for one in livedash.processing_timer(most=3)] == [younger]


def test_the_oldest_fifty_are_made_and_the_model_is_the_companys_default(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        make_model(connection, company_id, "gpt-4.1", is_default=False)
        ids = [make_pending_session(connection, company_id, messages=1) for _ in range(51)]
        connection.execute(
            text(
                'UPDATE public."Session" AS s SET "createdAt" = s."createdAt"'
                " - make_interval(mins => CAST(a.age AS integer))"
                " FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS a (id, age)"
                " WHERE s.id = a.id"
            ),
            {"ids": ids},
        )
    made = livedash.processing_timer()
    assert [one.session_id for one in made] == ids[:0:-1]
    assert {one.model for one in made} == {"gpt-4o"}


# The create timer


@pytest.mark.parametrize("optimized", [True, False])
def test_a_batch_is_made_of_ten_or_of_what_has_waited_half_an_hour(
    livedash: LiveDash, rows: Rows, optimized: bool
) -> None:
    with rows.engine.begin() as connection:
        enough, few, old = (make_company(connection) for _ in range(3))
        ten = make_requests(connection, enough, 10)
        nine = make_requests(connection, few, 9)
        late = make_requests(connection, old, 2, age=HALF_AN_HOUR)
    api = StubApi()
    made = livedash.create_timer(api, optimized=optimized)
    batches = {rows.batch(one).companyId: rows.batch(one) for one in made}
    assert set(batches) == {enough, old}
    assert {one.status for one in batches.values()} == {"IN_PROGRESS"}
    assert set(rows.statuses(*ten, *late)) == {"BATCHING_IN_PROGRESS"}
    assert {rows.request(one).batchId for one in late} == {batches[old].id}
    assert set(rows.statuses(*nine)) == {"PENDING_BATCHING"}
    assert {one.request_id for one in api.purchases} == {*ten, *late}


@pytest.mark.parametrize("optimized", [True, False])
def test_what_is_in_a_batch_or_not_waiting_or_not_of_an_active_company_is_not_created(
    livedash: LiveDash, rows: Rows, optimized: bool
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        batch_id = make_external_batch(connection, company_id, status="PENDING")
        waiting = make_request(connection, session_id)
        make_request(connection, session_id, batch_id=batch_id)
        for status in ("BATCHING_IN_PROGRESS", "PROCESSING_COMPLETE", "PROCESSING_FAILED"):
            make_request(connection, session_id, status=status)
        make_requests(connection, make_company(connection, status="SUSPENDED"), 2)
    found = livedash.selections.selects_to_create(optimized=optimized)
    assert {key: [one.id for one in some] for key, some in found.items()} == {company_id: [waiting]}
    assert livedash.selects().create == {waiting}


def test_history_of_the_live_path_is_created_again(livedash: LiveDash, rows: Rows) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        history = LivePath(connection)
        answered = history.record_answered(session_id, Answer("{}"))
        failed = history.record_failed(session_id, "OpenAI API error: 500 - no")
    request = rows.request(answered)
    assert (request.success, request.processingStatus) == (True, "PENDING_BATCHING")
    assert request.completedAt is not None
    assert request.totalCostEur == pytest.approx(0.85 * (100 * 1e-5 + 50 * 3e-5))
    request = rows.request(failed)
    assert (request.success, request.model) == (False, "unknown")
    assert request.errorMessage == "OpenAI API error: 500 - no"
    assert (request.completedAt is not None, request.batchId) == (True, None)
    assert livedash.selects().create == {answered, failed}


def test_more_than_a_thousand_are_never_created_by_the_optimized_scheduler(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        make_requests(connection, make_company(connection), 1_001, messages=0)
    api = StubApi()
    assert livedash.create_timer(api) == []
    assert len(livedash.create_timer(api, optimized=False)) == 1
    assert len(api.purchases) == 1_000


def test_what_others_did_between_the_purchase_and_its_record_is_overwritten(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        (request_id,) = make_requests(connection, company_id, 1, age=HALF_AN_HOUR)
        other = make_external_batch(connection, company_id, status="PENDING")

    def take(_requests: Sequence[Request]) -> None:
        do(
            rows,
            'UPDATE public."AIProcessingRequest"'
            ' SET "batchId" = :id, "processingStatus" = \'BATCHING_IN_PROGRESS\'',
            id=other,
        )

    (batch_id,) = livedash.create_timer(StubApi(on_purchase=take))
    assert rows.request(request_id).batchId == batch_id != other


def test_a_company_whose_calls_fail_gets_no_batch(livedash: LiveDash, rows: Rows) -> None:
    with rows.engine.begin() as connection:
        (request_id,) = make_requests(connection, make_company(connection), 1, age=HALF_AN_HOUR)
    assert livedash.create_timer(Scripted()) == []
    assert rows.statuses(request_id) == ["PENDING_BATCHING"]


# The check timer


def test_batches_in_three_statuses_of_active_companies_are_checked(
    livedash: LiveDash, rows: Rows
) -> None:
    checked = {"VALIDATING", "IN_PROGRESS", "FINALIZING"}
    others = {"PENDING", "UPLOADING", "COMPLETED", "PROCESSED", "FAILED", "CANCELLED"}
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        suspended = make_company(connection, status="SUSPENDED")
        ids = {
            status: make_external_batch(connection, company_id, status=status)
            for status in checked | others
        }
        make_external_batch(connection, suspended)
    expected = {ids[status] for status in checked}
    assert livedash.selects().check == expected
    assert {batch_id for batch_id, _ in livedash.selections.selects_to_check()} == expected


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("validating", "VALIDATING"),
        ("in_progress", "IN_PROGRESS"),
        ("finalizing", "FINALIZING"),
        ("completed", "COMPLETED"),
        ("failed", "FAILED"),
        ("expired", "FAILED"),
        ("cancelled", "CANCELLED"),
        ("cancelling", "FAILED"),
    ],
)
def test_the_servers_word_becomes_a_status_and_the_rows_stay(
    livedash: LiveDash, rows: Rows, said: str, stored: str
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 2)
        batch_id = make_external_batch(connection, company_id, request_ids=ids)
    then = datetime(2026, 5, 1, tzinfo=UTC)
    api = Scripted(remote=Remote(said, "file-out", "file-error", then))
    livedash.check_timer(api)
    batch = rows.batch(batch_id)
    assert api.asked == [batch.openaiBatchId]
    assert (batch.status, batch.completedAt) == (stored, then)
    assert (batch.outputFileId, batch.errorFileId) == ("file-out", "file-error")
    assert set(rows.statuses(*ids)) == {"BATCHING_IN_PROGRESS"}
    assert {rows.request(one).batchId for one in ids} == {batch_id}


def test_a_batch_that_cannot_be_asked_about_has_failed_with_all_its_rows(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 2)
        batch_id = make_external_batch(connection, company_id, request_ids=ids)
    livedash.check_timer(Scripted(remote=UnavailableError("it did not answer")))
    assert rows.batch(batch_id).status == "FAILED"
    assert rows.batch(batch_id).completedAt is not None
    assert set(rows.statuses(*ids)) == {"PROCESSING_FAILED"}
    assert {rows.request(one).batchId for one in ids} == {None}
    assert {rows.request(one).errorMessage for one in ids} == {"Batch failed: it did not answer"}
    assert livedash.selects().retry == set(ids)


def test_after_a_4xx_a_batch_stays_as_it_is(livedash: LiveDash, rows: Rows) -> None:
    with rows.engine.begin() as connection:
        batch_id = make_external_batch(connection, make_company(connection))
    livedash.check_timer(Scripted(remote=RefusedError("404")))
    assert rows.batch(batch_id).status == "IN_PROGRESS"


# The process timer


def completed_batch(rows: Rows, ids: Sequence[str], company_id: str) -> str:
    with rows.engine.begin() as connection:
        batch_id = make_external_batch(connection, company_id, status="COMPLETED", request_ids=ids)
    do(rows, """UPDATE public."AIBatchRequest" SET "outputFileId" = 'file-out'""")
    return batch_id


def test_completed_batches_with_an_output_file_are_processed(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        suspended = make_company(connection, status="SUSPENDED")
    wanted = completed_batch(rows, [], company_id)
    completed_batch(rows, [], suspended)
    with rows.engine.begin() as connection:
        make_external_batch(connection, company_id, status="COMPLETED")
    assert livedash.selects().process == {wanted}
    assert livedash.selections.selects_to_process() == [(wanted, "file-out")]


def test_answers_are_written_over_whatever_the_rows_are_by_now(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 4)
    batch_id = completed_batch(rows, ids, company_id)
    good, wrong, refused, left_out = ids
    livedash.process_timer(
        Scripted(
            lines=[
                Line(good, Answer(json.dumps(FINDINGS), 40, 2)),
                Line(wrong, Answer(json.dumps(FINDINGS | {"sentiment": "CROSS"}))),
                Line(refused, error="refused"),
                Line("nobody", Answer("{}")),
            ]
        )
    )
    request = rows.request(good)
    assert (request.processingStatus, request.success) == ("PROCESSING_COMPLETE", True)
    assert (request.promptTokens, request.completionTokens, request.totalTokens) == (40, 2, 42)
    assert (request.totalCostEur, request.batchId) == (0, batch_id)
    session = rows.session(request.sessionId)
    assert {name: getattr(session, name) for name in FINDINGS} == FINDINGS
    assert (session.escalated, session.messagesSent) == (None, None)
    request = rows.request(wrong)
    assert (request.processingStatus, request.success) == ("PROCESSING_FAILED", False)
    assert request.errorMessage == "Failed to parse AI response"
    assert rows.request(refused).errorMessage == "refused"
    assert rows.statuses(left_out) == ["BATCHING_IN_PROGRESS"]
    batch = rows.batch(batch_id)
    assert (batch.status, batch.processedAt is not None) == ("PROCESSED", True)


@pytest.mark.parametrize("content", ["no JSON", "null", '{"summary": 3}'])
def test_an_answer_that_is_not_understood_is_a_failure(
    livedash: LiveDash, rows: Rows, content: str
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        (request_id,) = make_requests(connection, company_id, 1)
    completed_batch(rows, [request_id], company_id)
    livedash.process_timer(Scripted(lines=[Line(request_id, Answer(content))]))
    assert rows.request(request_id).errorMessage == "Failed to parse AI response"
    assert rows.statuses(request_id) == ["PROCESSING_FAILED"]


def test_fields_that_an_answer_has_not_stay_and_null_ones_go(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        (request_id,) = make_requests(connection, company_id, 1)
    do(rows, """UPDATE public."Session" SET summary = 'kept', language = 'nl'""")
    completed_batch(rows, [request_id], company_id)
    livedash.process_timer(Scripted(lines=[Line(request_id, Answer('{"language": null}'))]))
    session = rows.session(rows.request(request_id).sessionId)
    assert (session.summary, session.language) == ("kept", None)


def test_an_answer_without_any_field_completes_the_request_only(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        (request_id,) = make_requests(connection, company_id, 1)
    session_id = rows.request(request_id).sessionId
    before = rows.session(session_id)
    completed_batch(rows, [request_id], company_id)
    livedash.process_timer(Scripted(lines=[Line(request_id, Answer("[1]"))]))
    assert rows.statuses(request_id) == ["PROCESSING_COMPLETE"]
    assert rows.session(session_id) == before


def test_when_processing_fails_others_of_the_same_sessions_wait_again(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id = make_company(connection)
        session_id = make_session(connection, company_id)
        own = make_request(connection, session_id)
        theirs = make_request(connection, session_id)
        done = make_request(connection, session_id, status="PROCESSING_COMPLETE")
        (stranger,) = make_requests(connection, company_id, 1)
        make_external_batch(
            connection, company_id, status="PENDING", request_ids=[theirs, stranger]
        )
    batch_id = completed_batch(rows, [own], company_id)
    # It has an output file, too, and is in no status that is processed.
    livedash.process_timer(Scripted(lines=UnavailableError("gone")))
    assert rows.batch(batch_id).status == "FAILED"
    assert rows.statuses(own, theirs, done, stranger) == [
        *("PROCESSING_FAILED", "PENDING_BATCHING"),
        *("PROCESSING_COMPLETE", "BATCHING_IN_PROGRESS"),
    ]
    assert rows.request(own).errorMessage == "Batch failed: gone"
    assert rows.request(theirs).errorMessage == "Batch processing failed: gone"
    assert rows.request(theirs).batchId is None


# The retry timer


def test_ten_failed_requests_of_each_active_company_are_bought(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        company_id, other = make_company(connection), make_company(connection)
        many = make_requests(connection, company_id, 12)
        few = make_requests(connection, other, 2)
        suspended = make_company(connection, status="SUSPENDED")
        make_requests(connection, suspended, 2)
    do(rows, 'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_FAILED\'')
    api = StubApi()
    assert livedash.selects().retry == {*many, *few}
    livedash.retry_timer(api)
    bought = {one.request_id for one in api.purchases}
    assert bought == {*sorted(many)[:10], *few}
    assert {one.kind for one in api.purchases} == {"live"}
    assert set(rows.statuses(*bought)) == {"PROCESSING_COMPLETE"}
    assert livedash.selects().retry == {*many} - bought


def test_a_retry_that_fails_is_bought_again_the_next_time(livedash: LiveDash, rows: Rows) -> None:
    with rows.engine.begin() as connection:
        (request_id,) = make_requests(connection, make_company(connection), 1)
    do(rows, 'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'PROCESSING_FAILED\'')
    livedash.retry_timer(Scripted(answer=UnavailableError("no")))
    assert rows.request(request_id).errorMessage == "Final retry failed: no"
    livedash.retry_timer(Scripted(answer=Answer("no JSON")))
    assert rows.request(request_id).errorMessage == "Failed to parse AI response"
    assert livedash.selects().retry == {request_id}


def test_a_batch_of_the_stubs_is_bought_checked_and_processed(
    livedash: LiveDash, rows: Rows
) -> None:
    with rows.engine.begin() as connection:
        ids = make_requests(connection, make_company(connection), 10)
    api = StubApi()
    livedash.create_timer(api)
    livedash.check_timer(api)
    livedash.process_timer(api)
    assert set(rows.statuses(*ids)) == {"PROCESSING_COMPLETE"}
    assert len(api.purchases) == 10
