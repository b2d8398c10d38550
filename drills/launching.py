"""Starts a run of Dagster's job as a process of its own, with the drill's points in it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from batch_assets.domain.policy import Policy
from batch_assets.project_files import PROJECT_DIR
from batch_assets.wiring import local_environment
from drills.points import Strike
from drills.story import Story

if TYPE_CHECKING:
    from drills.run import Scene

ORDER: Final = "DRILL_ORDER"
"""The variable that tells the launched process what to do."""


def launch_run(story: Story, scene: "Scene", pipe: int, strikes: Sequence[Strike]) -> int:
    """Begin `batch-assets run`; the id of its process, which tells its points on `pipe`."""
    order = {
        "pipe": pipe,
        "database_url": scene.world.url,
        "server_pid": scene.server_pid,
        "strikes": [asdict(strike) for strike in strikes],
        "policy": TypeAdapter(Policy).dump_python(story.policy, mode="json"),
    }
    environment = {
        **local_environment(),
        "DATABASE_URL": scene.world.url,
        "OPENAI_API_KEY": "sk-drill-0123456789",
        "OPENAI_BASE_URL": scene.base_url,
        "BATCH_SPOOL_DIR": str(scene.spool_dir),
        "COMPANY_CACHE_SECONDS": "0",
        "ENABLE_BATCH_OPTIMIZATION": "optimized" if story.mode == "optimized" else "false",
        ORDER: json.dumps(order),
    }
    # `connect` would prefer a local stack that is asked for by name.
    environment.pop("BATCH_LOCAL_STACK", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "drills.launched"],
        cwd=PROJECT_DIR,
        env=environment,
        pass_fds=[pipe],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # It is waited for by its id, like every other run.
    process.returncode = 0
    return process.pid
