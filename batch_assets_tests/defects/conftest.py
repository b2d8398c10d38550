"""What the defects are looked for on: a database, a server and the SDK for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from sqlalchemy import Engine

from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import choose_queries
from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.defects.world import World
from batch_assets_tests.one_database import empty, one_database
from batch_assets_tests.one_server import empty_server
from batch_assets_tests.stages.support import API_KEY, QUICK, Lab, answer
from batch_assets_tests.store.queries.support import Desk


@pytest.fixture(scope="package")
def package_engine(databases: TestDatabases) -> Iterator[Engine]:
    with one_database(databases) as opened:
        yield opened


@pytest.fixture(scope="package")
def package_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    state_dir = tmp_path_factory.mktemp("batch-server") / "state"
    with running_server(state_dir, config=ServerConfig.instant(), answerer=answer) as running:
        yield running


@pytest.fixture(scope="package")
def api(package_server: RunningServer) -> Iterator[BatchApi]:
    """One client for all: making the SDK's own takes longer than most of these tests."""
    timeouts = Timeouts(connect=5, read=10, create=10, upload=20)
    with BatchApi(API_KEY, package_server.base_url, timeouts=timeouts) as client:
        yield client


@pytest.fixture(scope="package")
def client(package_server: RunningServer) -> Iterator[OpenAI]:
    with OpenAI(api_key=API_KEY, base_url=package_server.base_url) as opened:
        yield opened


@pytest.fixture(params=["optimized", "original", "replaced"])
def side(request: pytest.FixtureRequest) -> str:
    """Ours in both of its forms, for which a check has to hold; or the one that has to fail it."""
    return str(request.param)


@pytest.fixture
def lab(
    side: str, package_engine: Engine, package_server: RunningServer, api: BatchApi, tmp_path: Path
) -> Lab:
    """Our pipeline on an empty database and a server with nothing that waits or fails."""
    empty(package_engine)
    empty_server(package_server)
    queries = choose_queries(package_engine, optimized=side != "original")
    pipeline = Pipeline(
        queries=queries,
        registry=Registry(package_engine, external_quiet_seconds=900),
        api=api,
        policy=QUICK,
        spool_dir=tmp_path / "spool",
        owner="host:1",
        run_id="run-1",
    )
    return Lab(pipeline, package_server, Desk(package_engine, queries))


@pytest.fixture
def world(side: str, lab: Lab, client: OpenAI) -> World:
    """The same scene for both systems."""
    return World(lab, is_ours=side != "replaced", client=client)
