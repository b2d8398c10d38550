"""The demo's samples through all stages: what is stored is what is true of them."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from batch_assets.local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets.local.samples import sample_companies, sample_sessions, seed_database
from batch_assets_tests.stages.support import Lab

NOW = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that answers as in the demo, with the project's own analyst."""
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
                FROM "Session" AS s
                LEFT JOIN "SessionQuestion" AS a ON a."sessionId" = s.id
                LEFT JOIN "Question" AS q ON q.id = a."questionId"
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
