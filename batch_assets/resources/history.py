"""Everything that is kept of runs and grows with each: our measurements, and Dagster's history."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import dagster as dg
from sqlalchemy import Engine

from batch_assets.stages.prune import History
from batch_assets.store.daily_costs import DailyCosts
from batch_assets.store.engine import open_engine
from batch_assets.store.retention import DagsterEvents, Measurements
from batch_assets.wiring import Endpoints

ENDED: Final = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
"""Every other status is that of a run which is active, or will be."""


class DagsterRuns:
    """Counts and deletes ended runs. One that has an asset's latest materialization stays.

    A run's files are those under Dagster's directory on this host: op outputs and captured logs.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def count(self, before: datetime) -> int:
        """How many runs have ended before this moment and may go."""
        kept = self._kept()
        ended = _ended(before)
        held = [run for run in kept if self._has_ended_before(run, before)]
        return self._instance.get_runs_count(ended) - len(held)

    def delete(self, before: datetime, limit: int) -> int:
        """Delete at most `limit` of them, the oldest first; how many. A run goes whole."""
        kept = self._kept()
        records = self._instance.get_run_records(
            _ended(before), limit=limit + len(kept), ascending=True
        )
        run_ids = [one.dagster_run.run_id for one in records]
        old = [run_id for run_id in run_ids if run_id not in kept][:limit]
        for run_id in old:
            self._instance.delete_run(run_id)
            self._delete_files(run_id)
        return len(old)

    def _kept(self) -> set[str]:
        """Runs that the Catalog shows something of: what an asset looks like now."""
        latest = [
            self._instance.get_latest_materialization_event(key)
            for key in self._instance.get_asset_keys()
        ]
        return {event.run_id for event in latest if event is not None and event.run_id}

    def _has_ended_before(self, run_id: str, before: datetime) -> bool:
        found = self._instance.get_runs_count(
            dg.RunsFilter(run_ids=[run_id], statuses=ENDED, updated_before=before)
        )
        return bool(found)

    def _delete_files(self, run_id: str) -> None:
        self._instance.compute_log_manager.delete_logs(prefix=[run_id])
        with suppress(FileNotFoundError):
            shutil.rmtree(Path(self._instance.storage_directory(), run_id))


def _ended(before: datetime) -> dg.RunsFilter:
    return dg.RunsFilter(statuses=ENDED, updated_before=before)


@contextmanager
def open_history(
    engine: Engine, endpoints: Endpoints, instance: dg.DagsterInstance
) -> Iterator[History]:
    """Ours on `engine`, and Dagster's, which may be in another database, until the context ends."""
    dagster_engine = open_engine(endpoints.dagster_database_url)
    try:
        yield History(
            measurements=Measurements(engine),
            daily_costs=DailyCosts(engine),
            events=DagsterEvents(dagster_engine),
            runs=DagsterRuns(instance),
            spool_dir=endpoints.spool_dir,
        )
    finally:
        dagster_engine.dispose()
