"""What a run's tags say: that it runs alone, and in which process; the UI hides the latter."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from batch_assets.domain.hosts import WATCHED_TAG, ProcessName, RunProcess

EXCLUSIVE: Final[Mapping[str, str]] = {"batch_assets/exclusive": "batch_processing_job"}
"""Tags a run that submits: `dagster.yaml` lets one of them start at a time, of whichever job."""
WATCHED: Final[Mapping[str, str]] = {WATCHED_TAG: "true"}
"""Tags a job whose runs have a heartbeat: one that is never heard of is dead."""
_PROCESS: Final = ".dagster/batch_assets_process"
_PARENT: Final = "dagster/parent_run_id"


def is_watched(run: dg.DagsterRun) -> bool:
    """Whether a run lets itself be heard of, if it lives."""
    return WATCHED.items() <= run.tags.items()


def tags_of(name: ProcessName, run_id: str = "") -> Mapping[str, str]:
    """The tags of a run that begins in a process now; the id is not known before there is a run."""
    return {_PROCESS: json.dumps(asdict(name) | {"began_at": time.time(), "run_id": run_id})}


def first_process_of(run: dg.DagsterRun) -> RunProcess | None:
    """The process in which a run began, as if it was last heard of then; `None` if nobody knows.

    Dagster gives a run that is executed again the tags of the one before, whose process is dead.
    """
    told = run.tags.get(_PROCESS)
    if told is None:
        return None
    name = json.loads(told)
    began_at, run_id = name.pop("began_at"), name.pop("run_id", "")
    if run_id != run.run_id if run_id else run.tags.get(_PARENT):
        return None
    return RunProcess(
        ProcessName(**name),
        beat_at=datetime.fromtimestamp(began_at, UTC),
        silent_seconds=time.time() - began_at,
        has_ended=False,
    )
