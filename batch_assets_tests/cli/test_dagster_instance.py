"""What Dagster's programs cannot work with is one sentence, before anything is loaded."""

import subprocess
from pathlib import Path

import pytest

from batch_assets_tests.cli.dev_program import free_port
from batch_assets_tests.cli.test_apart import environment


@pytest.mark.parametrize("command", ["daemon", "webserver", "code-server", "serve"])
def test_what_cannot_work_is_one_sentence(command: str, project_copy: Path) -> None:
    environ = environment(project_copy, DATABASE_URL="postgresql://livedash@127.0.0.1:9/livedash")
    port = [] if command == "daemon" else ["--port", str(free_port())]
    health = ["--health-port", str(free_port())] if command == "serve" else []
    ended = subprocess.run(
        ["batch-assets", command, *port, *health],
        cwd=project_copy,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "OPENAI_API_KEY is missing" in ended.stderr
