"""Everything that is kept of runs and grows with each, opened together."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from sqlalchemy import Engine

from batch_assets.resources.dagster_runs import DagsterRuns
from batch_assets.stages.prune import History
from batch_assets.store.engine import open_engine
from batch_assets.store.retention import DagsterEvents, Measurements
from batch_assets.wiring import Endpoints


@contextmanager
def open_history(
    engine: Engine, endpoints: Endpoints, instance: dg.DagsterInstance
) -> Iterator[History]:
    """Ours on `engine`, and Dagster's, which may be in another database, until the context ends."""
    dagster_engine = open_engine(endpoints.dagster_database_url)
    try:
        yield History(
            measurements=Measurements(engine),
            events=DagsterEvents(dagster_engine),
            runs=DagsterRuns(instance),
            spool_dir=endpoints.spool_dir,
        )
    finally:
        dagster_engine.dispose()
