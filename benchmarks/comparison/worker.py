"""One stage without Dagster, for a process of its own."""

import batch_assets.openai_batch.connections  # noqa: F401 (loads the SDK, which is not measured)
from benchmarks.comparison.api_server import let_batches_end
from benchmarks.comparison.opening import Environment, open_pipeline
from benchmarks.comparison.stages import STEPS
from benchmarks.comparison.usage import Meter, Usage


def run_stage(stage: str, environ: Environment) -> Usage:
    """Run one stage. Before each of its steps the server ends its batches, unmeasured."""
    meter = Meter(environ["OPENAI_BASE_URL"])
    with open_pipeline(environ) as (pipeline, budget):
        for step in STEPS[stage]:
            let_batches_end(environ["OPENAI_BASE_URL"])
            with meter.running():
                step(pipeline, budget)
    return meter.usage()
