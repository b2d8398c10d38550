"""Processes of `batch-assets dev` are killed while a run is under way, and work goes on."""

import random
from pathlib import Path

from batch_assets.wiring import PROJECT_DIR
from drills.dev import Dev
from drills.kills import LIMIT_SECONDS, SETTINGS, Drill

KILLS = (
    # Nobody is left who knows of the run; Dagster itself goes on.
    ["worker", "code"],
    # Whoever tends the database is gone, and the database.
    ["keeper", "postgres"],
    # As when the host goes down: it is started again.
    ["dev", "dagster", "front", "code", "webserver", "daemon", "worker", "keeper", "postgres"],
)


def test_work_goes_on_after_processes_were_killed(tmp_path: Path) -> None:
    said: list[str] = []
    dev = Dev(PROJECT_DIR, "kills-test", tmp_path / "output", SETTINGS)
    drill = Drill(dev, random.Random(1), said.append)
    try:
        drill.begin()
        assert all(drill.kill_once(roles) < LIMIT_SECONDS for roles in KILLS)
        drill.end()
    finally:
        drill.close()
        dev.stop()
    assert len(said) == len(KILLS)
