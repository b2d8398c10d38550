"""`batch-assets export` and `batch-assets prune`: for programs, and for those who tidy up."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.former_names import FORMER_NAMES, with_former_keys
from batch_assets.domain.metrics import RunMetrics, metric_types
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.metrics import COMPANY_KEYS, KEYS
from batch_assets.store.tables.runs import run_metric
from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.factories import make_company

NOW = datetime.now(UTC)
RENAMED = {now: FORMER_NAMES[now] for now in KEYS if now in FORMER_NAMES}
HOURS = (1, 2, 30, 400)
"""How long ago the runs of these tests have ended."""


@pytest.fixture
def configured(database_url: str, engine: Engine) -> dict[str, str]:
    """A database with some runs' metrics, and finalized batches of two companies."""
    with engine.begin() as connection:
        connection.execute(run_metric.insert(), [row(hours) for hours in HOURS])
        for number, name in enumerate(["Vér & Fils", "Zorggroep Oost"]):
            connection.execute(
                text(
                    "INSERT INTO batch_assets.batch (id, installation_id, company_id, state,"
                    " requests, openai_batch_id, server_status, server_status_since, submitted_at,"
                    " ended_at, finalized_at, completed, cost_eur, synchronous_cost_eur)"
                    " SELECT :id, :id, :company, 'finalized', 2, :id, 'completed', now(), now(),"
                    " now(), now() - interval '1 h', 2, :cost, 2 * :cost"
                ),
                {
                    "id": f"b{number}",
                    "company": make_company(connection, name=name),
                    "cost": number + 0.5,
                },
            )
    return {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY}


def row(hours: int) -> dict[str, Any]:
    known = RunMetrics(f"run-{hours}", NOW - timedelta(hours=hours), "optimized")
    given = {"recorded_at": known.recorded_at, "mode": known.mode, **known.by_key()}
    return {"run_id": known.run_id, **given, "cost_eur": hours / 8}


def test_json_is_one_document_of_the_time_that_is_asked_for(
    typed: Type, configured: dict[str, str]
) -> None:
    shown = typed("export", **configured)
    assert (shown.code, shown.err) == (0, "")
    document = json.loads(shown.out)
    assert list(document) == ["metrics"]
    assert [one["run_id"] for one in document["metrics"]] == ["run-2", "run-1"]
    first = document["metrics"][0]
    assert list(first) == with_former_keys(KEYS)
    assert all(first[former] == first[now] for now, former in RENAMED.items())
    assert (first["cost_eur"], first["waiting_requests"]) == (0.25, None)
    assert datetime.fromisoformat(first["recorded_at"]) == NOW - timedelta(hours=2)

    older = json.loads(typed("export", "--from", "20d", "--to", "1d", **configured).out)
    assert [one["run_id"] for one in older["metrics"]] == ["run-400", "run-30"]
    nothing = json.loads(
        typed("export", "--from", "2020-01-01", "--to", "2020-02-01", **configured).out
    )
    assert nothing == {"metrics": []}


def test_csv_has_a_header_of_keys_and_goes_into_a_file(
    typed: Type, configured: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "metrics.csv"
    asked = ["export", "--from", "7d", "--format", "csv", "--output", str(file)]
    shown = typed(*asked, **configured)
    assert (shown.code, shown.out, shown.err) == (0, "", "")
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert list(rows[0]) == with_former_keys(["run_id", "recorded_at", "mode", *metric_types()])
    assert [one["run_id"] for one in rows] == ["run-30", "run-2", "run-1"]
    assert (rows[0]["cost_eur"], rows[0]["waiting_requests"]) == ("3.75", "")


def test_sums_of_companies(typed: Type, configured: dict[str, str]) -> None:
    document = json.loads(typed("export", "--companies", **configured).out)
    assert len(document["metrics"]) == 2
    sums = [(one["company"], one["cost_eur"], one["saved_eur"]) for one in document["companies"]]
    assert sums == [("Zorggroep Oost", 1.5, 1.5), ("Vér & Fils", 0.5, 0.5)]
    shown = typed("export", "--companies", "--format", "csv", **configured)
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert [list(one) for one in rows] == [with_former_keys(COMPANY_KEYS)] * 2
    assert [one["completed_requests"] for one in rows] == ["2", "2"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--format", "xml"], "--format is 'xml': it must be json or csv."),
        (["--from", "soon"], "--from is 'soon': it must be an age such as 36h or 7d, or a date"),
        (["--from", "1d", "--to", "2d"], "--from and --to leave no time between them: swap them."),
        (["--output", "/nowhere/at/all"], "/nowhere/at/all cannot be written (No such file"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    typed: Type, database_url: str, asked: list[str], sentence: str
) -> None:
    outcome = typed("export", *asked, DATABASE_URL=database_url, OPENAI_API_KEY=KEY)
    assert outcome.code in {1, 2}
    assert outcome.out == ""
    assert outcome.err.startswith(sentence)
    assert outcome.err.count("\n") == 1


def test_old_metrics_are_counted_and_then_deleted(
    typed: Type, configured: dict[str, str], dagster_home: str, engine: Engine
) -> None:
    create_dagster_schema(configured["DATABASE_URL"])
    environ = {
        **configured,
        "DAGSTER_HOME": dagster_home,
        "BATCH_MONITORING_RETENTION_DAYS": "1",
    }
    unasked = typed("prune", **environ)
    assert unasked.code == 2
    assert "type `batch-assets prune --yes`" in unasked.err

    counted = typed("prune", "--dry-run", **environ)
    assert (counted.code, counted.err) == (0, "")
    assert "Would delete what is older than 1 day" in counted.out
    assert "2 metrics of runs" in counted.out

    done = json.loads(typed("prune", "--yes", "--json", **environ).out)
    assert (done["retention_days"], done["report"]["run_metrics"]) == (1, 2)
    assert done["report"]["is_complete"] is True
    with engine.connect() as connection:
        left = connection.execute(text("SELECT count(*) FROM batch_assets.run_metric")).scalar_one()
        batches = connection.execute(text("SELECT count(*) FROM batch_assets.batch")).scalar_one()
    assert (left, batches) == (2, 2)
