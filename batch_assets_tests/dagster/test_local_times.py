"""What Dagster kept in local time, before our sessions were in UTC, misleads no rule of ours."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from sqlalchemy import Engine

from batch_assets.cli.dagster_instance import active_run
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.resources.history import DagsterRuns
from batch_assets.resources.run_executor import EXCLUSIVE, WATCHED
from batch_assets.resources.run_launcher import RunWatch
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.engine import open_engine
from batch_assets.store.retention import DagsterEvents
from batch_assets.store.runs import RunProcesses
from batch_assets.store.urls import dagster_url
from batch_assets.ticks.starting import InstanceRuns
from batch_assets_tests.databases import TestDatabases

_PLACE = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("batch_assets"), "__repository__")
QUEUED = dg.DagsterRun(
    job_name="other",
    status=dg.DagsterRunStatus.QUEUED,
    tags=dict(EXCLUSIVE),
    remote_job_origin=RemoteJobOrigin(_PLACE, "other"),
)
LOST = dg.DagsterRun(job_name="other", tags=dict(WATCHED))
"""Of which nothing was heard since it was made."""
ZONES = {"UTC+2": "Etc/GMT-2", "UTC-8": "Etc/GMT+8"}
OFF = {"UTC+2": timedelta(hours=2), "UTC-8": timedelta(hours=-8)}
_AGO = """
    UPDATE dagster.runs
    SET create_timestamp = create_timestamp - %(by)s::interval,
        update_timestamp = update_timestamp - %(by)s::interval,
        start_time = start_time - extract(epoch FROM %(by)s::interval),
        end_time = end_time - extract(epoch FROM %(by)s::interval);
    UPDATE dagster.event_logs SET timestamp = timestamp - %(by)s::interval;
    UPDATE dagster.asset_check_executions
    SET create_timestamp = create_timestamp - %(by)s::interval
"""


@dg.op
def report(context: dg.OpExecutionContext) -> None:
    context.log_event(
        dg.AssetCheckEvaluation(asset_key=dg.AssetKey("audit"), check_name="held", passed=True)  # type: ignore[arg-type] # Dagster takes it
    )


@dg.job
def the_job() -> None:
    report()


@dataclass
class Past:
    """Runs of the past, as a session in another zone has kept them; and Dagster of today."""

    url: str
    off: timedelta
    ended_at: datetime
    instance: dg.DagsterInstance

    def ago(self, hours: int) -> None:
        """Let all of it have been so many hours ago."""
        by = timedelta(hours=hours)
        with psycopg.connect(self.url) as connection:
            for statement in _AGO.split(";"):
                connection.execute(statement.encode(), {"by": by})
        self.ended_at -= by


def instance_on(url: str) -> dict[str, object]:
    return {"storage": {"postgres": {"postgres_url": url}}}


@pytest.fixture(params=ZONES)
def past(
    request: pytest.FixtureRequest, databases: TestDatabases, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Past]:
    url = databases.clone_migrated()
    create_dagster_schema(url)
    # libpq's own variable, which goes before what is given at login.
    monkeypatch.setenv("PGTZ", ZONES[request.param])
    with dg.instance_for_test(overrides=instance_on(dagster_url(url))) as instance:
        for _ in range(2):
            assert the_job.execute_in_process(instance=instance).success
        ended_at = datetime.now(UTC)
        instance.add_run(QUEUED)
        instance.add_run(LOST)
    monkeypatch.setenv("PGTZ", "UTC")
    with dg.instance_for_test(overrides=instance_on(dagster_url(url))) as instance:
        made = Past(url, OFF[request.param], ended_at, instance)
        (kept,) = instance.get_run_records(limit=1)
        assert abs(kept.create_timestamp - ended_at - made.off) < timedelta(minutes=2)
        yield made
    databases.drop(url)


@pytest.fixture
def engine(past: Past) -> Iterator[Engine]:
    opened = open_engine(past.url)
    yield opened
    opened.dispose()


def nothing_seen() -> RunProcesses:
    raise BatchAssetsError("not now")


def test_a_run_of_yesterday_is_one_for_every_rule(past: Past, engine: Engine) -> None:
    instance, watch = past.instance, RunWatch(lambda: RunProcesses(engine))
    past.ago(1)
    active = InstanceRuns(instance, "other", RunWatch(nothing_seen)).active()
    assert active is not None
    assert active.since <= datetime.now(UTC), "no run began in the future"
    assert active_run(instance) is None, "it has been queued for an hour"

    past.ago(23)
    now = datetime.now(UTC)
    (decided,) = InstanceRuns(instance, "the_job").decided(1)
    assert abs(decided.ended_at - past.ended_at) < timedelta(minutes=1)
    active = InstanceRuns(instance, "other", watch).active()
    assert (lost := instance.get_run_by_id(LOST.run_id)) is not None
    assert lost.status is dg.DagsterRunStatus.FAILURE, "it was given up, and blocks nothing"
    assert active is not None
    assert active.id == QUEUED.run_id
    assert abs(now - active.since - timedelta(hours=24) + past.off) < timedelta(minutes=2)
    assert active_run(instance) is None, "it has been queued for a day"
    counts = {
        hours: (
            DagsterRuns(instance).count(now - timedelta(hours=hours)),
            DagsterEvents(engine).count("evaluations", now - timedelta(hours=hours)),
        )
        for hours in (33, 15)
    }
    assert counts == {33: (0, 0), 15: (2, 1)}, "pruned hours early or late, as the docs say"
