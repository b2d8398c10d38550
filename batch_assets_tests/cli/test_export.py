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
from batch_assets.store.daily_costs import SUMS
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
        connection.execute(
            text(
                "INSERT INTO batch_assets.attempt (batch_id, request_id, company_id, outcome,"
                " ended_at, cost_eur, synchronous_cost_eur)"
                " SELECT b.id, b.id || n, b.company_id, 'completed', now(), b.cost_eur / 2,"
                " b.synchronous_cost_eur / 2"
                " FROM batch_assets.batch AS b, generate_series(1, 2) AS n"
            )
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
    asked = ["export", "--from", "7d", "--output", str(file)]
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


@pytest.fixture
def spent(database_url: str, engine: Engine) -> dict[str, str]:
    """A database with what two companies have spent in two months, and one of deleted name."""
    with engine.begin() as connection:
        ids = [make_company(connection, name=name) for name in ("Vér & Fils", "=Zorggroep")]
        for number, (company, model, at, cost, unpriced) in enumerate(
            [
                (ids[0], "gpt-4o-mini", "2026-10-31 23:59:59.9+00", 0.1, 0),
                (ids[0], "gpt-4o-mini", "2026-11-01 01:00+01", 0.2, 0),
                (ids[1], "gpt-5-mini", "2026-11-03 12:00+00", 0.7, 0),
                (ids[1], "ours", "2026-11-03 12:00+00", 0.0, 2),
                ("deleted", "gpt-4o-mini", "2026-11-04 12:00+00", 1.5, 1),
            ]
        ):
            connection.execute(
                text(
                    "INSERT INTO batch_assets.batch (id, installation_id, company_id, model, state,"
                    " requests, openai_batch_id, server_status, server_status_since, claimed_at,"
                    " submitted_at, ended_at, finalized_at, completed, cost_usd, cost_eur,"
                    " synchronous_cost_eur, usd_to_eur, unpriced, unattributed_usd,"
                    " unattributed_eur)"
                    " SELECT :id, :id, :company, :model, 'finalized', 2, :id, 'completed', now(),"
                    " CAST(:at AS timestamptz), now(), CAST(:at AS timestamptz) + interval '1 h',"
                    " now(), 2, :cost, :cost / 2, :cost, 0.5, :unpriced, 0.02, 0.01"
                ),
                {"id": f"b{number}", "company": company, "model": model}
                | {"at": at, "cost": cost, "unpriced": unpriced},
            )
        connection.execute(
            text(
                "INSERT INTO batch_assets.duplicate_batch"
                " (openai_batch_id, batch_id, estimated_cost_eur) VALUES ('second', 'b2', 0.05)"
            )
        )
    return {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY, "companies": ",".join(ids)}


def read_csv(shown: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(shown)))


def test_the_report_for_finance_has_a_line_for_each_month_company_and_model(
    typed: Type, spent: dict[str, str], tmp_path: Path
) -> None:
    ids = spent.pop("companies").split(",")
    file = tmp_path / "costs.csv"
    asked = ["export", "--by", "model,month,company", "--format", "csv", "--output", str(file)]
    shown = typed(*asked, **spent)
    assert (shown.code, shown.out, shown.err) == (0, "", "")
    rows = read_csv(file.read_bytes().decode("utf-8"))
    assert list(rows[0]) == ["month", "company_id", "company", "model", *SUMS]
    of = {(one["month"], one["company_id"], one["model"]): one for one in rows}
    assert set(of) == {
        ("2026-10", ids[0], "gpt-4o-mini"),
        ("2026-11", ids[0], "gpt-4o-mini"),
        ("2026-11", ids[1], "gpt-5-mini"),
        ("2026-11", ids[1], "ours"),
        ("2026-11", "deleted", "gpt-4o-mini"),
    }
    assert [one["month"] for one in rows] == sorted(one["month"] for one in rows)
    october = of["2026-10", ids[0], "gpt-4o-mini"]
    assert (october["company"], october["cost_usd"], october["cost_eur"]) == (
        "Vér & Fils",
        "0.1",
        "0.05",
    )
    large = of["2026-11", ids[1], "gpt-5-mini"]
    assert large["company"] == "'=Zorggroep", "no program takes it for a formula"
    assert float(large["duplicates_eur"]) == float(large["estimated_eur"]) == 0.05
    assert float(large["duplicates_usd"]) == 0.1
    assert float(large["billed_usd"]) == pytest.approx(0.7 + 0.02 + 0.1, rel=1e-15)
    assert float(large["billed_eur"]) == pytest.approx(0.35 + 0.01 + 0.05, rel=1e-15)
    unknown = of["2026-11", ids[1], "ours"]
    assert (unknown["cost_usd"], unknown["cost_eur"], unknown["unpriced_answers"]) == ("", "", "2")
    in_part = of["2026-11", "deleted", "gpt-4o-mini"]
    assert (in_part["company"], in_part["cost_eur"], in_part["unpriced_answers"]) == (
        "",
        "0.75",
        "1",
    )


