"""Processes of `batch-assets dev` are killed while a run is under way, and work goes on."""

import json
import subprocess

import pytest

from batch_assets_tests.drills.playing import SECONDS
from drills.kills import LIMIT_SECONDS

pytestmark = pytest.mark.xdist_group("drills")


def test_work_goes_on_after_processes_were_killed(killing: "subprocess.Popen[str]") -> None:
    said, errors = killing.communicate(timeout=SECONDS)
    assert killing.returncode == 0, said + errors
    seconds = json.loads(said)
    assert len(seconds) == 3
    assert max(seconds) < LIMIT_SECONDS
