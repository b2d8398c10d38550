"""LiveDash moves over and back as docs/deployment.md has it, and no request is lost."""

from collections.abc import Callable

import psycopg
import pytest

from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_local.batch_server.config import Timing
from batch_assets_tests.cli.conftest import Type
from batch_assets_tests.databases import connected
from batch_assets_tests.factories import make_company, make_requests

STATES = """SELECT "processingStatus"::text, "batchId" IS NOT NULL, count(*)
    FROM public."AIProcessingRequest" GROUP BY 1, 2"""
BATCHES = 'SELECT status::text, count(*) FROM public."AIBatchRequest" GROUP BY 1 ORDER BY 1'
OURS = "SELECT count(*) FROM pg_namespace WHERE nspname = 'batch_assets'"


def states(url: str) -> dict[tuple[str, bool], int]:
    """How many requests are in which status, in a batch of LiveDash's or in none."""
    with psycopg.connect(url) as connection:
        return {(status, is_in): count for status, is_in, count in connection.execute(STATES)}


@pytest.fixture
def moved(
    typed: Type,
    configured_on: Callable[[str], dict[str, str]],
    livedash_database_url: str,
    api: RunningServer,
) -> Type:
    """Types a command where 12 requests of LiveDash's are analysed, 3 on the server, 2 new."""
    environ = {**configured_on(livedash_database_url), "BATCH_MAX_WAIT_MINUTES": "0"}

    def type_(*arguments: str) -> object:
        outcome = typed(*arguments, **environ)
        assert outcome.code == 0, outcome
        return outcome

    with connected(livedash_database_url) as connection:
        company_id = make_company(connection)
        make_requests(connection, company_id, 12)
    type_("migrate")
    type_("plan", "--dry-run")
    assert states(livedash_database_url) == {("PENDING_BATCHING", False): 12}
    type_("confirm", "--yes")
    type_("run")
    type_("run")
    assert states(livedash_database_url) == {("PROCESSING_COMPLETE", True): 12}
    with connected(livedash_database_url) as connection:
        make_requests(connection, company_id, 3)
    timing = Timing.instant().model_copy(update={"hold_after_rows": 0})
    api.set_config(ServerConfig.model_validate({"timing": timing}))
    type_("run")
    with connected(livedash_database_url) as connection:
        make_requests(connection, company_id, 2)
    return type_  # type: ignore[return-value]


def test_it_waits_for_what_was_paid_for(
    moved: Type, livedash_database_url: str, api: RunningServer
) -> None:
    api.set_config(ServerConfig.instant())
    moved("drain")
    moved("migrate", "--downgrade", "base")
    assert states(livedash_database_url) == {
        ("PROCESSING_COMPLETE", True): 15,
        ("PENDING_BATCHING", False): 2,
    }
    with psycopg.connect(livedash_database_url) as connection:
        assert connection.execute(OURS).fetchone() == (0,)


def test_it_hands_over_what_runs(moved: Type, livedash_database_url: str) -> None:
    moved("drain", "--hand-over", "--yes")
    moved("migrate", "--downgrade", "base")
    assert states(livedash_database_url) == {
        ("PROCESSING_COMPLETE", True): 12,
        ("BATCHING_IN_PROGRESS", True): 3,
        ("PENDING_BATCHING", False): 2,
    }
    with psycopg.connect(livedash_database_url) as connection:
        assert connection.execute(BATCHES).fetchall() == [("IN_PROGRESS", 1), ("PROCESSED", 1)]
