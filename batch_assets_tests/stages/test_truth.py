"""The demo's samples through all stages: what is stored is what is true of them."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets_local.samples import sample_companies, sample_sessions, seed_database
from batch_assets_tests.stages.support import Lab
from drills.livedash.metrics import counted_sessions, metrics_of

NOW = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that answers as in the demo: it knows the samples."""
    state_dir = tmp_path_factory.mktemp("batch-server") / "state"
    with running_server(state_dir, config=ServerConfig.instant()) as running:
        yield running


def test_what_is_stored_of_the_samples_is_their_truth(lab: Lab) -> None:
    with lab.desk.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        seed_database(driver, now=NOW)
        driver.commit()
    lab.submit()
    lab.read_to_the_end()
    active = {company.id for company in sample_companies() if company.status == "ACTIVE"}
    truth = {
        session.id: session.expected
        for session in sample_sessions(now=NOW)
        if session.expected and session.company_id in active
    }
    with lab.desk.engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT s.id, s.language, s.category::text, s.sentiment::text, s.escalated,
                    s."forwardedHr", array_agg(q.content ORDER BY a."order") AS questions
                FROM public."Session" AS s
                LEFT JOIN public."SessionQuestion" AS a ON a."sessionId" = s.id
                LEFT JOIN public."Question" AS q ON q.id = a."questionId"
                WHERE s.summary IS NOT NULL
                GROUP BY s.id
            """)
        ).all()
    found = {row.id: row for row in rows}
    assert found.keys() == truth.keys()
    for session_id, expected in truth.items():
        row = found[session_id]
        assert (row.language, row.category, row.sentiment) == (
            expected.language,
            expected.category,
            expected.sentiment,
        )
        assert (row.escalated, row.forwardedHr) == (expected.escalated, expected.forwarded_hr)
        assert tuple(filter(None, row.questions)) == expected.questions
    asked = Counter(question for expected in truth.values() for question in expected.questions)
    assert asked.most_common(1)[0][1] > 10, "there are questions that many ask"

    assert_livedash_counts_them_so(lab)


def assert_livedash_counts_them_so(lab: Lab) -> None:
    """Every session that LiveDash counts is finished, and its metrics are those of the truth."""
    truth = {session.id: session.expected for session in sample_sessions(now=NOW)}
    for company in sample_companies():
        if company.status != "ACTIVE":
            continue
        with lab.desk.engine.connect() as connection:
            metrics = metrics_of(connection, company.id)
            counted = counted_sessions(connection, company.id)
            unfinished = connection.execute(UNFINISHED, {"company_id": company.id}).scalars().all()
            first_messages = connection.execute(
                FIRST_MESSAGES, {"company_id": company.id}
            ).scalars()
            said = [message for message in first_messages if IS_QUESTION.search(message)]
        assert set(unfinished) == {one for one in counted if truth[one] is None}
        known = [expected for one in counted if (expected := truth[one]) is not None]
        escalated = sum(expected.escalated for expected in known)
        assert (metrics.sessions, metrics.escalated) == (len(counted), escalated)
        assert metrics.forwarded == sum(expected.forwarded_hr for expected in known)
        assert metrics.resolved == len(counted) - escalated
        asked = Counter([*said, *(one for expected in known for one in expected.questions)])
        times = [times for _, times in asked.most_common(len(metrics.top_questions))]
        assert [one.times for one in metrics.top_questions] == times
        assert all(asked[one.content] == one.times for one in metrics.top_questions)
        assert len(metrics.top_questions) == min(5, len(asked))


IS_QUESTION = re.compile(
    r"\?$|\b(what|when|where|why|how|who|which|can|could|would|will|is|are|do|does|did)\b",
    re.IGNORECASE | re.ASCII,
)
"""As LiveDash takes a session's first message for a question, beside those that were stored."""
FIRST_MESSAGES = text("""
    SELECT btrim(s."initialMsg") FROM public."Session" AS s
    WHERE s."companyId" = :company_id AND s."initialMsg" <> ''
""")
UNFINISHED = text("""
    SELECT s.id
    FROM public."Session" AS s
    WHERE s."companyId" = :company_id
        AND NOT (
            num_nulls(
                s.language, s.sentiment, s.category, s.escalated, s."forwardedHr", s.summary,
                s."messagesSent", s."endTime"
            ) = 0
            AND (
                SELECT count(*)
                FROM public."SessionProcessingStatus" AS p
                WHERE p."sessionId" = s.id
                    AND p.status = 'COMPLETED'
                    AND (
                        (
                            p.stage = 'AI_ANALYSIS'
                            AND p.metadata ?& ARRAY[
                                'language', 'sentiment', 'category', 'questionsCount'
                            ]
                        )
                        OR (
                            p.stage = 'QUESTION_EXTRACTION' AND p.metadata ? 'questionsProcessed'
                        )
                    )
            ) = 2
        )
""")
"""Sessions that lack a field, or a stage that is completed with its metadata."""
