"""What opening an engine costs: nothing but the login."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.adapt import Transformer
from psycopg.types.array import ArrayLoader, ListDumper
from sqlalchemy import Engine, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from batch_assets.store.engine import QuietDialect, TextsDumper, open_engine

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


@pytest.mark.parametrize(
    "texts",
    [
        ["a1", "b2"],
        [],
        [""],
        ["", ""],
        ["NULL", "null"],
        [None, "a"],
        ["{", "}", ",", " ", "\t\n"],
        ['"', '","', '""'],
        ['a","b'],
        ["\\", '\\"'],
        ["é", "日本", "\u2028\u3000", "🙂"],
        [["a", "b"], ["c", 'd"']],
    ],
)
def test_a_list_of_texts_arrives_as_it_was_sent(
    database_url: str, texts: list[Any], request: pytest.FixtureRequest
) -> None:
    engine = open_engine(database_url)
    request.addfinalizer(engine.dispose)
    with engine.connect() as connection:
        sent = {"texts": texts}
        question = text("SELECT CAST(:texts AS text[])")
        assert connection.execute(question, sent).scalar_one() == texts


class TextArrayLoader(ArrayLoader):
    base_oid = 25


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8")), max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_list_is_written_so_that_psycopg_reads_the_same(texts: list[str | None]) -> None:
    with_nul = any("\0" in one for one in texts if one)
    written, as_ever = (kind(list, Transformer()) for kind in (TextsDumper, ListDumper))
    if with_nul:
        with pytest.raises(psycopg.DataError):
            written.dump(texts)
        return
    read = TextArrayLoader(1009, Transformer()).load
    assert read(written.dump(texts) or b"") == texts == read(as_ever.dump(texts) or b"")


@pytest.mark.parametrize("texts", [["\ud800"], ["a", "b\udfff"]])
def test_half_of_a_surrogate_pair_is_refused(texts: list[str]) -> None:
    with pytest.raises(UnicodeEncodeError):
        TextsDumper(list, Transformer()).dump(texts)
