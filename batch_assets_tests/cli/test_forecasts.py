"""What is coming, as `status` and `plan` say it: in sentences, by company, and as JSON."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from batch_assets.domain.budgets import ALL_COMPANIES, Budget, Period
from batch_assets.store.budgets import StoredBudgets
from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.store.history import make_past

DAY = 86_400.0
HISTORY = {"requests": 12, "cost_eur": 0.012, "seconds": 7_560.0}


@pytest.fixture
def configured(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": KEY,
        "BATCH_SPOOL_DIR": str(tmp_path / "spool"),
    }


@pytest.fixture
def company_ids(engine: Engine) -> list[str]:
    """Of companies with a history of three days: what waits for one, and is in flight for both."""
    with engine.begin() as connection:
        ids = [make_company(connection, name=name) for name in ("Aarhus", "Bergen")]
        make_requests(connection, ids[0], 12)
    for company_id in ids:
        for age in (1, 2, 3):
            make_past(engine, 20, age=age * DAY, company_id=company_id, **HISTORY)
        make_past(
            engine,
            1,
            age=1,
            company_id=company_id,
            state="submitted",
            server_status="in_progress",
            requests=12,
        )
    return ids


def test_nothing_is_said_of_nothing(typed: Type, configured: dict[str, str]) -> None:
    said = typed("status", **configured).out
    assert "will cost" not in said
    assert "In flight:" not in said
    forecast = json.loads(typed("status", "--json", **configured).out)["forecast"]
    assert (forecast["companies"], forecast["usual_days"]) == ([], 0)
    assert forecast["in_all"]["in_flight"]["p90_seconds"] is None


def test_status_says_when_it_is_done_and_what_it_costs(
    typed: Type, configured: dict[str, str], company_ids: list[str]
) -> None:
    words = " ".join(typed("status", **configured).out.split())
    assert (
        "In flight: 24 requests, half of them done in about 2.1 hours, nine of ten in 2.1 hours (20"
    ) in words
    assert "told by 120 batches of the same model, size and hour; about 0.0240 EUR." in words
    assert "Waiting: 12 requests, half of them done in about 2.1 hours" in words
    assert "Today (UTC) will cost about" in words
    assert "This month will cost about" in words
    assert " 0.0120 waiting, and " in words
    assert " that usually still come (by 2 days before)." in words
    for name in ("Aarhus", "Bergen"):
        assert words.count(name) == 2, "where its requests are, and what is coming"
    assert len(company_ids) == 2


def test_json_has_it_by_company(
    typed: Type, configured: dict[str, str], company_ids: list[str]
) -> None:
    forecast = json.loads(typed("status", "--json", **configured).out)["forecast"]
    companies = {one["company"]: one for one in forecast["companies"]}
    assert [companies[name]["company_id"] for name in ("Aarhus", "Bergen")] == company_ids
    waiting = companies["Aarhus"]["waiting"]
    assert (waiting["requests"], waiting["unpriced"]) == (12, 0)
    assert waiting["cost_eur"] == pytest.approx(0.012)
    assert (waiting["basis"], waiting["basis_batches"]) == ("model, size and hour", 120)
    assert companies["Bergen"]["waiting"]["requests"] == 0
    in_flight = companies["Bergen"]["in_flight"]
    assert in_flight["p90_seconds"] == pytest.approx(7_560, abs=60)
    for of in ("day", "month"):
        parts = forecast["in_all"][of]
        total = parts.pop("total_eur")
        assert total == pytest.approx(sum(parts.values()))
        assert total == pytest.approx(sum(one[of]["total_eur"] for one in companies.values()))


def test_a_plan_says_when_what_it_would_send_is_done(
    typed: Type, configured: dict[str, str], company_ids: list[str]
) -> None:
    words = " ".join(typed("plan", "--dry-run", **configured).out.split())
    assert "If it is sent now: 12 requests, half of them done in about 2.1 hours, nine" in words
    assert "This month will cost about" in words
    document = json.loads(typed("plan", "--dry-run", "--json", **configured).out)
    (line,) = document["would_send"]
    assert [line["p50_seconds"], line["p90_seconds"]] == pytest.approx([7_560] * 2, abs=60)
    assert document["forecast"]["sending"]["requests"] == 12
    assert document["forecast"]["sending"]["cost_eur"] == pytest.approx(line["cost_eur"])
    assert len(document["forecast"]["companies"]) == len(company_ids)


def test_without_a_history_the_completion_window_is_what_is_known(
    typed: Type, configured: dict[str, str], engine: Engine
) -> None:
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 12)
    words = " ".join(typed("status", **configured).out.split())
    assert "Waiting: 12 requests, done in 24.0 hours at the latest (20" in words
    assert "too few batches have ended yet to tell more; about 0.0" in words


@pytest.mark.parametrize("settled", [0, 400], ids=["as estimated", "as such have cost"])
def test_status_and_plan_say_the_same_of_what_waits(
    typed: Type, configured: dict[str, str], engine: Engine, settled: int
) -> None:
    with engine.begin() as connection:
        company_id = make_company(connection)
        make_requests(connection, company_id, 21, messages=7)
        make_requests(connection, company_id, 12, processing_type="sentiment", messages=3)
    make_past(engine, settled // 10, age=2 * DAY, company_id=company_id, requests=10, cost_eur=0.03)
    planned = json.loads(typed("plan", "--json", **configured).out)
    standing = json.loads(typed("status", "--json", **configured).out)["forecast"]["in_all"]
    cost = planned["totals"]["cost_eur"]
    assert planned["totals"]["requests"] == standing["waiting"]["requests"] == 33
    assert planned["forecast"]["sending"]["cost_eur"] == pytest.approx(cost, rel=1e-9)
    assert standing["waiting"]["cost_eur"] == pytest.approx(cost, rel=1e-9)
    assert standing["day"]["waiting_eur"] == pytest.approx(cost, rel=1e-9)
    estimated = planned["totals"]["estimated_cost_eur"]
    if settled:
        assert cost == pytest.approx(33 * 0.003)
        assert estimated != pytest.approx(cost, rel=0.01), "caps count what a claim estimates"
    else:
        assert cost == pytest.approx(estimated, rel=1e-9)


def test_what_a_budget_holds_has_no_date(
    typed: Type, configured: dict[str, str], engine: Engine
) -> None:
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 12)
    StoredBudgets(engine).set([Budget(ALL_COMPANIES, Period.DAY, 0)], "the tests")
    words = " ".join(typed("status", **configured).out.split())
    assert (
        "Waiting: 12 requests, held (budget of all companies is 0: nothing goes on before" in words
    )
    assert "); about 0.0" in words
    assert "Today (UTC) will cost" not in words
    words = " ".join(typed("plan", **configured).out.split())
    assert "Nothing: all that is due is held." in words
