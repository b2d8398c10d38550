"""The op that stores which implementation of the database operations runs use."""

from typing import Literal

import dagster as dg
from pydantic import Field

from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, show, tag_run, who
from batch_assets.resources.database import DatabaseResource
from batch_assets.resources.wiring import WiringResource
from batch_assets.stages.controls.query_mode import choose_mode
from batch_assets.store.strategy import StoredModes

Mode = Literal["environment", "true", "false", "optimized", "auto", "original"]


class ModeConfig(dg.Config):
    """What runs use from the next one on."""

    mode: Mode = Field(
        description='"true" (or auto): the optimized queries while they are faster and succeed. '
        '"false" (or original): the original queries. optimized: the optimized queries, always. '
        "environment: take the choice back, so that ENABLE_BATCH_OPTIMIZATION says again. true and "
        "false need their quotes. The results are the same."
    )


@dg.op(out=dg.Out(str, description="The mode of the next run."))
@clear_failures()
def choose_query_mode(
    context: dg.OpExecutionContext,
    config: ModeConfig,
    database: dg.ResourceParam[DatabaseResource],
    wiring: dg.ResourceParam[WiringResource],
) -> str:
    """Keep a choice in the database that goes before the environment until it is taken back.

    A run that is under way keeps its mode; one that is told otherwise in the Launchpad keeps to
    that.
    """
    environment = wiring.settings.toggle().mode
    report = choose_mode(StoredModes(database.engine), environment, config.mode, who(context))
    log_of(context).info(report.sentence)
    show(
        context,
        {
            "mode": report.mode.value,
            "mode_before": (report.before.mode if report.before else environment).value,
            "is_stored": report.now is not None,
            "environment": environment.value,
        },
    )
    tag_run(context, {"mode": report.mode.value})
    return report.mode.value
