"""The drill that mostly waits goes on beside the others."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_assets_local import stack
from batch_assets_tests.cli.conftest import copy_project
from batch_assets_tests.drills.played import DEV_STACK
from batch_assets_tests.drills.playing import begin, end

KILLS = Path(__file__).with_name("test_kills.py")


@pytest.fixture(scope="session")
def killing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["subprocess.Popen[str] | None"]:
    """The kills, in a process of their own; `None` if their tests are not to run.

    They are played in a copy of the project that nothing was done in before.
    """
    if all(item.path != KILLS for item in request.session.items):
        yield None
        return
    place = tmp_path_factory.mktemp("kills")
    copy = copy_project(place, "drills", "batch_assets_tests")
    process = begin("kills", place, copy)
    yield process
    end(process)
    stack.reset(copy, name=DEV_STACK)
