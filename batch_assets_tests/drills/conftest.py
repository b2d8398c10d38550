"""The drill that mostly waits goes on beside the others."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_assets_tests.drills.playing import begin, end

KILLS = Path(__file__).with_name("test_kills.py")


@pytest.fixture(scope="session")
def killing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["subprocess.Popen[str] | None"]:
    """The kills, in a process of their own; `None` if their test is not to run."""
    if all(item.path != KILLS for item in request.session.items):
        yield None
        return
    process = begin("kills", tmp_path_factory.mktemp("kills"))
    yield process
    end(process)
