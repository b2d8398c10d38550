"""What opening an engine costs: nothing but the login."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from batch_assets.store.engine import QuietDialect, open_engine

IS_STATEMENT = re.compile(r"\tF\t.*\t(Query|Parse)\t")


@pytest.fixture
def sent(database_url: str, tmp_path: Path) -> Callable[[], list[str]]:
    """The statements that a new engine sends until it has sent its first, by libpq's own trace."""

    def opened() -> list[str]:
        engine: Engine = open_engine(database_url)
        with (tmp_path / "trace").open("w+", encoding="utf-8") as trace:

            def follow(connection: Any, _entry: Any) -> None:
                connection.pgconn.trace(trace.fileno())

            event.listen(engine, "connect", follow, insert=True)
            autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
            with autocommit.connect() as connection:
                connection.execute(text("SELECT 1"))
            engine.dispose()
            trace.seek(0)
            return [line for line in trace if IS_STATEMENT.search(line)]

    return opened


def test_nothing_is_asked_before_the_first_statement(sent: Callable[[], list[str]]) -> None:
    (only,) = sent()
    assert "SELECT 1" in only


def test_sqlalchemys_own_dialect_asks_nine_statements_first(
    sent: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuietDialect, "initialize", PGDialect_psycopg.initialize)
    assert len(sent()) == 10
