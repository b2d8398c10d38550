"""What every test may ask for: databases of its own, and an environment that configures nothing."""

import gc
import os
import secrets
import signal
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest
from sqlalchemy import Engine, create_engine

from batch_assets.settings import setting_names
from batch_assets.store.urls import application_url
from batch_assets_tests.databases import TestDatabases, running_server
from batch_assets_tests.memory import write_to_memory
from batch_assets_tests.one_database import empty, one_database
from batch_assets_tests.openai_batch.scripted_server import ScriptedServer
from batch_assets_tests.spreading import ModuleScheduling, in_order

RUN = pytest.StashKey[tuple[str, int]]()
"""The URL of the run's server and the run's number."""
CLEANUP = pytest.StashKey[ExitStack]()

CONFIGURE = ("BATCH_", "DAGSTER_", "OPENAI_", "PG")
"""How the names begin that the product, Dagster, the SDK and libpq look at."""
PROXIES = frozenset({"ALL_PROXY", "FTP_PROXY", "HTTP_PROXY", "HTTPS_PROXY"})


def the_run(config: pytest.Config) -> tuple[str, int]:
    """This run's server and number; the server starts when it is first asked for."""
    if hasattr(config, "workerinput"):
        url, run = config.workerinput["databases"]
        return str(url), int(run)
    if RUN not in config.stash:
        stack = config.stash.setdefault(CLEANUP, ExitStack())
        url, run = stack.enter_context(running_server()), secrets.randbits(31)
        config.stash[RUN] = (url, run)
        databases = TestDatabases(url, run)
        stack.callback(databases.close)
        stack.callback(databases.drop_run)
    return config.stash[RUN]


class XdistWorker(Protocol):
    """What is used of xdist's description of a worker; xdist itself is untyped."""

    config: pytest.Config
    workerinput: dict[str, object]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: XdistWorker) -> None:
    """Tell each of xdist's workers where the one server is."""
    node.workerinput["databases"] = the_run(node.config)


def pytest_configure(config: pytest.Config) -> None:
    """Let what tests start heed an interrupt, also where a shell has this run ignore them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.option.loadscopereorder = False  # the order is ours
    write_to_memory()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ModuleScheduling:
    return ModuleScheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = in_order(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are collected: there is none, and much to look through.

    What is there by then stays to the end: no later collection looks through it again.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    if CLEANUP in config.stash:
        config.stash[CLEANUP].close()


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[TestDatabases]:
    """For tests that need several databases, or one of another kind than the fixtures below."""
    opened = TestDatabases(*the_run(request.config))
    yield opened
    opened.close()


@pytest.fixture
def database_url(databases: TestDatabases) -> Iterator[str]:
    """A database that was empty and is migrated."""
    url = databases.clone_migrated()
    yield url
    databases.drop(url)


@pytest.fixture
def empty_database_url(databases: TestDatabases) -> Iterator[str]:
    """A database with nothing in it."""
    url = databases.create()
    yield url
    databases.drop(url)


@pytest.fixture
def livedash_database_url(databases: TestDatabases) -> Iterator[str]:
    """A database with LiveDash's tables as Prisma made them, not migrated."""
    url = databases.clone_livedash()
    yield url
    databases.drop(url)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on `database_url`."""
    opened = create_engine(application_url(database_url), connect_args={"prepare_threshold": None})
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def module_engine(databases: TestDatabases) -> Iterator[Engine]:
    """The product's own engine on a database that a module's tests share."""
    with one_database(databases) as opened:
        yield opened


@pytest.fixture
def emptied_engine(module_engine: Engine) -> Engine:
    """An engine on the module's database, which is empty."""
    empty(module_engine)
    return module_engine


@pytest.fixture(scope="module")
def listening_server() -> Iterator[tuple[ScriptedServer, str]]:
    """A server that a module's tests share and script, and its URL."""
    server = ScriptedServer()
    with server.listening() as url:
        yield server, url


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away whatever the developer's environment configures."""
    take_configuration_away(monkeypatch)


def take_configuration_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for each test; for what is made before the first of several."""
    for name in filter(configures, list(os.environ)):
        monkeypatch.delenv(name)


def configures(name: str) -> bool:
    """Whether an environment variable of this name may change what a test does."""
    return name.startswith(CONFIGURE) or name in setting_names() or name.upper() in PROXIES
