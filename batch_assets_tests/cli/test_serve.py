"""The README's way into production is typed here as it stands there, and holds what it promises."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pexpect
import psycopg
import pytest

from batch_assets.project_files import PROJECT_DIR
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.cli.conftest import KEY
from batch_assets_tests.cli.dev_program import check_door, free_port, processes_of
from batch_assets_tests.databases import connected
from batch_assets_tests.factories import make_company, make_requests

PATIENCE_SECONDS = 180
PROMPT = "typed> "


def documented() -> list[str]:
    """The lines that the README has people type, from the settings on."""
    text = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Use it on your database")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture
def shell(project_copy: Path) -> Iterator["pexpect.spawn[str]"]:
    """A shell in a copy of the project, with its virtual environment active."""
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(project_copy),
        "PS1": PROMPT,
        "COLUMNS": "80",
        "BATCH_MAX_WAIT_MINUTES": "0",
        "BATCH_BACKLOG_CHECK_SECONDS": "5",
        "BATCH_COMPLETION_CHECK_SECONDS": "5",
        "COMPANY_CACHE_SECONDS": "0",
    }
    spawned = pexpect.spawn(
        "sh", cwd=str(project_copy), env=environ, encoding="utf-8", timeout=PATIENCE_SECONDS
    )
    spawned.setwinsize(24, 80)
    spawned.expect_exact(PROMPT)
    yield spawned
    spawned.close(force=True)


def wait_until(shell: "pexpect.spawn[str]", is_so: Callable[[], object]) -> None:
    """Wait, and read meanwhile what is printed: a terminal that nobody reads holds programs up."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up, shell.buffer
        shell.expect(pexpect.TIMEOUT, timeout=0.3)


def probe(address: str) -> tuple[int, dict[str, Any]]:
    """What a probe is answered; 0 if nothing is."""
    try:
        answer = httpx2.get(address, timeout=20)
    except httpx2.TransportError:
        return 0, {}
    return answer.status_code, answer.json()


def open_requests(database_url: str) -> int:
    statement = """SELECT count(*) FROM public."AIProcessingRequest"
        WHERE "processingStatus" <> 'PROCESSING_COMPLETE'"""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])


def add_requests(database_url: str) -> None:
    with connected(database_url) as connection:
        make_requests(connection, make_company(connection), 2)


def kill(part: str, shell: "pexpect.spawn[str]", health: str) -> None:
    """Kill a part, and wait until there is another process of it."""

    def process() -> int | None:
        found: int | None = probe(f"{health}/ready")[1]["processes"][part]
        return found

    before = process()
    assert before
    os.kill(before, signal.SIGKILL)
    shell.expect_exact(f"The {part} has ended by SIGKILL")
    wait_until(shell, lambda: process() not in {None, before})


def as_here(line: str, given: Mapping[str, str]) -> str:
    for old, new in given.items():
        line = re.sub(old, new, line)
    return line


def test_the_documented_way_starts_it_and_what_is_killed_comes_back(
    shell: "pexpect.spawn[str]",
    project_copy: Path,
    livedash_database_url: str,
    api: RunningServer,
) -> None:
    # What a run is made from comes half from the file and half from the environment.
    (project_copy / ".env").write_text(f"OPENAI_BASE_URL={api.base_url}\n", encoding="utf-8")
    add_requests(livedash_database_url)
    port, health_port = free_port(), free_port()
    given = {
        r"DATABASE_URL='[^']*'": f"DATABASE_URL='{livedash_database_url}'",
        r"OPENAI_API_KEY='[^']*'": f"OPENAI_API_KEY='{KEY}'",
        r"batch-assets serve": f"batch-assets serve --port {port} --health-port {health_port}",
    }
    lines = documented()
    assert [line.split()[1] for line in lines if line.startswith("batch-assets")] == [
        "migrate",
        "doctor",
        "plan",
        "confirm",
        "serve",
    ]
    for line in lines:
        shell.sendline(as_here(line, given))
        if "confirm" in line:
            shell.expect_exact("[y/N]:")
            shell.sendline("y")
        if "serve" not in line:
            shell.expect_exact(PROMPT)
    shell.expect_exact(f"The UI is at http://127.0.0.1:{port}")
    health = f"http://127.0.0.1:{health_port}"
    wait_until(shell, lambda: probe(f"{health}/ready")[0] == 200)
    assert probe(f"{health}/live") == (200, {"live": True})
    assert probe(f"{health}/anything")[0] == 404
    check_door(port)
    wait_until(shell, lambda: not open_requests(livedash_database_url))

    refused = subprocess.run(
        ["batch-assets", "serve", "--port", str(free_port()), "--health-port", str(free_port())],
        cwd=project_copy,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(project_copy),
            "DATABASE_URL": livedash_database_url,
            "OPENAI_API_KEY": KEY,
        },
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert refused.stderr.startswith(
        "A daemon is at work on this database already (batch-assets on"
    )
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    for part in ("code server", "daemon", "web server"):
        kill(part, shell, health)
    wait_until(shell, lambda: probe(f"{health}/ready")[0] == 200)
    add_requests(livedash_database_url)
    wait_until(shell, lambda: not open_requests(livedash_database_url))

    shell.sendintr()
    shell.expect_exact("Everything has ended.")
    shell.expect_exact(PROMPT)
    shell.sendline("echo ended with $?")
    shell.expect_exact("ended with 0\r\n")
    assert processes_of(project_copy) <= {shell.pid}
