"""What the docs say about production is typed here, in a copy that nothing was done in before."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from batch_assets.project_files import PROJECT_DIR
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.cli.conftest import KEY
from batch_assets_tests.cli.test_dev import ask, free_port, processes_of

PAGE = PROJECT_DIR / "docs" / "production.md"
PATIENCE_SECONDS = 120


def documented() -> list[str]:
    """The commands that start it, in their order."""
    section = PAGE.read_text(encoding="utf-8").partition("## Start it\n")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def environment(where: Path, **environ: str) -> dict[str, str]:
    """A shell's, with the copy's virtual environment active."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, **environ, "PATH": path, "PYTHONPATH": str(where)}


@contextmanager
def typed(command: str, where: Path, environ: dict[str, str]) -> Iterator[Path]:
    """A command that goes on until SIGTERM, as a service's does; what it says."""
    output = where.parent / f"{command.split()[1]}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"], cwd=where, env=environ, stdout=file, stderr=file
        )
    try:
        yield output
        assert process.poll() is None, output.read_text(encoding="utf-8")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


def runs_of_the_schedule(database_url: str) -> int:
    """How many runs the schedule has started that have succeeded."""
    statement = """
        SELECT count(*) FROM dagster.runs AS r JOIN dagster.run_tags AS t USING (run_id)
        WHERE r.status = 'SUCCESS' AND t.value = 'batch_processing_schedule'
    """
    with psycopg.connect(database_url) as connection:
        row = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])


def wait_until(is_so: Callable[[], object], said: Path) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up, said.read_text(encoding="utf-8")
        time.sleep(0.5)


def test_the_documented_start_starts(
    project_copy: Path, database_url: str, api: RunningServer
) -> None:
    # What a run is made from comes half from the file and half from the environment.
    (project_copy / ".env").write_text(
        f"DATABASE_URL='{database_url}'\nOPENAI_BASE_URL={api.base_url}\n", encoding="utf-8"
    )
    environ = environment(project_copy, OPENAI_API_KEY=KEY, BATCH_SCHEDULE="* * * * *")
    migrate, webserver, daemon = documented()
    port = free_port()
    webserver = webserver.replace("3000", str(port))
    subprocess.run(["sh", "-c", migrate], cwd=project_copy, env=environ, check=True)
    with (
        typed(webserver, project_copy, environ) as shown,
        typed(daemon, project_copy, environ) as said,
    ):
        wait_until(lambda: ask(port).get("schedulesOrError"), shown)
        wait_until(lambda: runs_of_the_schedule(database_url), said)
        # Once told to end, Dagster closes the workspace under ticks that go on, and these say so.
        at_work = said.read_text(encoding="utf-8")
    wait_until(lambda: not processes_of(project_copy), said)
    assert "ERROR" not in at_work


def test_what_cannot_work_is_one_sentence(project_copy: Path) -> None:
    environ = environment(project_copy, DATABASE_URL="postgresql://livedash@127.0.0.1:9/livedash")
    for command in (["daemon"], ["webserver", "--port", str(free_port())]):
        ended = subprocess.run(
            ["batch-assets", *command],
            cwd=project_copy,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
        assert "OPENAI_API_KEY is missing" in ended.stderr
