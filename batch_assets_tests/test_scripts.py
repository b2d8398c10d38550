"""What stops the setup is one sentence; what is wrong with the requirements is named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
NEEDED = [
    "pyproject.toml",
    "local_stack/pyproject.toml",
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-engines.txt",
    "requirements-peer.txt",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with spaces in its name that holds what the scripts read."""
    made = tmp_path / "a project"
    made.mkdir()
    shutil.copytree(PROJECT / "scripts", made / "scripts")
    (made / "local_stack").mkdir()
    for name in NEEDED:
        shutil.copy(PROJECT / name, made / name)
    return made


def setup(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(folder / "scripts" / "setup.sh"), "demo"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def fake_python(folder: Path, refused: str) -> str:
    """A Python that fails when the program on its command line contains `refused`."""
    path = folder / "python"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *"{refused}"*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


def test_a_python_that_is_too_old(folder: Path) -> None:
    ended = setup(folder, PYTHON=fake_python(folder, "version_info"))
    assert ended.returncode == 1
    assert "which is no Python 3.11, 3.12 or 3.13." in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_no_python_at_all(folder: Path) -> None:
    tools = folder / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "cksum", "cat", "head"):
        (tools / name).symlink_to(str(shutil.which(name)))
    ended = setup(folder, PATH=str(tools))
    assert ended.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed and none is on the PATH" in ended.stderr


def test_a_python_without_venv(folder: Path) -> None:
    ended = setup(folder, PYTHON=fake_python(folder, "import ensurepip"))
    assert ended.returncode == 1
    assert "has no venv module" in ended.stderr
    assert "python3-venv" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_requirements_that_cannot_be_had(folder: Path) -> None:
    (folder / "requirements.txt").write_text("no-such-package-anywhere==1.0\n")
    ended = setup(folder, PYTHON=sys.executable, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("setup: the packages of requirements.txt could not be installed")
    assert not (folder / ".venv" / "ready-demo").exists()


def ui_programs(tools: Path, *programs: str) -> subprocess.CompletedProcess[str]:
    """The script that installs browser and nginx, where there is a shell and these programs."""
    tools.mkdir()
    (tools / "sh").symlink_to(str(shutil.which("sh")))
    for program in programs:
        name, _, line = program.partition(" ")
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    return subprocess.run(
        ["sh", "scripts/ui_programs.sh"],
        cwd=PROJECT,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_what_is_there_is_not_installed_again(tmp_path: Path, name: str) -> None:
    ended = ui_programs(tmp_path / "tools", name, "nginx", "apt-get exit 1")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("there", "packages"),
    [
        ([], "chromium fonts-dejavu-core nginx"),
        (["nginx"], "chromium fonts-dejavu-core"),
        (["chromium"], "nginx"),
    ],
)
def test_what_is_missing_is_installed_by_root(
    tmp_path: Path, there: list[str], packages: str
) -> None:
    ended = ui_programs(tmp_path / "tools", *there, "id echo 0", 'apt-get echo "$@"')
    assert ended.returncode == 0
    assert ended.stdout.splitlines() == [
        "-qq update",
        f"-qq install --yes --no-install-recommends {packages}",
    ]


@pytest.mark.parametrize(
    ("programs", "complaint"),
    [
        ([], "no apt-get"),
        (["apt-get exit 1", "id echo 1000"], "only root"),
        (["apt-get exit 1", "id echo 0"], "lists of packages could not be read"),
        (['apt-get test "$2" = update', "id echo 0"], "could not be installed"),
    ],
)
def test_why_nothing_is_installed(tmp_path: Path, programs: list[str], complaint: str) -> None:
    ended = ui_programs(tmp_path / "tools", *programs)
    assert ended.returncode == 1
    assert ended.stderr.startswith("ui_programs: ")
    assert complaint in ended.stderr
    assert ended.stderr.count("\n") == 1


def check(folder: Path) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, str(folder / "scripts" / "check_requirements.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("pyproject.toml", ('"rich>=15"', '"rich>=99"'), "asks for rich>=99"),
        ("pyproject.toml", ('"rich>=15"', '"rich>=15", "left-pad"'), "asks for left-pad"),
        (
            "local_stack/pyproject.toml",
            ('"uvicorn>=0.54"', '"uvicorn>=99"'),
            "asks for uvicorn>=99",
        ),
        ("pyproject.toml", ("batchor==0.0.7", "batchor==0.0.8"), "asks for batchor==0.0.8"),
        ("requirements.txt", ("typer==", "typer2=="), "pinned is nothing"),
        ("requirements-dev.txt", ("    # via\n", "-i https://x.example\n"), "names an address"),
        ("requirements-engines.txt", ("dagster-k8s==", "k8s=="), "asks for dagster-k8s==0.29.27"),
        ("requirements-peer.txt", ("batchor==", "batchor2=="), "asks for batchor==0.0.7"),
    ],
)
def test_requirements_that_do_not_fit(
    folder: Path, file: str, change: tuple[str, str], complaint: str
) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert change[0] in text
    (folder / file).write_text(text.replace(*change), encoding="utf-8")
    code, said = check(folder)
    assert code == 1
    assert complaint in said
    assert "make lock" in said
