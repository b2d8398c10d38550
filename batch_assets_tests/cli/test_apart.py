"""The parts of production apart: what the containers of deploy/compose.yaml run, typed directly."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from batch_assets.project_files import PROJECT_DIR
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.cli.conftest import KEY
from batch_assets_tests.cli.dev_program import ask, free_port, processes_of
from batch_assets_tests.deploy.files import DEPLOY, compose

PATIENCE_SECONDS = 180


def environment(where: Path, **environ: str) -> dict[str, str]:
    """A shell's, with the copy's virtual environment active."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, **environ, "PATH": path, "PYTHONPATH": str(where)}


@dataclass(frozen=True)
class Host:
    """Where the containers' commands are typed, with what each has for itself in a container."""

    folder: Path
    environ: Mapping[str, str]
    instead: Mapping[str, str]

    def command(self, words: Sequence[str]) -> list[str]:
        """A command as it has to be here."""
        found = list(words)
        for old, new in self.instead.items():
            found = [word.replace(old, new) for word in found]
        return found

    @contextmanager
    def container(self, name: str, is_there: Callable[[], object]) -> Iterator[Path]:
        """What a container of compose runs, healthy, until SIGTERM; what it says.

        Compose's own check is asked once it is there: most take seconds of processor time.
        """
        output = self.folder.parent / f"{name}.log"
        service = compose()["services"][name]
        with output.open("wb") as file:
            process = subprocess.Popen(
                self.command(["batch-assets", *service["command"]]),
                cwd=self.folder,
                env={**self.environ, **service.get("environment", {})},
                stdout=file,
                stderr=file,
            )
        try:
            wait_until(is_there, output)
            wait_until(lambda: self.is_healthy(name), output)
            yield output
            assert process.poll() is None, output.read_text(encoding="utf-8")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)

    def is_healthy(self, name: str) -> bool:
        """What compose's own check of a container says."""
        kind, *words = compose()["services"][name]["healthcheck"]["test"]
        assert kind == "CMD"
        ended = subprocess.run(
            self.command(words), cwd=self.folder, env=self.environ, check=False, capture_output=True
        )
        return ended.returncode == 0


def runs_of_the_schedule(database_url: str) -> int:
    """How many runs the schedule has started that have succeeded."""
    statement = """
        SELECT count(*) FROM dagster.runs AS r JOIN dagster.run_tags AS t USING (run_id)
        WHERE r.status = 'SUCCESS' AND t.value = 'batch_processing_schedule'
    """
    with psycopg.connect(database_url) as connection:
        row = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])


def heartbeats(database_url: str) -> int:
    """How many of Dagster's daemons have been heard of."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM dagster.daemon_heartbeats").fetchone()
    return 0 if row is None else int(row[0])


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(is_so: Callable[[], object], said: Path) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up, said.read_text(encoding="utf-8")
        time.sleep(0.5)


def test_the_containers_commands_work_apart(
    project_copy: Path, database_url: str, api: RunningServer
) -> None:
    home = project_copy / "dagster"
    home.mkdir()
    shutil.copy(PROJECT_DIR / "dagster.yaml", home)
    environ = environment(
        project_copy,
        DATABASE_URL=database_url,
        OPENAI_API_KEY=KEY,
        OPENAI_BASE_URL=api.base_url,
        BATCH_SCHEDULE="* * * * *",
        DAGSTER_HOME=str(home),
    )
    workspace = project_copy / "code_server.yaml"
    port, code_port = free_port(), str(free_port())
    text = (DEPLOY / "code_server.yaml").read_text(encoding="utf-8")
    workspace.write_text(
        text.replace("4000", code_port).replace("host: code-server", "host: 127.0.0.1"),
        encoding="utf-8",
    )
    instead = {
        "/etc/batch-assets/workspace.yaml": str(workspace),
        "4000": code_port,
        "3000": str(port),
        "0.0.0.0": "127.0.0.1",
    }
    host = Host(project_copy, environ, instead)
    (migrate,) = compose()["services"]["migrate"]["command"]
    subprocess.run(["batch-assets", migrate], cwd=project_copy, env=environ, check=True)
    with (
        host.container("code-server", lambda: listens(int(code_port))),
        host.container("webserver", lambda: ask(port).get("schedulesOrError")),
        host.container("daemon", lambda: heartbeats(database_url)) as said,
    ):
        wait_until(lambda: runs_of_the_schedule(database_url), said)
        # Once told to end, Dagster closes the workspace under ticks that go on, and these say so.
        at_work = said.read_text(encoding="utf-8")
    wait_until(lambda: not processes_of(project_copy), said)
    assert "ERROR" not in at_work
