"""Commands complete in bash, zsh and fish, and say their version."""

import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from batch_assets.project_files import PROJECT_DIR
from batch_assets_tests.cli.conftest import Type

PROGRAM = [sys.executable, "-m", "batch_assets.cli"]
ASKED = {
    "bash": {"COMP_WORDS": "batch-assets do", "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "batch-assets do"},
    "fish": {"_TYPER_COMPLETE_ARGS": "batch-assets do", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


@pytest.mark.parametrize("shell", ASKED)
def test_a_command_is_completed(shell: str) -> None:
    environ = {**os.environ, "_BATCH_ASSETS_COMPLETE": f"complete_{shell}", **ASKED[shell]}
    completed = subprocess.run(PROGRAM, env=environ, capture_output=True, text=True, check=True)
    assert "doctor" in completed.stdout
    assert "status" not in completed.stdout


@pytest.mark.parametrize("shell", ASKED)
def test_what_completes_them_can_be_shown(shell: str) -> None:
    environ = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run(
        [*PROGRAM, "--show-completion", shell],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_BATCH_ASSETS_COMPLETE" in shown.stdout
    assert "batch-assets" in shown.stdout


def test_it_is_installed_for_the_shell_that_is_named_whichever_one_runs_it(tmp_path: Path) -> None:
    install = shlex.join([*PROGRAM, "--install-completion", "fish"])
    environ = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT_DIR)}
    # The shell waits for what it runs, since there is something to do after it.
    subprocess.run(["bash", "-c", f"{install} && true"], env=environ, check=True)
    (made,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert made == tmp_path / ".config/fish/completions/batch-assets.fish"


def test_a_shell_that_is_none_is_refused(typed: Type) -> None:
    outcome = typed("--install-completion", "tcsh")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("--install-completion is for bash, zsh, fish, and 'tcsh' is none")


def test_options_of_a_command_are_completed() -> None:
    asked = {"COMP_WORDS": "batch-assets status --wa", "COMP_CWORD": "2"}
    environ = {**os.environ, "_BATCH_ASSETS_COMPLETE": "complete_bash", **asked}
    completed = subprocess.run(PROGRAM, env=environ, capture_output=True, text=True, check=True)
    assert completed.stdout.split() == ["--watch"]


def test_the_version(typed: Type) -> None:
    outcome = typed("--version")
    assert (outcome.code, outcome.out) == (0, f"batch-assets {version('batch-assets')}\n")
