"""Each run of the job gives every metric of every asset, and they are what happened."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.former_names import with_former_keys
from batch_assets.domain.metrics import GROUPS, PLOTTED, metric_types
from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets_tests.dagster.conftest import ANSWER, RunJob
from batch_assets_tests.dagster.reading import failed_ops, numbers_of, plots_of
from batch_assets_tests.factories import make_company, make_requests

Run = Callable[..., dg.ExecuteInProcessResult]
Metrics = dict[str, dict[str, Any]]

NONSENSE = "onzin-7c1"
MAY_BE_UNKNOWN = {key for key, kind in metric_types().items() if kind.may_be_unknown}
PATIENCE_SECONDS = 60


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that answers at once, and nonsense where a conversation asks for it."""

    def answer(messages: list[dict[str, Any]], _format: dict[str, Any] | None) -> str:
        return "no JSON" if NONSENSE in str(messages) else json.dumps(ANSWER)

    with running_server(
        tmp_path / "server", config=ServerConfig.instant(), answerer=answer
    ) as server:
        yield server


@pytest.fixture
def run(run_job: RunJob, database_url: str, api: RunningServer) -> Run:
    return partial(run_job, database_url, base_url=api.base_url)


def metrics_of(result: dg.ExecuteInProcessResult) -> Metrics:
    """What a run has reported, by asset; exactly one event for each of them."""
    events = result.asset_materializations_for_node("record_metrics")
    assert [event.asset_key.to_user_string() for event in events] == list(GROUPS)
    for event in events:
        plotted = with_former_keys(PLOTTED[event.asset_key.to_user_string()])
        assert set(plots_of(event.metadata)) <= set(plotted), "nothing else is a line"
    return {event.asset_key.to_user_string(): numbers_of(event.metadata) for event in events}


def companies(result: dg.ExecuteInProcessResult) -> list[Mapping[str, Any]]:
    (backlog, *_) = result.asset_materializations_for_node("record_metrics")
    table = backlog.metadata["companies"]
    assert isinstance(table, dg.TableMetadataValue)
    return [record.data for record in table.records]


def allowances(result: dg.ExecuteInProcessResult) -> list[Mapping[str, Any]]:
    (reliability,) = (
        event
        for event in result.asset_materializations_for_node("record_metrics")
        if event.asset_key.to_user_string() == "reliability"
    )
    table = reliability.metadata["allowances"]
    assert isinstance(table, dg.TableMetadataValue)
    return [record.data for record in table.records]


def flat(found: Metrics) -> dict[str, Any]:
    return {key: value for group in found.values() for key, value in group.items()}


def check_every_key(found: Metrics) -> None:
    for name, group in GROUPS.items():
        keys = {one.name for one in fields(group)}
        known = keys & set(found[name])
        assert keys - MAY_BE_UNKNOWN <= known
        assert set(found[name]) - set(with_former_keys(PLOTTED[name])) == known - set(PLOTTED[name])
        assert known <= set(found[name])


