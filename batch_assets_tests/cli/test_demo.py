"""The demo on a terminal and in a pipe, in a copy of the project with a stack of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pexpect
import psycopg

from batch_assets.cli.run import Run
from batch_assets.domain.errors import SubmissionHeldError
from batch_assets.domain.metrics import GROUPS
from batch_assets_local import stack
from batch_assets_local.cli.demo import what_it_did
from batch_assets_local.samples import sample_companies
from batch_assets_tests.cli.terminals import frames, shown_on_screen

DEMO = [sys.executable, "-m", "batch_assets.cli", "demo"]
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


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if k != "TERM"}, **CONFIGURED, **changes}


def in_a_pipe(project: Path, environ: Mapping[str, str]) -> str:
    ended = subprocess.run(
        DEMO,
        cwd=project,
        env=environment(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.returncode == 0
    return ended.stdout


@contextmanager
def on_a_terminal(project: Path, term: str) -> Iterator["pexpect.spawn[str]"]:
    spawned = pexpect.spawn(
        DEMO[0],
        DEMO[1:],
        cwd=str(project),
        env=environment({"TERM": term}),
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=120,
    )
    yield spawned
    spawned.close(force=True)


def test_one_that_is_cut_off_and_two_whole_ones(project_copy: Path) -> None:
    with on_a_terminal(project_copy, "dumb") as cut_off:
        cut_off.expect_exact("339 conversations of HR chatbots came in.")
        cut_off.expect_exact(" requests sent in ")
        cut_off.kill(signal.SIGKILL)

    with on_a_terminal(project_copy, "vt100") as interrupted:
        interrupted.expect_exact("An earlier demo was cut off")
        interrupted.expect_exact("until each of them has been analysed:")
        interrupted.sendintr()
        interrupted.expect_exact("Stopped: `make demo` typed again goes on from there.")
        interrupted.expect(pexpect.EOF)
        assert "Error" not in str(interrupted.before)
        interrupted.close()
        assert interrupted.exitstatus == 130

    with on_a_terminal(project_copy, "xterm-256color") as first:
        first.expect(pexpect.EOF)
        said = str(first.before)
        first.close()
        assert first.exitstatus == 0
    bars = frames(said)
    assert " 0 % 0/31" in bars[0]
    assert " 100 % " in bars[-1]
    shown = "\n".join(shown_on_screen(said.replace("\r\n", "\n"), 80))
    assert "An earlier demo was cut off: this one goes on with its 31" in shown
    assert "came in" not in shown
    assert f"{SUSPENDED} (suspended)" in shown
    assert "(50% saved)" in shown
    assert "1 request. The session has no messages." in shown
    assert "`make dev`" in shown
    assert "canary" not in shown
    for company in sample_companies():
        assert company.name in shown

    database_url = stack.attach(project_copy).database_url
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert sessions(connection) == 339
        assert requests(connection) == {
            ("ACTIVE", "PROCESSING_COMPLETE", True),
            ("ACTIVE", "PROCESSING_FAILED", False),
            ("SUSPENDED", "PENDING_BATCHING", False),
        }
        assert unanalysed(connection) == 1
        first_runs = runs(connection)
        assert first_runs >= 3
        # One of them has drawn the pictures; each of the others has left its metrics, and the one
        # that was cut off may have.
        assert figures(connection) in {first_runs - 1, first_runs}
        assert plotted(connection) == {*GROUPS, "overview", *PICTURES}

        again = in_a_pipe(project_copy, {"CI": "true"})
        assert "339 conversations of HR chatbots came in." in again
        assert "21 of them wait, since their company is suspended; 318 are to be analysed." in again
        assert "those of earlier demos too" in again
        assert "\x1b" not in again
        assert "%" not in again.replace("(50% saved)", "")
        assert sessions(connection) == 2 * 339
        assert unanalysed(connection) == 2
        assert runs(connection) > first_runs

        connection.execute("INSERT INTO batch_assets.drain (began_by) VALUES ('Ada')")
        _ends_at_once_while_drained(project_copy)


def test_a_run_that_sent_nothing_says_why_if_it_was_not_to() -> None:
    idle = Run(id="1", numbers={}, failures={})
    read = replace(idle, numbers={"ingest_results": {"completed": 2}})
    sent = replace(idle, numbers={"submit_batches": {"requests": 3, "batches": 1}})
    held = "It is drained."
    assert what_it_did(idle, None) == "no batch has ended since"
    assert what_it_did(idle, held) == "nothing was sent: It is drained."
    assert what_it_did(read, held) == "2 answers read, nothing was sent: It is drained."
    assert what_it_did(sent, held) == "3 requests sent in 1 batch"


def _ends_at_once_while_drained(project: Path) -> None:
    ended = subprocess.run(
        DEMO, cwd=project, env=environment({}), capture_output=True, text=True, check=False
    )
    assert ended.returncode == SubmissionHeldError.exit_code
    assert "Nothing is submitted now. It is drained: Ada has stopped" in ended.stderr
    assert "did not move" not in ended.stderr
    assert ended.stdout.count("nothing was sent: It is drained: Ada has stopped") == 1


def sessions(connection: psycopg.Connection) -> int:
    row = connection.execute('SELECT count(*) FROM "Session"').fetchone()
    return int(row[0]) if row else -1


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
    """Runs that have succeeded; no others are in Dagster's history but one that was cut off."""
    rows = connection.execute("SELECT status FROM dagster.runs").fetchall()
    others = [status for (status,) in rows if status != "SUCCESS"]
    assert others in ([], ["FAILURE"], ["CANCELED"])
    return len(rows) - len(others)
