"""The demo from its first line to its last, in a copy of the project with a stack of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg

from batch_assets.domain.metrics import GROUPS
from batch_assets.local import stack
from batch_assets.local.samples import sample_companies

CONFIGURED = {
    "DATABASE_URL": "postgresql://u:canary-password@127.0.0.1:9/livedash",
    "OPENAI_API_KEY": "sk-canary-key-0123456789",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "BATCH_MIN_SIZE": "ten",
    "BATCH_LOCAL_STACK": "another",
    "DAGSTER_HOME": "/nowhere",
}
"""Each of these would keep any other command from working."""
SUSPENDED = "Markthaus Kehl"
PICTURES = {"turnaround_report", "cost_report", "query_comparison_report"}


def demo(project: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "batch_assets.cli", "demo"],
        cwd=project,
        env={**os.environ, **CONFIGURED, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.returncode == 0
    return ended.stdout


def test_a_demo_and_a_second_one(project_copy: Path) -> None:
    shown = demo(project_copy)

    assert max(map(len, shown.splitlines())) <= 80
    assert "339 conversations of HR chatbots came in." in shown
    assert f"{SUSPENDED} (suspended)" in shown
    assert "(50% saved)" in shown
    assert "1 request. The session has no messages." in shown
    assert "`make dev`" in shown
    assert "canary" not in shown
    for company in sample_companies():
        assert company.name in shown

    database_url = stack.attach(project_copy).database_url
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert requests(connection) == {
            ("ACTIVE", "PROCESSING_COMPLETE", True),
            ("ACTIVE", "PROCESSING_FAILED", False),
            ("SUSPENDED", "PENDING_BATCHING", False),
        }
        assert unanalysed(connection) == 1
        first_runs = runs(connection)
        assert first_runs >= 3
        # One of them has drawn the pictures; each of the others has left its figures.
        assert figures(connection) == first_runs - 1
        assert plotted(connection) == {*GROUPS, *PICTURES}

        again = demo(project_copy)
        assert "339 conversations of HR chatbots came in." in again
        assert unanalysed(connection) == 2
        assert runs(connection) > first_runs


def requests(connection: psycopg.Connection) -> set[tuple[object, ...]]:
    """Which kinds of company have requests in which states, and with an analysis or not."""
    return set(
        connection.execute("""
            SELECT c.status::text, r."processingStatus"::text, r.success
            FROM "AIProcessingRequest" AS r
            JOIN "Session" AS s ON s.id = r."sessionId"
            JOIN "Company" AS c ON c.id = s."companyId"
        """)
    )


def unanalysed(connection: psycopg.Connection) -> int:
    """Sessions of active companies of which nothing was written."""
    row = connection.execute("""
        SELECT count(*)
        FROM "Session" AS s
        JOIN "Company" AS c ON c.id = s."companyId"
        WHERE c.status = 'ACTIVE' AND s.sentiment IS NULL AND s.category IS NULL
            AND s.summary IS NULL
    """).fetchone()
    return int(row[0]) if row else -1


def figures(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM batch_assets.run_metric").fetchone()
    return int(row[0]) if row else -1


def plotted(connection: psycopg.Connection) -> set[str]:
    """The assets of which Dagster knows something."""
    rows = connection.execute("""
        SELECT DISTINCT asset_key
        FROM dagster.event_logs
        WHERE dagster_event_type = 'ASSET_MATERIALIZATION'
    """)
    return {"/".join(json.loads(key)) for (key,) in rows}


def runs(connection: psycopg.Connection) -> int:
    """Runs in Dagster's history, all of which have to have succeeded."""
    rows = connection.execute("SELECT status FROM dagster.runs").fetchall()
    assert {status for (status,) in rows} == {"SUCCESS"}
    return len(rows)
