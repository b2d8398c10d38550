"""Two versions of the code on one database: tables of a newer one, and what this one makes of them.

The newer version is this one with more migrations.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from batch_assets.domain.errors import MigrationsMissingError
from batch_assets.project_files import PROJECT_FILES
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import current, require_suitable, upgrade
from batch_assets.store.migrating import project
from batch_assets_tests.databases import TestDatabases

SCRIPTS = PROJECT_FILES / "migrations"
MIGRATION = """
from alembic import op

revision = "{revision}"
down_revision = "{after}"
SUITS_OLDER_CODE = {suits}

def upgrade() -> None:
    op.execute("{statement}")

def downgrade() -> None:
    raise NotImplementedError
"""
ADDS = "ALTER TABLE batch_assets.batch ADD COLUMN added text"
TAKES = "ALTER TABLE batch_assets.batch DROP COLUMN added"
FAILS = "SELECT * FROM batch_assets.nothing"


@pytest.fixture
def engine(databases: TestDatabases) -> Iterator[Engine]:
    url = databases.clone_migrated()
    opened = open_engine(url)
    yield opened
    opened.dispose()
    databases.drop(url)


class NewerVersion:
    """This version, with migrations after its own."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory / "migrations"
        self._monkeypatch = monkeypatch
        self._newest = project.head_revision()
        shutil.copytree(SCRIPTS, self._directory)

    def adds(self, revision: str, statement: str, *, suits: bool) -> None:
        text = MIGRATION.format(
            revision=revision, after=self._newest, suits=suits, statement=statement
        )
        (self._directory / "versions" / f"{revision}_newer.py").write_text(text)
        self._newest = revision

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with self._monkeypatch.context() as patched:
            patched.setattr(project, "_MIGRATIONS", self._directory)
            _forget()
            yield
        _forget()


def _forget() -> None:
    for known in (project.head_revision, project.known_revisions, project.needed_revision):
        known.cache_clear()


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewerVersion:
    return NewerVersion(tmp_path, monkeypatch)


def url_of(engine: Engine) -> str:
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def test_this_version_works_on_with_tables_to_which_a_newer_one_has_added(
    engine: Engine, newer: NewerVersion
) -> None:
    newer.adds("newer1", ADDS, suits=True)
    with newer.at_work():
        with pytest.raises(MigrationsMissingError, match="lacks tables"):
            require_suitable(engine)
        upgrade(url_of(engine))
        require_suitable(engine)
    require_suitable(engine)
    said: list[str] = []
    upgrade(url_of(engine), said.append)
    assert said == [
        "a newer version made its tables (revision newer1); this one can work with them"
    ]
    assert current(url_of(engine)) == "newer1"


def test_it_refuses_tables_of_which_a_newer_version_has_taken_something(
    engine: Engine, newer: NewerVersion
) -> None:
    newer.adds("newer1", ADDS, suits=True)
    newer.adds("newer2", TAKES, suits=False)
    newer.adds("newer3", ADDS, suits=True)
    with newer.at_work():
        upgrade(url_of(engine))
        require_suitable(engine)
    refusal = r"newer version.*newer3.*update the"
    with pytest.raises(MigrationsMissingError, match=refusal):
        require_suitable(engine)
    with pytest.raises(MigrationsMissingError, match=refusal):
        upgrade(url_of(engine))


def test_it_refuses_tables_that_do_not_say_whose_they_are(engine: Engine) -> None:
    with psycopg.connect(url_of(engine)) as connection:
        connection.execute("UPDATE batch_assets.alembic_version SET version_num = 'from-2031'")
        connection.execute("COMMENT ON TABLE batch_assets.alembic_version IS NULL")
    with pytest.raises(MigrationsMissingError, match=r"newer version.*from-2031"):
        require_suitable(engine)


def test_what_each_migration_says_comes_with_its_tables(
    engine: Engine, newer: NewerVersion
) -> None:
    newer.adds("newer1", ADDS, suits=False)
    newer.adds("newer2", FAILS, suits=True)
    with newer.at_work(), pytest.raises(ProgrammingError):
        upgrade(url_of(engine))
    assert current(url_of(engine)) == "newer1"
    with pytest.raises(MigrationsMissingError, match="newer1"):
        require_suitable(engine)


def test_tables_that_were_made_before_versions_said_so_say_it_with_the_next_migrate(
    engine: Engine, newer: NewerVersion
) -> None:
    with psycopg.connect(url_of(engine)) as connection:
        connection.execute("COMMENT ON TABLE batch_assets.alembic_version IS NULL")
    upgrade(url_of(engine))
    newer.adds("newer1", ADDS, suits=True)
    with newer.at_work():
        upgrade(url_of(engine))
    require_suitable(engine)


MAKES = re.compile(r"CREATE (UNLOGGED )?(TABLE|INDEX|UNIQUE INDEX|SEQUENCE) .*", re.DOTALL)
WIDENS = re.compile(r"ALTER TABLE batch_assets\.\w+ (?P<changes>ADD COLUMN .*)", re.DOTALL)
SETS = re.compile(r"SET LOCAL .*|COMMENT ON .*")


def why_older_code_stumbles(script: str) -> list[str]:
    """The statements after which code that does not know them may fail."""
    plain = re.sub(r"--.*", "", script)
    statements = [" ".join(one.split()) for one in plain.split(";") if one.strip()]
    made = set(re.findall(r"CREATE (?:UNLOGGED )?TABLE (\S+)", plain))
    return [one for one in statements if not _suits(one, made)]


def _suits(statement: str, made: set[str]) -> bool:
    if SETS.fullmatch(statement):
        return True
    widens = WIDENS.fullmatch(statement)
    if widens:
        columns = re.split(r", (?=[A-Z]+ )", widens["changes"])
        return all(
            column.startswith("ADD COLUMN ")
            and ("NOT NULL" not in column or "DEFAULT" in column)
            and "CHECK" not in column
            for column in columns
        )
    # A unique index on a table that was there refuses rows that older code writes.
    is_new = re.search(r" ON (\S+)", statement)
    refuses = "UNIQUE INDEX" in statement and (is_new is None or is_new[1] not in made)
    return bool(MAKES.fullmatch(statement)) and not refuses


@pytest.mark.parametrize(
    ("name", "stumbles"),
    [
        ("0014_allowances", False),
        ("0020_forecasts", False),
        ("0022_unknown_calls", False),
        ("0003_large_sets", True),
        ("0013_trade_words", True),
        ("0021_budgets", True),
    ],
)
def test_what_older_code_stumbles_over_is_known(name: str, *, stumbles: bool) -> None:
    script = (SCRIPTS / "sql" / f"{name}_create.sql").read_text(encoding="utf-8")
    assert bool(why_older_code_stumbles(script)) == stumbles


def test_a_migration_that_says_that_it_suits_older_code_only_adds() -> None:
    for script in ScriptDirectory.from_config(project.alembic_config()).walk_revisions():
        if getattr(script.module, "SUITS_OLDER_CODE", False):
            (path,) = (SCRIPTS / "sql").glob(f"{script.revision}_*_create.sql")
            assert why_older_code_stumbles(path.read_text(encoding="utf-8")) == [], path.name
