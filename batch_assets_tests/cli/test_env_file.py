"""The file `.env`: what commands take from it, and what they refuse."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batch_assets.cli.env_file import read_env_file
from batch_assets.domain.errors import ConfigurationError
from batch_assets_tests.cli.dev_program import free_port

CANARY = "canary-51d0"
PORT = str(free_port())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the file; what is read of it is forgotten after the test."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / ".env").write_text(text, encoding="utf-8")


def test_what_the_file_sets_is_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_MAX_REQUESTS", "9")
    monkeypatch.setenv("HTTPS_PROXY", "http://one.example")
    write(
        folder,
        "# ours\nexport BATCH_MIN_SIZE='7'\nBATCH_MAX_REQUESTS=9\nHTTPS_PROXY=http://two.example\nX\n",
    )
    read_env_file(folder)
    assert os.environ["BATCH_MIN_SIZE"] == "7"
    assert os.environ["BATCH_MAX_REQUESTS"] == "9"
    assert os.environ["HTTPS_PROXY"] == "http://two.example", "as Dagster has it"
    assert "X" not in os.environ


def test_without_the_file_nothing_is_set(folder: Path) -> None:
    before = dict(os.environ)
    read_env_file(folder)
    assert os.environ == before


def test_settings_that_are_contradicted_are_named_and_not_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{CANARY}-1@host/name")
    monkeypatch.setenv("BATCH_MIN_SIZE", "7")
    write(folder, f"DATABASE_URL=postgresql://user:{CANARY}-2@host/name\nBATCH_MIN_SIZE=\nNEW=1\n")
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(folder)
    assert caught.value.lines == (
        f"DATABASE_URL is set in the environment, and otherwise in {folder}/.env: "
        "leave it out of one.",
        f"BATCH_MIN_SIZE is set in the environment, and otherwise in {folder}/.env: "
        "leave it out of one.",
    )
    assert "NEW" not in os.environ


def test_a_file_that_cannot_be_read_is_one_sentence(folder: Path) -> None:
    (folder / ".env").write_bytes(b"BATCH_MIN_SIZE=\xff\n")
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read \(it is not UTF-8\)"):
        read_env_file(folder)


@pytest.mark.parametrize("text", ["BATCH_MIN_SIZE=7\0\n", "B\0=7\n", "X=1\n'a=b'=7\n"])
def test_what_no_environment_takes_is_one_sentence_and_changes_nothing(
    folder: Path, text: str
) -> None:
    write(folder, text)
    before = dict(os.environ)
    with pytest.raises(ConfigurationError, match=r"\.env cannot be used \(it has a NUL character"):
        read_env_file(folder)
    assert os.environ == before


def test_a_folder_that_is_gone_is_one_sentence(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="The folder in which this was typed is gone"):
        read_env_file(folder / "gone")


def test_all_that_is_wrong_is_said_with_what_is_contradicted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_MIN_SIZE", "1")
    monkeypatch.setenv("BATCH_MAX_REQUESTS", "0")
    write(folder, "BATCH_MIN_SIZE=7\nBATCH_OP_SECONDS=x\n")
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(folder)
    assert [line.partition(" ")[0] for line in caught.value.lines] == [
        "BATCH_MIN_SIZE",
        "BATCH_OP_SECONDS",
        "BATCH_MAX_REQUESTS",
    ]


@pytest.mark.parametrize(
    "program",
    [
        ["batch_assets.cli", "status"],
        ["batch_assets.cli", "local", "stop"],
        ["dagster_webserver", "-p", PORT],
        ["dagster._daemon", "run"],
        ["dagster", "api", "grpc", "-p", PORT, "-m", "batch_assets.definitions"],
        ["dagster", "job", "execute", "-j", "batch_processing_job"],
    ],
    ids=["command", "local", "webserver", "daemon", "code-server", "run"],
)
def test_every_process_reads_it(project_copy: Path, program: list[str]) -> None:
    write(project_copy, "BATCH_MIN_SIZE=ten\nBATCH_LOCAL_STACK=copy\n")
    home = project_copy / "home"
    home.mkdir()
    (home / "dagster.yaml").symlink_to(project_copy / "dagster.yaml")
    ended = subprocess.run(
        [sys.executable, "-m", *program],
        cwd=project_copy,
        env={**os.environ, "PYTHONPATH": str(project_copy), "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode != 0
    wrong = "BATCH_MIN_SIZE is 'ten': it must be a whole number from 1 to 50,000."
    assert wrong in ended.stdout + ended.stderr


def test_help_and_demo_have_no_use_for_it(project_copy: Path) -> None:
    write(project_copy, "BATCH_MIN_SIZE=8\n")
    ended = subprocess.run(
        [sys.executable, "-m", "batch_assets.cli", "status", "--help"],
        cwd=project_copy,
        env={**os.environ, "PYTHONPATH": str(project_copy), "BATCH_MIN_SIZE": "7"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
