"""The pictures of the history, as a run of `report_job` reports them."""

import base64
import time
from collections.abc import Callable
from functools import partial

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.store.metrics import ReportData
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import metadata_of
from batch_assets_tests.factories import make_company, make_requests

Run = Callable[..., dg.ExecuteInProcessResult]
PATIENCE_SECONDS = 60
BEGINS = "(data:image/png;base64,"
NO_ROWS: list[dg.TableRecord] = []


@pytest.fixture
def run(run_job: RunJob, database_url: str, api: RunningServer) -> Run:
    return partial(run_job, database_url, base_url=api.base_url)


def reported(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    """What a run of `report_job` has reported, by asset; each with a chart that decodes."""
    found: dict[str, dict[str, object]] = {}
    for event in result.asset_materializations_for_node("draw_reports"):
        numbers: dict[str, object] = {
            key: entry.records if isinstance(entry, dg.TableMetadataValue) else entry.value
            for key, entry in event.metadata.items()
        }
        chart = str(numbers.pop("chart"))
        assert numbers.pop("picture") == chart, "its former name"
        encoded = chart.partition(BEGINS)[2].removesuffix(")")
        assert base64.b64decode(encoded, validate=True).startswith(b"\x89PNG")
        found[event.asset_key.to_user_string()] = numbers
    return found


def test_charts_of_nothing_and_of_something(run: Run, engine: Engine) -> None:
    nothing = run(job_name="report_job")
    assert nothing.success
    assert reported(nothing) == {
        "turnaround_report": {"batches": 0, "forecast": NO_ROWS},
        "cost_report": {
            "cost_eur": 0,
            "synchronous_cost_eur": 0,
            "saved_eur": 0,
            "unpriced_answers": 0,
            "day_forecast_eur": 0,
            "month_forecast_eur": 0,
            "forecast": NO_ROWS,
            "live_cost_eur": 0,
        },
        "query_comparison_report": {"operations": 0, "operations_with_both": 0},
    }

    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 10)
    assert run(environ={"ENABLE_BATCH_OPTIMIZATION": "false"}).success
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while metadata_of(run(), "ingest_results")["finalized"] == 0:
        assert time.monotonic() < give_up_at
    found = reported(run(job_name="report_job"))
    assert found["turnaround_report"]["batches"] == 1
    assert found["query_comparison_report"]["operations_with_both"]
    with engine.connect() as connection:
        spent = connection.execute(
            text("SELECT sum(cost_eur), sum(synchronous_cost_eur) FROM batch_assets.batch")
        ).one()
    assert found["cost_report"]["cost_eur"] == pytest.approx(spent[0], abs=1e-9)
    assert found["cost_report"]["synchronous_cost_eur"] == pytest.approx(spent[1], abs=1e-9)
    assert spent[0] > 0
    for asset in ("turnaround_report", "cost_report"):
        coming = found[asset]["forecast"]
        assert isinstance(coming, list)
        assert [row.data["company"] for row in coming] == ["Total", "Zorggroep Oost"]
    assert found["cost_report"]["day_forecast_eur"] == pytest.approx(spent[0], abs=1e-9)
    assert found["cost_report"]["month_forecast_eur"] == pytest.approx(spent[0], abs=1e-9)


def test_one_report_is_drawn_alone(run: Run, engine: Engine) -> None:
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 1)
    result = run(job_name="report_job", assets=["cost_report"])
    assert result.success
    assert set(reported(result)) == {"cost_report"}


def test_the_smaller_companies_are_one_and_no_company_is_lost(engine: Engine) -> None:
    with engine.begin() as connection:
        for number in range(5):
            company_id = make_company(connection, name=f"Company {number}")
            connection.execute(
                text(
                    "INSERT INTO batch_assets.batch (id, installation_id, company_id, state,"
                    " requests, openai_batch_id, server_status, server_status_since, claimed_at,"
                    " submitted_at, ended_at, finalized_at, cost_eur, synchronous_cost_eur)"
                    " SELECT :id, :id, :company, 'finalized', 1, :id, 'completed', now(),"
                    " now() - make_interval(days => :age),"
                    " now() - interval '1 h', now(), now() - make_interval(days => :age), :cost,"
                    " 2 * :cost"
                ),
                {"id": f"b{number}", "company": company_id, "age": number % 2, "cost": number + 1},
            )
    data = ReportData(engine)
    days = data.cost_by_day(30, 2).days
    named = {day.company: day.cost_eur for day in days if day.company is not None}
    assert named == {"Company 4": 5, "Company 3": 4}
    assert sorted(day.cost_eur for day in days if day.company is None) == [2, 4]
    assert data.cost_by_day(30, 2).cost_eur == 15
    report = data.turnaround(7)
    (step,) = report.steps
    assert (step.batches, report.batches) == (5, 5)
    assert step.from_seconds <= 3_600 < step.to_seconds
    assert report.p50_seconds == report.p99_seconds == pytest.approx(3_600, abs=1)
