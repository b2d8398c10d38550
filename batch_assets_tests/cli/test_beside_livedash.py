"""What the commands say of a database in which LiveDash has worked before, or works still."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from batch_assets.store.livedash_acts import LiveDashActs
from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.factories import (
    make_company,
    make_external_batch,
    make_request,
    make_requests,
    make_session,
)
from batch_assets_tests.policies import a_policy

ANSWERED, FAILED = 40, 10
LONG_AGO = timedelta(days=300)


def end_as_the_live_path_did(connection: Connection, ids: list[str], *, success: bool) -> None:
    """Older code of LiveDash asked at once and knew no status: the column's default is there."""
    connection.execute(
        text(
            'UPDATE public."AIProcessingRequest" SET success = :success,'
            ' "completedAt" = "requestedAt", "errorMessage" = :message WHERE id = ANY(:ids)'
        ),
        {"success": success, "message": None if success else "429 Too Many", "ids": ids},
    )


@pytest.fixture
def configured(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY, "COLUMNS": "400"}


@pytest.fixture
def history(engine: Engine) -> None:
    """A company of which every request was answered or has failed before the status came."""
    with engine.begin() as connection:
        ids = make_requests(connection, make_company(connection), ANSWERED + FAILED, age=LONG_AGO)
        end_as_the_live_path_did(connection, ids[:ANSWERED], success=True)
        end_as_the_live_path_did(connection, ids[ANSWERED:], success=False)


@pytest.mark.usefixtures("history")
def test_the_live_paths_past_is_no_backlog(typed: Type, configured: dict[str, str]) -> None:
    plan = json.loads(typed("plan", "--json", **configured).out)
    assert plan["totals"]["requests"] == 0
    assert (plan["answered_before"], plan["failed_before"]) == (ANSWERED, FAILED)
    status = json.loads(typed("status", "--json", **configured).out)["totals"]
    assert (status["answered_before"], status["failed_before"]) == (ANSWERED, FAILED)
    assert status["waiting"] == 0
    audit = typed("audit", "--json", **configured)
    assert audit.code == 0
    totals = json.loads(audit.out)["totals"]
    assert (totals["answered_before"], totals["failed_before"]) == (ANSWERED, FAILED)


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("command", ["plan", "status"])
def test_the_live_paths_past_is_named(
    typed: Type, configured: dict[str, str], command: str
) -> None:
    words = " ".join(typed(command, **configured).out.split())
    assert "Not bought again: 40 requests answered by LiveDash itself before" in words
    assert "Not sent: 10 requests at which LiveDash itself has failed before" in words


def test_what_shares_an_answer_is_named(
    typed: Type, configured: dict[str, str], engine: Engine
) -> None:
    with engine.begin() as connection:
        session_id = make_session(connection, make_company(connection))
        for _ in range(3):
            make_request(connection, session_id, age=LONG_AGO)
    plan = json.loads(typed("plan", "--json", **configured).out)
    assert (plan["totals"]["requests"], plan["follows"]) == (1, 2)
    words = " ".join(typed("plan", **configured).out.split())
    assert "Not sent for themselves: 2 requests with the question of another open one" in words


def test_a_timer_of_livedash_is_named(
    typed: Type, configured: dict[str, str], engine: Engine
) -> None:
    with engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 12)
        make_external_batch(connection, company_id, request_ids=ids)
    LiveDashActs(engine).notice(a_policy().external_quiet_seconds)
    document = json.loads(typed("status", "--json", **configured).out)
    (act,) = document["livedash_acts"]
    assert act["timer"] == "create"
    words = " ".join(typed("status", **configured).out.split())
    assert "OPENAI_API_KEY" in words, "what to do about it is said"


def test_stages_are_set_right(typed: Type, configured: dict[str, str], engine: Engine) -> None:
    with engine.begin() as connection:
        session_id = make_session(connection, make_company(connection))
        connection.execute(
            text(
                'INSERT INTO public."SessionProcessingStatus" (id, "sessionId", stage, status)'
                " VALUES ('left', :id, 'AI_ANALYSIS', 'IN_PROGRESS')"
            ),
            {"id": session_id},
        )
    foreseen = typed("reset-stages", "--dry-run", **configured)
    assert "1 session in progress without an open request" in " ".join(foreseen.out.split())
    done = json.loads(typed("reset-stages", "--json", **configured).out)
    assert (done["orphaned"], done["unstaged"]) == (1, 0)
    again = typed("reset-stages", **configured)
    assert "Nothing to do" in again.out
