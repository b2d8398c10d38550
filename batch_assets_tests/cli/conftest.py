"""Typing a command, in this process or in a copy of the project, and reading what it says."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from batch_assets.cli import main
from batch_assets.project_files import PROJECT_DIR
from batch_assets_local import stack
from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets_tests.cli.terminals import Typist

KEY = "sk-canary-key-0123456789"
PARTS = ["batch_assets", "migrations", "dagster.yaml", "pyproject.toml", "workspace.yaml"]
"""What of the project a running program needs."""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Type = Callable[..., Outcome]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Types a command that writes to no terminal; keyword arguments are its environment."""
    monkeypatch.setenv("COLUMNS", "80")
    # Whoever works here may have one, which is not the tests'.
    monkeypatch.setattr("batch_assets.cli.app.read_env_file", lambda: None)
    monkeypatch.chdir(PROJECT_DIR)  # some commands change it

    def type_(*arguments: str, **environ: str) -> Outcome:
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["batch-assets", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), said.out, said.err)

    return type_


@pytest.fixture(scope="session")
def typist() -> Iterator[Typist]:
    """One for all terminals and pipes: it takes seconds to import what commands need."""
    opened = Typist()
    yield opened
    opened.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningServer]:
    """A local Batch API server that is done with a batch at once."""
    with running_server(tmp_path / "server", config=ServerConfig.instant()) as server:
        yield server


@pytest.fixture
def dagster_home(tmp_path: Path) -> str:
    """A DAGSTER_HOME of the test's own, with the project's configuration."""
    home = tmp_path / "dagster"
    home.mkdir()
    text = (PROJECT_DIR / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(text.replace(".local/dagster", str(home)), encoding="utf-8")
    return str(home)


@pytest.fixture
def copied_database_url(database_url: str) -> str:
    """A database that was installed under another name: a clone, or one that has moved."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE batch_assets.installation SET database_name = 'original'")
    return database_url


@pytest.fixture
def project_copy(tmp_path: Path) -> Iterator[Path]:
    """A copy of the project, with a local stack of its own that is gone after the test."""
    copy = copy_project(tmp_path)
    yield copy
    stack.reset(copy)


def copy_project(place: Path, *more: str) -> Path:
    """Make a copy of what of the project a running program needs, and of these parts of it."""
    copy = place / "a copy with spaces"
    copy.mkdir()
    for name in (*PARTS, *more):
        source = PROJECT_DIR / name
        if source.is_dir():
            # With what the interpreter has made of it, which each program would else make anew.
            shutil.copytree(source, copy / name)
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture
def configured_on(
    api: RunningServer, dagster_home: str, tmp_path: Path
) -> Callable[[str], dict[str, str]]:
    """The environment of a command on a database and a server of its own."""
    return lambda url: {
        "DATABASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": api.base_url,
        "DAGSTER_HOME": dagster_home,
        "BATCH_SPOOL_DIR": str(tmp_path / "spool"),
    }


@pytest.fixture
def configured(database_url: str, configured_on: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """That of one on a migrated database."""
    return configured_on(database_url)
