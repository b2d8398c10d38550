"""What a person reads of a run: one line an op, tags in the list, batches with their runs."""

import time

import dagster as dg
import pytest
from sqlalchemy import Engine

from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import everything_stored, metadata_of
from batch_assets_tests.factories import make_company, make_requests

NAME = "Zorggroep Oost"
CANARY = "canary-51f0"


def lines_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, list[str]]:
    """What each op has logged."""
    records = instance.get_records_for_run(run_id, limit=10_000).records
    said: dict[str, list[str]] = {}
    for entry in (record.event_log_entry for record in records):
        if entry.dagster_event is None:
            said.setdefault(str(entry.step_key), []).append(entry.user_message)
    return said


def tags_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    hidden = "dagster/", ".dagster/"  # the list of runs shows none of these beside a run
    shown = {name: value for name, value in run.tags.items() if not name.startswith(hidden)}
    return {name.removeprefix("batch_assets/"): value for name, value in shown.items()}


def records_of(value: object) -> list[dict[str, object]]:
    assert isinstance(value, dg.TableMetadataValue)
    return [dict(record.data) for record in value.records]


def test_a_run_says_in_a_line_an_op_what_it_did_and_is_tagged_with_it(
    run_job: RunJob,
    database_url: str,
    engine: Engine,
    api: RunningServer,
    instance: dg.DagsterInstance,
) -> None:
    with engine.begin() as connection:
        company_id = make_company(connection, name=NAME)
        make_requests(connection, company_id, 12, messages=[("user", CANARY)])
        make_requests(connection, make_company(connection, name="Too few"), 3)

    first = run_job(database_url, base_url=api.base_url)
    assert first.success
    said = lines_of(instance, first.run_id)
    assert {len(lines) for lines in said.values()} == {1}
    assert len(said) == 8, "one line for each op"
    assert said["fetch_pending_requests"][0].startswith(
        "15 requests wait for 2 companies, the oldest for "
    )
    assert said["fetch_pending_requests"][0].endswith(
        "due are 12 of 1 company. 1 other company has fewer than 10 requests, none of them 30 min "
        "old."
    )
    assert said["submit_batches"][0].startswith("Sent 12 requests of 1 company in 1 batch: about")
    assert tags_of(instance, first.run_id) == {"requests": "12", "results": "0"}
    closed = metadata_of(first, "check_row_conservation")
    assert (closed["mode"], closed["companies"]) == ("true", 1)
    sent = metadata_of(first, "submit_batches")
    (line,) = records_of(sent["batches_sent"])
    assert (line["company"], line["requests"], line["state"]) == (NAME, 12, "submitted")
    assert line["sent_by_run"] == first.run_id

    last = _run_until_read(run_job, database_url, api, instance)
    assert (
        "Read 1 batch to the end: 12 complete. They cost "
        in (lines_of(instance, last.run_id)["ingest_results"][0])
    )
    assert tags_of(instance, last.run_id)["results"] == "12"
    read = metadata_of(last, "ingest_results")
    (line,) = records_of(read["batches_read"])
    assert (line["company"], line["state"]) == (NAME, "finalized, completed")
    assert read["sent_by_run"] == first.run_id
    for run in (first, last):
        assert CANARY not in everything_stored(instance, run.run_id)


def _run_until_read(
    run_job: RunJob, url: str, api: RunningServer, instance: dg.DagsterInstance
) -> dg.ExecuteInProcessResult:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        result = run_job(url, base_url=api.base_url)
        if tags_of(instance, result.run_id)["results"] != "0":
            return result
    pytest.fail("the results are not read")