def test_the_report_divides_by_what_is_asked_for_in_whole_days(
    typed: Type, spent: dict[str, str]
) -> None:
    del spent["companies"]
    document = json.loads(typed("export", "--by", "day", **spent).out)
    assert (document["by"], document["from"], document["to"]) == (["day"], None, None)
    days = {one["day"]: one["billed_eur"] for one in document["costs"]}
    assert list(days) == ["2026-10-31", "2026-11-01", "2026-11-03", "2026-11-04"]
    assert document["total"]["billed_eur"] == pytest.approx(sum(days.values()), rel=1e-12)
    assert list(document["costs"][0]) == ["day", *SUMS]

    asked = ["export", "--by", "model", "--from", "2026-11-01T12:00", "--to", "2026-11-03T01:00"]
    some = json.loads(typed(*asked, **spent).out)
    assert (some["from"], some["to"]) == ("2026-11-01", "2026-11-04")
    assert {one["model"]: one["batches"] for one in some["costs"]} == {
        "gpt-4o-mini": 1,
        "gpt-5-mini": 1,
        "ours": 1,
    }
    none = ["export", "--by", "month", "--to", "2020-01-01"]
    assert json.loads(typed(*none, **spent).out)["costs"] == []
    assert len(read_csv(typed(*none, "--format", "csv", **spent).out)) == 0


def test_a_cost_that_nobody_knows_is_none_in_the_other_exports_too(
    typed: Type, spent: dict[str, str], engine: Engine
) -> None:
    ids = spent.pop("companies").split(",")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM batch_assets.batch WHERE model = 'gpt-5-mini'"))
        connection.execute(
            run_metric.insert(), [row(1) | {"cost_eur": 0.0, "unpriced_answers": 3}, row(2)]
        )
    document = json.loads(typed("export", "--companies", **spent).out)
    costs = {one["company_id"]: one["cost_eur"] for one in document["companies"]}
    assert costs[ids[1]] is None
    assert costs["deleted"] == 0.75
    assert [one["cost_eur"] for one in document["metrics"]] == [0.25, None]
    assert [one["unpriced_answers"] for one in document["metrics"]] == [0, 3]


def test_a_run_that_was_killed_is_there_with_what_it_has_read(
    typed: Type, configured: dict[str, str], engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO batch_assets.run_reading SELECT 'b0', r, 1, 0, 10, 2, 5, 1, 1.0, 0.5,"
                " 1.0, 0.5, 0, 0 FROM unnest(ARRAY['killed', 'run-1']) AS r"
            )
        )
    runs = json.loads(typed("export", **configured).out)["metrics"]
    assert [one["run_id"] for one in runs] == ["run-2", "run-1", "killed"]
    assert (runs[-1]["cost_eur"], runs[-1]["cached_tokens"]) == (0.5, 2)
    assert (runs[-1]["mode"], runs[-1]["submitted_batches"]) == (None, None)
    assert list(runs[-1]) == list(runs[0])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--by", "week"], "--by is 'week': it must be some of month, company, model, or of day,"),
        (["--by", "month,day"], "--by is 'month,day': it must be some of"),
        (["--by", "model", "--companies"], "--by and --companies are two reports: ask for one."),
        (
            ["--format", "json", "--output", "/x.CSV"],
            "--format json and a file that ends in .csv",
        ),
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
