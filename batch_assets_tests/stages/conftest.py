"""What the tests of the stages stand on: a database, a server, the SDK, and small numbers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import choose_queries
from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.moves import (
    ALLOWED_OF_BATCHES,
    ALLOWED_OF_REQUESTS,
    forget_moves,
    seen_moves,
    watch_moves,
)
from batch_assets_tests.one_database import empty, one_database
from batch_assets_tests.one_server import empty_server
from batch_assets_tests.stages.support import API_KEY, QUICK, Lab, answer
from batch_assets_tests.store.queries.support import Desk


@pytest.fixture(scope="module")
def module_engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        watch_moves(opened)
        yield opened


@pytest.fixture
def engine(module_engine: Engine) -> Iterator[Engine]:
    """An engine on the module's database, which is empty; only allowed moves are made on it."""
    empty(module_engine)
    forget_moves(module_engine)
    yield module_engine
    assert seen_moves(module_engine, "request") <= ALLOWED_OF_REQUESTS
    assert seen_moves(module_engine, "batch") <= ALLOWED_OF_BATCHES


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    state_dir = tmp_path_factory.mktemp("batch-server") / "state"
    with running_server(state_dir, config=ServerConfig.instant(), answerer=answer) as running:
        yield running


@pytest.fixture
def server(module_server: RunningServer) -> RunningServer:
    """The module's server with nothing on it, and nothing that waits or fails."""
    empty_server(module_server)
    return module_server


@pytest.fixture(scope="module")
def api(module_server: RunningServer) -> Iterator[BatchApi]:
    """One client for a module: making the SDK's own takes longer than most of these tests."""
    timeouts = Timeouts(connect=5, read=10, create=10, upload=20)
    with BatchApi(API_KEY, module_server.base_url, timeouts=timeouts) as client:
        yield client


@pytest.fixture(params=["optimized", "original"])
def pipeline(
    request: pytest.FixtureRequest, engine: Engine, api: BatchApi, tmp_path: Path
) -> Pipeline:
    return Pipeline(
        queries=choose_queries(engine, optimized=request.param == "optimized"),
        registry=Registry(engine, external_quiet_seconds=900),
        api=api,
        policy=QUICK,
        spool_dir=tmp_path / "spool",
        owner="host:1",
        run_id="run-1",
    )


@pytest.fixture
def lab(pipeline: Pipeline, server: RunningServer, engine: Engine) -> Lab:
    return Lab(pipeline, server, Desk(engine, pipeline.queries))
