"""What is written about the settings: the page made of them, and their names elsewhere."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_assets.settings import LIVEDASH_NAMES, all_settings, setting_names
from batch_assets.settings.settings import ACCOUNT_VARIABLES, variable_of

PROJECT = Path(__file__).resolve().parents[2]
PAGE = Path("docs") / "configuration.md"


def document(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "scripts" / "document_settings.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a copy of the page and of what makes it."""
    for name in ("scripts", "docs"):
        (tmp_path / name).mkdir()
    shutil.copy(PROJECT / "scripts" / "document_settings.py", tmp_path / "scripts")
    shutil.copy(PROJECT / PAGE, tmp_path / PAGE)
    return tmp_path


def test_the_page_is_as_the_settings_are_declared() -> None:
    ended = document(PROJECT, "--check")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "change",
    [
        ("| 10 | a whole number", "| 11 | a whole number"),
        ("| `BATCH_LIVE_RETRIES` |", "| `BATCH_LIFE_RETRIES` |"),
        ("Euros that a dollar costs.", "Dollars that a euro costs."),
    ],
)
def test_a_page_that_differs_is_said_and_made_anew(folder: Path, change: tuple[str, str]) -> None:
    page = (folder / PAGE).read_text(encoding="utf-8")
    assert change[0] in page
    (folder / PAGE).write_text(page.replace(*change), encoding="utf-8")
    ended = document(folder, "--check")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "run `make docs`" in ended.stderr
    assert document(folder).returncode == 0
    assert (folder / PAGE).read_text(encoding="utf-8") == page


def test_every_setting_has_a_row_with_default_bounds_and_meaning() -> None:
    rows = (PROJECT / PAGE).read_text(encoding="utf-8").splitlines()
    for setting in all_settings():
        row = next(row for row in rows if row.startswith(f"| `{setting.name}` |"))
        assert row.endswith(f"| {setting.allowed} | {setting.meaning} |")
    assert "| `BATCH_MIN_SIZE` | 10 | a whole number from 1 to 50,000 |" in "\n".join(rows)


def test_every_name_that_pages_and_sentences_mention_is_a_settings() -> None:
    of_accounts = {variable_of("beta", name) for name in ACCOUNT_VARIABLES}
    known = setting_names() | LIVEDASH_NAMES | of_accounts
    mentioned = dict(_mentioned())
    assert {"BATCH_MIN_SIZE", "BATCH_TIMEOUT_HOURS"} <= set(mentioned)
    assert {name: place for name, place in mentioned.items() if name not in known} == {}


def test_only_the_changelog_and_the_page_of_settings_have_former_names() -> None:
    former = {one.former for one in all_settings()}
    assert {name: place for name, place in _mentioned() if name in former} == {}


def _mentioned() -> Iterator[tuple[str, str]]:
    """Each `BATCH_…` on the pages and in what the programs say, and where."""
    pages = [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
    texts[PAGE.name] = texts[PAGE.name].partition("## Names of version 0.1")[0]
    own = PROJECT / "batch_assets"
    for module in own.rglob("*.py"):
        if not module.is_relative_to(own / "settings"):
            tree = ast.parse(module.read_bytes())
            texts[str(module)] = "\n".join(_said(tree))
    for place, text in texts.items():
        for name in re.findall(r"\bBATCH_[A-Z]+(?:_[A-Z]+)*(?![\w*…])", text):
            if not name.startswith("BATCH_ASSETS_"):
                yield name, place


def _said(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
