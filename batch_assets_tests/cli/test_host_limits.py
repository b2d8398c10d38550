"""A host that gives a run little: it goes through with what is usual, and says what it lacks."""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import text

from batch_assets.project_files import PROJECT_DIR
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.cli.conftest import KEY
from batch_assets_tests.databases import connected
from batch_assets_tests.factories import make_company, make_requests

_COUNTS = text("""
    SELECT CAST(r."processingStatus" AS text) AS status, count(*) AS number
    FROM public."AIProcessingRequest" AS r
    GROUP BY 1
""")
COMPANIES = 12


@pytest.fixture
def environ(database_url: str, dagster_home: str, api: RunningServer) -> Mapping[str, str]:
    """A database with much to do, the server, and where a run keeps its files."""
    create_dagster_schema(database_url)
    with connected(database_url) as connection:
        connection.execute(
            text("UPDATE batch_assets.installation SET confirmed_at = now(), confirmed_by = 'me'")
        )
        for _ in range(COMPANIES):
            make_requests(connection, make_company(connection), 1, age=timedelta(hours=3))
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": api.base_url,
        "DAGSTER_HOME": dagster_home,
        "BATCH_SPOOL_DIR": f"{dagster_home}/spool",
        "MAX_CONCURRENT_COMPANIES": "50",
    }


def run(environ: Mapping[str, str], *limits: str) -> subprocess.CompletedProcess[str]:
    """One run of the job under limits of the shell's."""
    limited = "; ".join(f"ulimit {limit}" for limit in limits)
    command = f'{limited}; exec "$0" -m batch_assets.cli run'
    return subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=PROJECT_DIR,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def counts(environ: Mapping[str, str]) -> dict[str, int]:
    with connected(environ["DATABASE_URL"]) as connection:
        return {row.status: row.number for row in connection.execute(_COUNTS)}


def test_too_few_descriptors_are_said_and_64_and_little_memory_will_do(
    environ: Mapping[str, str], api: RunningServer
) -> None:
    few = run(environ, "-n 16")
    assert few.returncode == 1
    assert "ulimit -n" in few.stderr
    assert "Traceback" not in few.stderr
    assert list(api.ledger().entries()) == []
    enough = run(environ, "-n 64", "-v 1500000")
    assert (enough.returncode, enough.stderr) == (0, "")
    assert counts(environ) == {"BATCHING_IN_PROGRESS": COMPANIES}
