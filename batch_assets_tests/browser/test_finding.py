"""What the UI's tests need of a machine, and what they say when it is not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from batch_assets.domain.errors import ConfigurationError
from batch_assets.project_files import PROJECT_DIR
from browser.chromium import NAMES, find_chromium
from browser.proxy import find_nginx


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_on_the_path_is_found(name: str, tmp_path: Path) -> None:
    program = tmp_path / name
    program.touch(mode=0o755)
    assert find_chromium(str(tmp_path)) == str(program)


def test_without_one_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="`apt-get install chromium`"):
        find_chromium(str(tmp_path))


def test_nginx_is_found_or_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="`apt-get install nginx`"):
        find_nginx(str(tmp_path))
    (tmp_path / "nginx").touch(mode=0o755)
    assert find_nginx(str(tmp_path)) == str(tmp_path / "nginx")


def test_the_tests_of_the_ui_fail_without_one(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "browser"],
        cwd=PROJECT_DIR,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert ended.stderr.strip().startswith("ERROR: No browser is installed")
    assert ended.stderr.strip().count("\n") == 0
