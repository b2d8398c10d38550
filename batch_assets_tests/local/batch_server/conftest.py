from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from batch_assets_local.batch_server import ServerConfig, running_server
from batch_assets_tests.local.batch_server.support import Lab, echo


@pytest.fixture(scope="module")
def module_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server for a module: what a test finds there may be another test's."""
    state_dir = tmp_path_factory.mktemp("batch-server") / "state"
    with (
        running_server(state_dir, config=ServerConfig.instant(), answerer=echo) as server,
        OpenAI(api_key="local", base_url=server.base_url, max_retries=0) as client,
    ):
        yield Lab(server, client)


@pytest.fixture
def lab(module_lab: Lab) -> Lab:
    """The module's server with its configuration as new: nothing waits, nothing fails."""
    module_lab.configure()
    return module_lab


@pytest.fixture
def fresh_lab(tmp_path: Path) -> Iterator[Lab]:
    """A server of the test's own, with empty state."""
    with (
        running_server(tmp_path / "state", config=ServerConfig.instant(), answerer=echo) as server,
        OpenAI(api_key="local", base_url=server.base_url, max_retries=0) as client,
    ):
        yield Lab(server, client)
