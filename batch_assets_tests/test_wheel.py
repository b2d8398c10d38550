"""The wheel alone, in an environment without this clone: it migrates, runs, and shows its UI."""

import os
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

import httpx2
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sqlalchemy import text

from batch_assets.store.plain_engine import open_plain_engine
from batch_assets_local.batch_server import ServerConfig, running_server
from batch_assets_tests.factories import make_company, make_requests

PROJECT = Path(__file__).resolve().parents[1]
PROGRAMS = ("dagster-webserver", "dagster-daemon")
KEY = "sk-canary-key-0123456789"


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and what it requires alone, and a folder to work in."""

    programs: Path
    folder: Path

    def type(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """What a command of the environment says, typed in the folder."""
        return subprocess.run(
            [str(self.programs / "batch-assets"), *words],
            cwd=self.folder,
            env=self.environment(environ),
            capture_output=True,
            text=True,
            check=False,
        )

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": os.defpath, "HOME": str(self.folder), "COLUMNS": "200", **environ}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Those of both distributions, by name."""
    into = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    for folder in (PROJECT, PROJECT / "local_stack"):
        subprocess.run(build, cwd=folder, check=True, capture_output=True)
    return {path.name.partition("-")[0]: path for path in into.glob("*.whl")}


@pytest.fixture(scope="module")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Only what the wheel itself is, is installed by pip; what it requires is lent from here."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home / "venv", with_pip=False, symlinks=True)
    programs = home / "venv" / "bin"
    python = programs / "python"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"),
            *("--python", str(python), "install", "--no-index", "--no-deps", "--no-compile"),
            str(wheels["batch_assets"]),
        ],
        check=True,
    )
    site_packages = next((home / "venv" / "lib").glob("python*/site-packages"))
    lent = home / "lent"
    lent.mkdir()
    for required in requirements_of("batch-assets"):
        lend(required, lent)
    # A path in such a file is searched, and the `.pth` files in it are not read: no clone.
    (site_packages / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")
    for name in PROGRAMS:
        _, rest = (Path(sys.executable).with_name(name)).read_text().split("\n", 1)
        (programs / name).write_text(f"#!{python}\n{rest}", encoding="utf-8")
        (programs / name).chmod(0o755)
    folder = home / "a folder"
    folder.mkdir()
    return Installed(programs, folder)


def requirements_of(name: str) -> list[Distribution]:
    """All that a distribution requires, directly or not; it is itself not among it."""
    found: dict[tuple[str, str], Distribution] = {}
    waiting = [(name, "")]
    while waiting:
        key = waiting.pop()
        if key in found:
            continue
        found[key] = distribution(key[0])
        for requirement in map(Requirement, found[key].requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": key[1]}):
                waiting += [
                    (canonicalize_name(requirement.name), extra)
                    for extra in ("", *requirement.extras)
                ]
    return [each for (known, _), each in found.items() if known != name]


def lend(required: Distribution, lent: Path) -> None:
    """Link what a distribution has put into `site-packages` from another folder."""
    for part in {file.parts[0] for file in required.files or ()} - {"..", "__pycache__"}:
        link = lent / part
        if not link.is_symlink():
            link.symlink_to(Path(str(required.locate_file(part))))


def test_a_wheel_has_what_it_runs_with_and_nothing_of_the_local_stack(
    wheels: dict[str, Path],
) -> None:
    product, local = (
        set(ZipFile(wheels[name]).namelist()) for name in ("batch_assets", "batch_assets_local")
    )
    here = PROJECT / "migrations"
    migrations = {
        f"batch_assets/packed_files/migrations/{path.relative_to(here)}"
        for path in here.rglob("*")
        if path.suffix in {".py", ".sql"}
    }
    assert migrations <= product
    assert {"batch_assets/packed_files/dagster.yaml", "batch_assets/cli/app.py"} <= product
    roots = {name.partition("/")[0] for name in product}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"batch_assets"}
    assert "batch_assets_local/batch_server/schema.sql" in local
    assert "batch_assets_local/samples/conversations/en.toml" in local


def test_it_migrates_runs_and_shows_its_ui(
    installed: Installed, empty_database_url: str, tmp_path: Path
) -> None:
    with running_server(tmp_path / "server", config=ServerConfig.instant()) as server:
        configured = {
            "DATABASE_URL": empty_database_url,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": server.base_url,
        }
        migrated = installed.type("migrate", **configured)
        assert (migrated.returncode, migrated.stderr) == (0, "")
        assert "is at" in migrated.stdout
        engine = open_plain_engine(empty_database_url)
        with engine.begin() as connection:
            make_requests(connection, make_company(connection), 10)
        ran = installed.type("run", **configured)
        assert ran.returncode == 0, ran.stderr
        with engine.connect() as connection:
            (sent,) = connection.execute(
                text('SELECT count(*) FROM public."AIBatchRequest" WHERE "openaiBatchId" <> \'\'')
            ).one()
        engine.dispose()
        assert sent == 1
        with web_server(installed, configured) as address:
            assert httpx2.get(address).headers["content-type"].startswith("text/html")
            query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
            answered = httpx2.post(f"{address}/graphql", json={"query": query}).json()
        assert answered["data"]["repositoriesOrError"]["nodes"] == [{"name": "__repository__"}]
    assert (installed.folder / ".local" / "dagster" / "dagster.yaml").is_file()


@contextmanager
def web_server(installed: Installed, configured: Mapping[str, str]) -> Iterator[str]:
    """The address of the environment's web server, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (installed.folder / "webserver.log").open("w") as log:
        started = subprocess.Popen(
            [str(installed.programs / "batch-assets"), "webserver", "--port", str(port)],
            cwd=installed.folder,
            env=installed.environment(configured),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        give_up = time.monotonic() + 120
        while not answers(address):
            assert started.poll() is None, (installed.folder / "webserver.log").read_text()
            assert time.monotonic() < give_up
            time.sleep(0.1)
        yield address
    finally:
        started.send_signal(signal.SIGINT)
        started.wait(60)


def answers(address: str) -> bool:
    try:
        return httpx2.get(address).status_code == 200
    except httpx2.TransportError:
        return False


def test_without_a_local_stack_and_a_configuration_one_sentence_says_what_to_do(
    installed: Installed,
) -> None:
    for words in (["status"], ["dev"], ["demo"], ["local", "stop"]):
        ended = installed.type(*words)
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert ended.stderr.count("\n") == 1
        assert "No local stack is installed here" in ended.stderr
    assert "demo" not in installed.type("--help").stdout


def test_a_folder_that_is_gone_is_one_sentence_and_help_needs_none(installed: Installed) -> None:
    def typed(words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            f"mkdir t; cd t; rmdir ../t; exec {installed.programs}/batch-assets {words}",
            shell=True,
            cwd=installed.folder,
            env=installed.environment({}),
            capture_output=True,
            text=True,
            check=False,
        )

    assert "Usage" in typed("--help").stdout
    ended = typed("status")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "The folder in which this was typed is gone: change to another.\n"
