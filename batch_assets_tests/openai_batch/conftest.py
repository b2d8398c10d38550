from collections.abc import Iterator

import pytest

from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets_tests.openai_batch.scripted_server import ScriptedServer, as_json

API_KEY = "sk-test-0123456789"


@pytest.fixture(scope="module")
def shared_api(listening_server: tuple[ScriptedServer, str]) -> Iterator[BatchApi]:
    timeouts = Timeouts(connect=5.0, read=10.0, create=10.0, upload=10.0)
    with BatchApi(API_KEY, listening_server[1], timeouts=timeouts) as client:
        yield client


@pytest.fixture
def server(listening_server: tuple[ScriptedServer, str]) -> ScriptedServer:
    server = listening_server[0]
    server.answer(as_json({}))
    return server


@pytest.fixture
def base_url(listening_server: tuple[ScriptedServer, str]) -> str:
    return listening_server[1]


@pytest.fixture
def api(server: ScriptedServer, shared_api: BatchApi) -> BatchApi:
    """A client of `server`, which answers nothing but `{}` until it is told to."""
    return shared_api
