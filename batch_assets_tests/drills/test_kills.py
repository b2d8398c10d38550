"""`batch-assets dev`: it starts everything, work goes on after kills, and nothing is left of it.

In a copy of the project that nothing was done in before, and of which the path has spaces.
"""

import json
import subprocess
from typing import Any

import pytest

from batch_assets_tests.drills.playing import SECONDS
from drills.kills import LIMIT_SECONDS

pytestmark = pytest.mark.xdist_group("drills")


@pytest.fixture(scope="module")
def told(killing: "subprocess.Popen[str]") -> dict[str, Any]:
    """What the process says that has played it."""
    said, errors = killing.communicate(timeout=SECONDS)
    assert killing.returncode == 0, said + errors
    return dict(json.loads(said))


def test_it_starts_everything_and_ends_everything(told: dict[str, Any]) -> None:
    assert told["starters"] == {
        "schedulesOrError": {
            "results": [
                {"name": name, "scheduleState": {"status": "RUNNING"}}
                for name in (
                    "audit_schedule",
                    "batch_processing_schedule",
                    "flex_schedule",
                    "prune_schedule",
                    "report_schedule",
                )
            ]
        },
        "sensorsOrError": {
            "results": [
                {"name": name, "sensorState": {"status": "RUNNING"}}
                for name in ("backlog_sensor", "completion_sensor", "failure_sensor")
            ]
        },
    }
    assert told["at_work"] > 3
    assert (told["exit_code"], told["left"]) == (0, 0)
    assert "Everything has ended." in told["said"]


def test_work_goes_on_after_processes_were_killed(told: dict[str, Any]) -> None:
    seconds = told["seconds"]
    assert len(seconds) == 3
    assert max(seconds) < LIMIT_SECONDS
