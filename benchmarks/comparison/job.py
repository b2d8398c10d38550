"""Dagster's job as a run of it is, in a process of its own."""

import os
from pathlib import Path
from typing import Any, Final

import dagster as dg

import batch_assets.openai_batch.connections  # noqa: F401 (loads the SDK, which is not measured)
from batch_assets.cli import run as command
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.settings import setting_names
from benchmarks.comparison.api_server import let_batches_end
from benchmarks.comparison.opening import Environment
from benchmarks.comparison.usage import Meter, Usage

_OVERRIDES: Final[dict[str, Any]] = {
    "storage": {
        "custom": {
            "module": "batch_assets.resources.dagster_storage",
            "class": "WiredPostgresStorage",
        }
    },
    "python_logs": {
        "managed_python_loggers": ["batch_assets.stages"],
        "python_log_level": "INFO",
    },
}
"""What `dagster.yaml` says, but with its files in a directory of the benchmark's."""


def run_job(home: Path, environ: Environment) -> Usage:
    """Run the job once, Dagster's own work included; the server has ended its batches before.

    Raises `BatchAssetsError` if an op fails.
    """
    for name in setting_names():
        os.environ.pop(name, None)
    os.environ.update(environ)
    meter = Meter(environ["OPENAI_BASE_URL"])
    with dg.instance_for_test(overrides=_OVERRIDES, temp_dir=str(home)) as instance:
        let_batches_end(environ["OPENAI_BASE_URL"])
        with meter.running():
            run = command.run_job(instance)
    if run.failures:
        raise BatchAssetsError(f"The job failed: {run.failures}")
    return meter.usage()
