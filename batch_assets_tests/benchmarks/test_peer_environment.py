"""Which Python the peer gets, and the sentence where it gets none; nothing is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.comparison import peer_environment
from benchmarks.comparison.peer_environment import PeerMissingError, find_python, peer_python


def fake_python(path: Path, *, suits: bool = True, pip: str = "exit 0") -> Path:
    """A Python that says whether it suits, makes environments with itself in, and has a pip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -c ] && exit {0 if suits else 1}\n'
        f'[ "$2" = venv ] && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && exit 0\n'
        f'[ "$2" = pip ] && env >"$(dirname "$0")/environ" && {pip}\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def pathless(tmp_path: Path) -> dict[str, str]:
    """An environment in which no Python is found, but for the shell's tools."""
    return {"PATH": f"{tmp_path / 'first'}:{tmp_path / 'second'}", "HOME": str(tmp_path / "home")}


def test_the_newest_that_is_known_to_work(tmp_path: Path, pathless: dict[str, str]) -> None:
    fake_python(tmp_path / "first" / "python3.12")
    newer = fake_python(tmp_path / "second" / "python3.13")
    assert find_python(pathless) == newer


def test_a_stand_in_of_pyenv_hides_no_other(tmp_path: Path, pathless: dict[str, str]) -> None:
    fake_python(tmp_path / "first" / "python3.12", suits=False)
    real = fake_python(tmp_path / "second" / "python3.12")
    assert find_python(pathless) == real


def test_those_of_pyenv_are_looked_at_last(tmp_path: Path, pathless: dict[str, str]) -> None:
    fake_python(tmp_path / "first" / "python3", suits=False)
    versions = tmp_path / "home" / ".pyenv" / "versions"
    fake_python(versions / "3.11.7" / "bin" / "python")
    found = fake_python(versions / "3.12.1" / "bin" / "python")
    assert find_python(pathless) == found
    elsewhere = fake_python(tmp_path / "root" / "versions" / "3.13.0" / "bin" / "python")
    assert find_python(pathless | {"PYENV_ROOT": str(tmp_path / "root")}) == elsewhere


def test_one_that_is_named_is_taken(tmp_path: Path, pathless: dict[str, str]) -> None:
    fake_python(tmp_path / "first" / "python3.13")
    named = fake_python(tmp_path / "mine")
    assert find_python(pathless | {"PEER_PYTHON": str(named)}) == named


@pytest.mark.parametrize("named", ["", "/no/such/python", "old"])
def test_without_one_a_sentence_says_what_to_do(
    named: str, tmp_path: Path, pathless: dict[str, str]
) -> None:
    old = fake_python(tmp_path / "old", suits=False)
    name = str(old) if named == "old" else named
    with pytest.raises(PeerMissingError) as raised:
        find_python(pathless | {"PEER_PYTHON": name})
    said = str(raised.value)
    assert said.startswith("batchor is not measured: ")
    assert "Python 3.12 or newer" in said
    assert name in said
    if not named:
        assert "PEER_PYTHON=/path/to/python3.12" in said
    assert "\n" not in said


def test_what_is_asked_of_a_python() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", peer_environment._SUITS], capture_output=True, check=False
    )
    assert (asked.returncode == 0) == (sys.version_info >= (3, 12))


def test_the_environment_is_made_once(
    tmp_path: Path, pathless: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = pathless | {"PATH": f"{pathless['PATH']}:/usr/bin:/bin", "PIP_TARGET": "/elsewhere"}
    environ["PEER_PYTHON"] = str(fake_python(tmp_path / "mine"))
    environ["PIP_INDEX_URL"] = "https://index.example"
    made = peer_python(tmp_path / "project", environ)
    assert made == tmp_path / "project" / ".local" / "bench-peer" / "bin" / "python"
    given = made.with_name("environ")
    assert "PIP_INDEX_URL=https://index.example" in given.read_text()
    assert "PIP_TARGET" not in given.read_text()

    given.unlink()
    assert peer_python(tmp_path / "project", pathless) == made
    assert not given.exists()

    other = tmp_path / "requirements-peer.txt"
    other.write_text("batchor==0.0.8\n")
    monkeypatch.setattr(peer_environment, "REQUIREMENTS", other)
    peer_python(tmp_path / "project", environ)
    assert given.exists()


def test_without_an_index_a_sentence_says_so(tmp_path: Path, pathless: dict[str, str]) -> None:
    python = fake_python(tmp_path / "mine", pip="echo 'ERROR: no route' >&2; exit 1")
    environ = pathless | {"PATH": "/usr/bin:/bin", "PEER_PYTHON": str(python)}
    for _ in range(2):
        with pytest.raises(PeerMissingError) as raised:
            peer_python(tmp_path / "project", environ)
        assert str(raised.value) == (
            "batchor is not measured: its packages could not be installed from the index; "
            "the last that was said: ERROR: no route"
        )
