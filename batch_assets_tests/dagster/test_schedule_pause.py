"""The schedule rests after failed runs, says so in and outside Dagster, and goes on by itself."""

import dataclasses
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine

from batch_assets.store.pauses import Pauses
from batch_assets_tests.dagster.test_schedules import tick

JOB = "batch_processing_job"
End = Callable[..., None]


@pytest.fixture(autouse=True)
def configured(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("BATCH_PAUSE_AFTER_FAILED_RUNS", "3")


@pytest.fixture
def pauses(engine: Engine) -> Pauses:
    return Pauses(engine)


@pytest.fixture
def end_runs(instance: dg.DagsterInstance) -> Iterator[End]:
    """Makes runs of the job that have ended: failed, unless they are to have ended otherwise."""

    def end(times: int, status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE) -> None:
        for _ in range(times):
            instance.add_run(dg.DagsterRun(job_name=JOB, status=status, run_id=str(uuid.uuid4())))

    yield end
    # Deleting runs would take longer than all the rest.
    end(2, dg.DagsterRunStatus.SUCCESS)


def skip_message(instance: dg.DagsterInstance) -> str:
    skipped = tick(instance)
    assert isinstance(skipped, dg.SkipReason)
    return str(skipped.skip_message)


def starts_a_run(instance: dg.DagsterInstance) -> bool:
    return isinstance(tick(instance), dg.RunRequest)


def test_failed_runs_in_a_row_pause_it(
    instance: dg.DagsterInstance, end_runs: End, pauses: Pauses
) -> None:
    end_runs(2)
    assert starts_a_run(instance)
    assert pauses.scheduler().until is None
    end_runs(1)
    said = skip_message(instance)
    kept = pauses.scheduler()
    assert kept.until is not None
    assert kept.until == pytest.approx(
        datetime.now(UTC) + timedelta(minutes=30), abs=timedelta(minutes=1)
    )
    assert kept.failed_runs == 3
    until = kept.until.astimezone(UTC)
    assert said == (
        f"The last 3 runs have failed: no run is started before {until:%Y-%m-%d %H:%M} UTC, then a "
        "single one. Their pages say why; `batch-assets reset` lets the schedule go on at once."
    )


def test_a_trial_run_that_fails_doubles_it(
    instance: dg.DagsterInstance,
    end_runs: End,
    pauses: Pauses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end_runs(3)
    with monkeypatch.context() as patch:
        patch.setenv("BATCH_PAUSE_MINUTES", "0.000001")
        assert starts_a_run(instance)
    end_runs(1)
    assert skip_message(instance).startswith("The last 4 runs have failed")
    kept = pauses.scheduler().until
    assert kept is not None
    assert kept == pytest.approx(
        datetime.now(UTC) + timedelta(minutes=60), abs=timedelta(minutes=1)
    )


def test_a_run_that_succeeds_ends_it(
    instance: dg.DagsterInstance, end_runs: End, pauses: Pauses
) -> None:
    end_runs(3)
    skip_message(instance)
    end_runs(1, dg.DagsterRunStatus.SUCCESS)
    assert starts_a_run(instance)
    assert pauses.scheduler().until is None
    end_runs(2)
    assert starts_a_run(instance)


def test_a_cancelled_run_changes_nothing(instance: dg.DagsterInstance, end_runs: End) -> None:
    end_runs(3)
    end_runs(1, dg.DagsterRunStatus.CANCELED)
    assert skip_message(instance).startswith("The last 3 runs have failed")


def test_a_reset_ends_it_and_older_failures_count_no_more(
    instance: dg.DagsterInstance, end_runs: End, pauses: Pauses
) -> None:
    end_runs(4)
    skip_message(instance)
    assert pauses.reset_scheduler("the tests")
    assert not pauses.reset_scheduler("the tests")
    assert starts_a_run(instance)
    # As Dagster ends them: to the microsecond.
    for _ in range(3):
        assert starts_a_run(instance)
        run = dg.DagsterRun(job_name=JOB, run_id=str(uuid.uuid4()))
        instance.report_run_failed(instance.add_run(run))
    assert skip_message(instance).startswith("The last 3 runs have failed")


def test_many_failures_are_not_counted_to_their_end(
    instance: dg.DagsterInstance, end_runs: End
) -> None:
    end_runs(9)
    assert skip_message(instance).startswith("At least the last 6 runs have failed")


def test_without_the_database_the_run_says_what_is_wrong(
    instance: dg.DagsterInstance, end_runs: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_runs(3)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    assert starts_a_run(instance)


def test_a_tick_without_failures_asks_our_database_nothing(
    instance: dg.DagsterInstance, end_runs: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_runs(1, dg.DagsterRunStatus.SUCCESS)
    end_runs(2)
    monkeypatch.setenv("DATABASE_URL", "no URL at all")
    assert starts_a_run(instance)


def test_a_tick_that_was_overtaken_by_a_reset_shows_no_pause(pauses: Pauses) -> None:
    seen = pauses.scheduler()
    pauses.reset_scheduler("the tests")
    soon = datetime.now(UTC) + timedelta(hours=1)
    pauses.pause_scheduler(dataclasses.replace(seen, failed_runs=3, until=soon, reason="r"))
    assert pauses.scheduler().until is None