def rows(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT * FROM batch_assets.run_metric ORDER BY id"))
        return [dict(row._mapping) for row in found]


def sums_of_batches(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        return dict(
            connection.execute(
                text(
                    "SELECT sum(cost_eur) AS cost_eur,"
                    " sum(synchronous_cost_eur) AS synchronous_cost_eur,"
                    " sum(prompt_tokens)::bigint AS prompt_tokens,"
                    " sum(completion_tokens)::bigint AS completion_tokens,"
                    " sum(completed)::bigint AS completed_requests,"
                    " sum(failed)::bigint AS failed_requests"
                    " FROM batch_assets.batch"
                )
            )
            .one()
            ._mapping
        )


def costs_by_outcome(engine: Engine) -> dict[str, float]:
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT outcome, sum(cost_eur) AS cost FROM batch_assets.attempt GROUP BY outcome")
        )
        return {row.outcome: row.cost for row in found}


def test_each_asset_plots_few_of_its_figures() -> None:
    assert list(PLOTTED) == list(GROUPS)
    for name, group in GROUPS.items():
        assert set(PLOTTED[name]) <= {one.name for one in fields(group)}
        assert 3 <= len(set(PLOTTED[name])) <= 8


def test_idle_submitting_reading_and_idle_again(
    run: Run, engine: Engine, instance: dg.DagsterInstance
) -> None:
    idle = metrics_of(run())
    check_every_key(idle)
    assert {idle["throughput"][key] for key in ("submitted_requests", "completed_requests")} == {0}
    assert (idle["backlog"]["waiting_requests"], idle["money"]["cost_eur"]) == (0, 0)
    assert "turnaround_p50_seconds" not in idle["batch_turnaround"]

    nonsense, gone = bring_in(engine)
    check_submitted(run())
    delete_session_of(engine, gone)
    read = metrics_of(until(run, lambda found: found["throughput"]["finalized_batches"] == 1))
    check_read(read, engine)
    assert retried_or_dead(engine) == {nonsense}

    last_run = run()
    last = metrics_of(last_run)
    check_every_key(last)
    assert (last["money"]["cost_eur"], last["throughput"]["completed_requests"]) == (0, 0)
    assert last["money"]["day_cost_eur"] == pytest.approx(read["money"]["cost_eur"])
    assert last["backlog"]["waiting_requests"] == 3
    assert last["queries"]["query_statements"] > 0
    assert last["queries"]["optimized_operations"] == last["queries"]["query_operations"]

    kept = rows(engine)
    assert kept[-1]["run_id"] == last_run.run_id
    assert {key: kept[-1][key] for key in flat(last)} == flat(last)
    assert sum(row["cost_eur"] for row in kept) == pytest.approx(read["money"]["cost_eur"])
    records = instance.fetch_materializations(dg.AssetKey("money"), limit=20).records
    assert {row["run_id"] for row in kept} <= {record.run_id for record in records}


def bring_in(engine: Engine) -> tuple[str, str]:
    """Fourteen requests that are due and three that are not; one that fails, and one to delete."""
    with engine.begin() as connection:
        big = make_company(connection, name="Big")
        make_requests(connection, big, 12)
        (nonsense,) = make_requests(connection, big, 1, messages=[("user", NONSENSE)])
        (gone,) = make_requests(connection, big, 1)
        make_requests(connection, make_company(connection, name="Small"), 3)
    return nonsense, gone


def check_submitted(sent: dg.ExecuteInProcessResult) -> None:
    found = metrics_of(sent)
    check_every_key(found)
    assert found["throughput"]["submitted_requests"] == 14
    assert found["throughput"]["submit_seconds"] > 0
    backlog = found["backlog"]
    assert (backlog["waiting_requests"], backlog["waiting_companies"]) == (3, 1)
    assert (backlog["requests_in_batches"], backlog["batches_in_flight"]) == (14, 1)
    assert backlog["oldest_wait_seconds"] > 0
    table = {one["company"]: one for one in companies(sent)}
    of_batches, of_tokens = allowances(sent)
    assert (of_batches["what"], of_batches["in_use"], of_batches["left"]) == (
        "batches_an_hour",
        1,
        1_999,
    )
    assert (of_batches["source"], of_batches["possible_at"]) == ("first_guess", None)
    assert (of_tokens["model"], of_tokens["allowed"]) == ("gpt-4o-mini", None)
    assert of_tokens["in_use"] > 0
    assert list(table) == ["Small", "Big"]
    assert (table["Small"]["waiting_requests"], table["Big"]["requests_in_batches"]) == (3, 14)


def check_read(read: Metrics, engine: Engine) -> None:
    """Twelve analyses, one failure and one answer that nobody wants any more."""
    check_every_key(read)
    throughput, reliability, money = read["throughput"], read["reliability"], read["money"]
    assert (throughput["completed_requests"], throughput["failed_requests"]) == (12, 1)
    assert (reliability["transient_failures"], reliability["permanent_failures"]) == (1, 0)
    for key, value in sums_of_batches(engine).items():
        assert flat(read)[key] == pytest.approx(value), key
    spent = costs_by_outcome(engine)
    assert money["wasted_retries_eur"] == pytest.approx(spent["failed"])
    assert money["wasted_discarded_eur"] == pytest.approx(spent["discarded"])
    usable = money["cost_eur"] - money["wasted_retries_eur"] - money["wasted_discarded_eur"]
    assert money["saved_eur"] == pytest.approx(usable), "a batch costs half"
    assert money["day_cost_eur"] == pytest.approx(money["cost_eur"])
    assert 0 < money["wasted_retries_eur"] < money["cost_eur"]
    assert read["backlog"]["retry_requests"] + read["backlog"]["dead_letters"] == 1
    turnaround = read["batch_turnaround"]
    assert turnaround["turnaround_batches"] == 1
    assert turnaround["turnaround_p50_seconds"] == turnaround["turnaround_p99_seconds"] > 0


def delete_session_of(engine: Engine, request_id: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                'DELETE FROM "Session" WHERE id ='
                ' (SELECT "sessionId" FROM "AIProcessingRequest" WHERE id = :id)'
            ),
            {"id": request_id},
        )


def until(run: Run, is_it: Callable[[Metrics], bool]) -> dg.ExecuteInProcessResult:
    """Run the job until a run's metrics are those that are waited for."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        result = run()
        if is_it(metrics_of(result)):
            return result
    raise AssertionError("no run did what was waited for")


def retried_or_dead(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(
            connection.execute(
                text(
                    "SELECT request_id FROM batch_assets.retry"
                    " UNION SELECT request_id FROM batch_assets.dead_letter"
                )
            ).scalars()
        )


def test_a_run_that_fails_and_one_whose_backlog_is_not_known(
    run_job: RunJob, run: Run, database_url: str, engine: Engine, api: RunningServer
) -> None:
    refuse = {"operation": "files.create", "effect": {"kind": "answer", "status": 403}}
    api.set_config(ServerConfig.instant(calls=[refuse]))
    with engine.begin() as connection:
        make_requests(connection, make_company(connection), 10)
    refused = run(environ={"ENABLE_BATCH_OPTIMIZATION": "false"})
    assert failed_ops(refused) == {"submit_batches"}
    found = metrics_of(refused)
    check_every_key(found)
    assert found["throughput"]["submitted_requests"] == 0
    assert found["backlog"]["waiting_requests"] == 10
    assert found["reliability"]["returned_requests"] == 10
    assert found["throughput"]["submit_seconds"] > 0
    assert found["queries"]["optimized_operations"] == 0
    assert rows(engine)[-1]["mode"] == "false"

    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE batch_assets.intake RENAME TO intake_away"))
        connection.execute(
            text(
                "CREATE VIEW batch_assets.intake AS"
                " SELECT request_id, company_id, model, requested_at FROM batch_assets.intake_away"
                " WHERE 1 / (SELECT 0 * count(*) FROM batch_assets.provenance) = 1"
            )
        )
    unknown = run()
    assert "fetch_pending_requests" in failed_ops(unknown)
    found = metrics_of(unknown)
    check_every_key(found)
    assert not {"waiting_requests", "oldest_wait_seconds"} & set(found["backlog"])
    assert rows(engine)[-1]["waiting_requests"] is None
