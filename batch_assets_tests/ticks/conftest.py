"""A database and a key in the environment, as ticks find them."""

import pytest
from sqlalchemy import Engine

from batch_assets.store.strategy import choose_queries
from batch_assets_tests.store.queries.support import Desk


@pytest.fixture
def desk(emptied_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    url = emptied_engine.url.set(drivername="postgresql")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    return Desk(emptied_engine, choose_queries(emptied_engine, optimized=True))


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> str:
    """A database that does not answer; its password, which nobody may read."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://livedash:pw-canary@127.0.0.1:9/livedash")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    return "canary"
