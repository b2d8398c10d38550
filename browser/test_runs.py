"""Runs that are launched with a click: watched to their end, and found in the list of runs."""

from datetime import UTC, datetime

import psycopg

from batch_assets_local.samples import DEFAULT_SEED, seed_database
from batch_assets_local.state_file import LocalStack
from browser.launchpad import Launchpad
from browser.window import Window

STATES = """
    SELECT r."processingStatus"::text, count(*)
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    JOIN public."Company" AS c ON c.id = s."companyId"
    WHERE c.status = 'ACTIVE'
    GROUP BY 1
"""
TAGS = "SELECT key FROM dagster.run_tags WHERE run_id = %s"


def states(database: psycopg.Connection) -> dict[str, int]:
    """How many requests of active companies are in each state."""
    return dict(database.execute(STATES).fetchall())


def test_the_job_is_launched_and_does_its_work(
    window: Window, stack: LocalStack, database: psycopg.Connection
) -> None:
    seed_database(stack.database_url, seed=DEFAULT_SEED + 1, now=datetime.now(UTC))
    assert states(database)["PENDING_BATCHING"] > 300

    sending, ended = Launchpad(window, "batch_processing_job").run()
    assert ended == "Success"
    sent = states(database)
    assert "PENDING_BATCHING" not in sent
    reading, ended = Launchpad(window, "batch_processing_job").run()
    assert ended == "Success"
    assert states(database)["PROCESSING_COMPLETE"] > sent["BATCHING_IN_PROGRESS"]
    assert window.complaints() == []

    window.open("/runs", reading[:8])
    shown = window.text()
    assert sending[:8] in shown
    moved = (
        f"batch_assets/requests: {sent['BATCHING_IN_PROGRESS']} batch_assets/results: 0 View all"
    )
    assert moved in shown, "these two tags, and no other one"
    kept = database.execute(TAGS, [sending]).fetchall()
    assert (".dagster/batch_assets_exclusive",) in kept, (
        "hidden, and Dagster goes by it all the same"
    )


def test_a_wrong_mode_cannot_be_launched(window: Window) -> None:
    launchpad = Launchpad(window, "batch_processing_job")
    launchpad.type("resources:\n  query_strategy:\n    config:\n      mode: sideways\n")
    said = launchpad.complaint("sideways")
    assert "query_strategy:config:mode not in enum type Literal['environment', 'true', " in said
    assert "'original', 'optimized'] got sideways" in said
