"""The pipeline as a run has it, without Dagster, from the environment that the job would have."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batch_assets.openai_batch.client import BatchApi
from batch_assets.settings import load_settings
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.store.engine import open_engine
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import Strategy
from batch_assets.wiring import connect

if TYPE_CHECKING:
    from benchmarks.comparison.databases import Clone

API_KEY = "sk-benchmark"

Environment = Mapping[str, str]

ORIGINAL: Final = {"ENABLE_BATCH_OPTIMIZATION": "false"}
OPTIMIZED: Final = {"ENABLE_BATCH_OPTIMIZATION": "optimized"}
IMPLEMENTATIONS: Final = {"original": ORIGINAL, "optimized": OPTIMIZED}


def environment(clone: "Clone", base_url: str, spool_dir: Path, implementation: str) -> Environment:
    """The settings of a run on a clone: for the stages and for the job alike."""
    return {
        **clone.size.settings(),
        "DATABASE_URL": clone.url,
        "DAGSTER_DATABASE_URL": clone.dagster_url,
        "OPENAI_API_KEY": API_KEY,
        "OPENAI_BASE_URL": base_url,
        "BATCH_SPOOL_DIR": str(spool_dir),
        **IMPLEMENTATIONS[implementation],
    }


@contextmanager
def open_pipeline(environ: Environment) -> Iterator[tuple[Pipeline, Budget]]:
    """A pipeline that has not connected yet, and a budget for all that it has to do."""
    settings = load_settings(environ)
    endpoints = connect(settings)
    policy = settings.policy()
    engine = open_engine(endpoints.database_url)
    api = BatchApi(endpoints.api_key, endpoints.base_url)
    strategy = Strategy(engine, settings.toggle())
    try:
        yield (
            Pipeline(
                queries=strategy.queries,
                registry=Registry(engine, policy.external_quiet_seconds),
                api=api,
                policy=policy,
                spool_dir=endpoints.spool_dir,
                owner=f"{socket.gethostname()}:{os.getpid()}:benchmark",
                run_id="benchmark",
            ),
            Budget(seconds=policy.op_seconds, rows=policy.rows_per_run),
        )
        strategy.flush()
    finally:
        api.close()
        engine.dispose()
