"""The local Batch API server in a process that is forked: killed and there again in no time."""

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import httpx2

from batch_assets.domain.errors import LocalStackError
from batch_assets_local.batch_server import Ledger
from batch_assets_local.batch_server.database import read_only
from batch_assets_local.batch_server.running import serve

HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 20.0
_FIELDS: Final[Mapping[str, Any]] = {
    "language": "en",
    "sentiment": "NEUTRAL",
    "escalated": False,
    "forwarded_hr": False,
    "category": "LEAVE_VACATION",
    "questions": ["May I take Friday off?"],
    "summary": "An employee asked for a day off and was told yes.",
}


class Server:
    """One server on one port, with a new state for each schedule."""

    def __init__(self, directory: Path) -> None:
        self.state_dir = directory / "server"
        self._port_file = directory / "port"
        self._port = _free_port()
        self.pid = 0

    @property
    def base_url(self) -> str:
        """For the client."""
        return f"http://{HOST}:{self._port}/v1"

    def begin(self, config: Mapping[str, Any]) -> None:
        """Start it with nothing in it."""
        self.kill()
        shutil.rmtree(self.state_dir, ignore_errors=True)
        self.state_dir.mkdir(mode=0o700, parents=True)
        (self.state_dir / "config.json").write_text(json.dumps(_dated(config)), encoding="utf-8")
        self.start()

    def start(self) -> None:
        """Start it on what it has."""
        self._port_file.unlink(missing_ok=True)
        self.pid = os.fork()
        if self.pid == 0:
            _serve(self.state_dir, self._port, self._port_file)
        give_up = time.monotonic() + _START_SECONDS
        while not self._port_file.exists():
            if time.monotonic() > give_up or self._has_ended():
                raise LocalStackError("The drill's server does not start.")
            time.sleep(0.005)

    def keep_alive(self) -> bool:
        """Start it again if it was killed; whether it was."""
        if not self._has_ended():
            return False
        self.start()
        return True

    def kill(self) -> None:
        """End it, without a chance to put anything in order."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def let_go(self) -> None:
        """Let every batch go on that it keeps where it is."""
        with read_only(self.state_dir) as connection:
            stuck = connection.execute("SELECT id FROM batch WHERE due_at IS NOT NULL").fetchall()
        root = self.base_url.removesuffix("/v1")
        for row in stuck:
            httpx2.post(f"{root}/_local/batches/{row['id']}/release")

    def ledger(self) -> Ledger:
        """What it has billed."""
        return Ledger(self.state_dir)

    def _has_ended(self) -> bool:
        ended, _ = os.waitpid(self.pid, os.WNOHANG)
        return ended == self.pid


def _dated(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, with incidents that last from now on, by the server's clock."""
    now = time.time() + config["timing"].get("clock_skew_seconds", 0)
    rules = [dict(rule) for rule in config.get("batches", ())]
    for rule in rules:
        if "lasts" in rule:
            rule["until"] = now + rule.pop("lasts")
    return {**config, "batches": rules}


def _serve(state_dir: Path, port: int, port_file: Path) -> NoReturn:
    code = 1
    try:
        serve(state_dir, host=HOST, port=port, port_file=port_file, answerer=answer)
        code = 0
    finally:
        os._exit(code)


def answer(_messages: list[dict[str, Any]], response_format: dict[str, Any] | None) -> str:
    """What the model says to everything: always the same of each field that it is asked for."""
    schema = (response_format or {}).get("json_schema", {}).get("schema")
    asked = _FIELDS if schema is None else schema["properties"]
    return json.dumps({name: _FIELDS[name] for name in asked})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
