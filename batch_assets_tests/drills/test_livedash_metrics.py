"""The four metrics of LiveDash's dashboard, from rows whose answers are known."""

import uuid
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, text

from batch_assets_tests.factories import make_company, make_session
from drills.livedash import Metrics, TopQuestion, counted_sessions, metrics_of

_ANALYSIS = text("""
    UPDATE public."Session"
    SET escalated = :escalated, "forwardedHr" = :forwarded, "initialMsg" = :first WHERE id = :id
""")
_QUESTION = text("""
    WITH asked AS (
        INSERT INTO public."Question" (id, content) VALUES (:question_id, :content)
        ON CONFLICT (content) DO UPDATE SET content = excluded.content
        RETURNING id
    )
    INSERT INTO public."SessionQuestion" (id, "sessionId", "questionId", "order")
    SELECT gen_random_uuid()::text, :session_id, a.id, :place FROM asked AS a
""")


def analysed(
    connection: Connection,
    company_id: str,
    *,
    escalated: bool | None = None,
    forwarded: bool | None = None,
    first: str | None = None,
    questions: Sequence[str] = (),
) -> str:
    session_id = make_session(connection, company_id)
    values = {"id": session_id, "escalated": escalated, "forwarded": forwarded, "first": first}
    connection.execute(_ANALYSIS, values)
    for place, content in enumerate(questions):
        asked = {"session_id": session_id, "question_id": str(uuid.uuid4())}
        connection.execute(_QUESTION, asked | {"content": content, "place": place})
    return session_id


def asked(connection: Connection, *first: str | None) -> dict[str, int]:
    """How often each is counted, if these are first messages."""
    company_id = make_company(connection)
    for one in first:
        analysed(connection, company_id, first=one)
    found = metrics_of(connection, company_id).top_questions
    return {one.content: one.times for one in found}


def test_what_nobody_analysed_counts_as_resolved(emptied_engine: Engine) -> None:
    with emptied_engine.begin() as connection:
        company_id = make_company(connection)
        ids = [
            analysed(connection, company_id, escalated=escalated, forwarded=forwarded)
            for escalated, forwarded in ((True, True), (True, None), (False, True), (None, None))
        ]
        analysed(connection, make_company(connection), escalated=True)
        found = metrics_of(connection, company_id)
        assert counted_sessions(connection, company_id) == sorted(ids)
    assert found == Metrics(sessions=4, escalated=2, forwarded=2, resolved=2, top_questions=())
    assert found.resolved_percentage == 50


def test_a_company_without_sessions_has_resolved_nothing(emptied_engine: Engine) -> None:
    with emptied_engine.begin() as connection:
        found = metrics_of(connection, make_company(connection))
    assert (found.sessions, found.resolved_percentage) == (0, 0.0)


def test_the_five_questions_asked_most_often_come_first(emptied_engine: Engine) -> None:
    some = [f"May I take day {number}?" for number in range(6)]
    with emptied_engine.begin() as connection:
        company_id = make_company(connection)
        for number in range(6):
            analysed(connection, company_id, questions=some[number:])
        found = metrics_of(connection, company_id).top_questions
    assert found == tuple(TopQuestion(some[place], place + 1) for place in (5, 4, 3, 2, 1))


def test_a_first_message_is_counted_beside_the_stored_questions(emptied_engine: Engine) -> None:
    with emptied_engine.begin() as connection:
        company_id = make_company(connection)
        analysed(
            connection,
            company_id,
            first=" May I?\u00a0",
            questions=["May I?", "Days off, please", "Who decides"],
        )
        found = metrics_of(connection, company_id).top_questions
    assert found == (TopQuestion("May I?", 2), TopQuestion("Who decides", 1))


def test_words_make_a_question_as_they_do_in_javascript(emptied_engine: Engine) -> None:
    with emptied_engine.begin() as connection:
        counted = asked(connection, "éis het", "x\nIS y", "Hoe laat?", "WHO", "\ufeffcan I")
        passed_over = asked(connection, "whoever", "a_is_b", "is2", "Hallo", "", " ", None)
    assert set(counted) == {"éis het", "x\nIS y", "Hoe laat?", "WHO", "can I"}
    assert passed_over == {}
