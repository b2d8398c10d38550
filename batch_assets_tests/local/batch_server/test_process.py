"""The server as a process: started, stopped, killed in mid-batch, and read after its death."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import OpenAI

from batch_assets.domain.errors import LocalStackError
from batch_assets_local.batch_server import Ledger, RunningServer, running_server
from batch_assets_tests.local.batch_server.support import ENDPOINT, echo, jsonl, rows, wait_until

MODULE = (sys.executable, "-m", "batch_assets_local.batch_server")
# The same as the module, with a stand-in for its answers.
STAND_IN = """
import sys
from pathlib import Path
from batch_assets_local.batch_server.running import serve
from batch_assets_tests.local.batch_server.support import echo
state_dir, port_file = map(Path, sys.argv[1:])
serve(state_dir, host="127.0.0.1", port=0, port_file=port_file, answerer=echo)
"""


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def stand_in(state_dir: Path) -> Iterator[tuple[subprocess.Popen[str], OpenAI]]:
    """A server process with a stand-in for its answers, and a client of it."""
    port_file = state_dir.with_name("port")
    command = (sys.executable, "-c", STAND_IN, str(state_dir), str(port_file))
    with answering(port_file, command) as (running, client):
        yield running, client


@contextmanager
def answering(
    port_file: Path, command: tuple[str, ...]
) -> Iterator[tuple[subprocess.Popen[str], OpenAI]]:
    """A server process that answers, and a client of it."""
    port_file.unlink(missing_ok=True)
    with process(*command) as running:
        wait_until(lambda: port_file.exists() or running.poll() is not None, 30)
        url = f"http://127.0.0.1:{int(port_file.read_text())}/v1"
        with OpenAI(api_key="local", base_url=url, max_retries=0) as client:
            yield running, client


def test_it_ends_well_on_sigterm_and_keeps_its_state(tmp_path: Path) -> None:
    state_dir, port_file = tmp_path / "state", tmp_path / "port"
    options = ("--state-dir", str(state_dir), "--port", "0", "--port-file", str(port_file))
    with answering(port_file, (*MODULE, *options)) as (running, client):
        file = client.files.create(file=("a.jsonl", jsonl(rows(2))), purpose="batch")
        asked = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "How many days off have I?"}]
        )
        assert asked.choices[0].message.content, "it answers by itself"
        running.terminate()
        assert running.wait(timeout=60) == 0
        assert running.stderr is not None
        assert running.stderr.read() == ""
    with running_server(state_dir, answerer=echo) as server:
        assert server.service.files.require(file.id).filename == "a.jsonl"


def test_killed_in_mid_batch_it_goes_on_and_bills_each_row_once(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    pace = {"validation_seconds": 0, "processing_seconds": 1.5, "finalizing_seconds": 0}
    (state_dir / "config.json").write_text(json.dumps({"timing": pace}))
    total = 3_000
    with stand_in(state_dir) as (running, client):
        file = client.files.create(file=("a.jsonl", jsonl(rows(total))), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h"
        )
        wait_until(lambda: Ledger(state_dir).totals().requests > 0)
        running.kill()
        running.wait()
    billed = Ledger(state_dir).totals().requests
    assert 0 < billed < total, "the kill was to come in mid-batch"
    (state_dir / "spool" / "left-behind").write_bytes(b"x")
    (state_dir / "files" / "file-unknown").write_bytes(b"x")

    with stand_in(state_dir) as (_, client):
        while (batch := client.batches.retrieve(batch.id)).status != "completed":
            time.sleep(0.05)
        lines = client.files.content(batch.output_file_id or "").read().splitlines()
    assert batch.request_counts is not None
    assert batch.request_counts.completed == total
    assert len({json.loads(line)["custom_id"] for line in lines}) == len(lines) == total
    totals = Ledger(state_dir).totals()
    assert (totals.requests, totals.distinct_custom_ids) == (total, total)
    assert list((state_dir / "spool").iterdir()) == []
    assert not (state_dir / "files" / "file-unknown").exists()


def test_rules_go_on_counting_after_a_restart(tmp_path: Path) -> None:
    def outcome(server: RunningServer) -> bool:
        with OpenAI(api_key="local", base_url=server.base_url, max_retries=0) as client:
            return client.models.with_raw_response.list().status_code == 200

    fault = {"operation": "models.list", "after": 1, "count": 1}
    calls = [fault | {"effect": {"kind": "answer", "status": 503}}]
    with running_server(tmp_path, config={"calls": calls}, answerer=echo) as server:
        assert outcome(server)
    with running_server(tmp_path, answerer=echo) as server, pytest.raises(Exception, match="503"):
        outcome(server)
    with running_server(tmp_path, answerer=echo) as server:
        assert outcome(server)


def test_one_server_a_state_directory(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, answerer=echo),
        pytest.raises(LocalStackError, match="in use by another local server"),
        running_server(tmp_path, answerer=echo),
    ):
        pass


def test_state_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, answerer=echo) as server,
        server.service.database.reading() as connection,
    ):
        connection.execute("ALTER TABLE ledger DROP COLUMN service_tier")
        connection.execute("PRAGMA user_version = 1")
    with running_server(tmp_path, answerer=echo) as server:
        assert list(server.ledger().entries()) == []


def test_state_of_another_version_is_refused(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, answerer=echo) as server,
        server.service.database.reading() as connection,
    ):
        connection.execute("PRAGMA user_version = 99")
    with (
        pytest.raises(LocalStackError, match="another version"),
        running_server(tmp_path, answerer=echo),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (("--port", "{taken}"), 7, "cannot listen on port {taken} of 127.0.0.1"),
        (("--host", "0.0.0.0"), 2, "listens on loopback only"),
        (("--host", "nonsense"), 2, "listens on loopback only"),
        (("--port", "70000"), 2, "a port is a number from 0 to 65535"),
    ],
)
def test_wrong_options_get_one_sentence(
    tmp_path: Path, options: tuple[str, str], status: int, sentence: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        given = (option.format(taken=taken) for option in options)
        with process(*MODULE, "--state-dir", str(tmp_path), *given) as running:
            _, complaint = running.communicate(timeout=30)
    assert running.returncode == status
    assert sentence.format(taken=taken) in complaint
    assert "Traceback" not in complaint
