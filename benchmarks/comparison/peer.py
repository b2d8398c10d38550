"""Measures the peer: a library that sends requests through the Batch API, too, beside this project.

It is asked the same: what this project uploads is taken from the server, and becomes its items.
"""

import json
import os
import subprocess
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from benchmarks.comparison.opening import API_KEY
from benchmarks.comparison.peer_environment import PEER
from benchmarks.comparison.usage import Usage

_NOT_SAID: Final = ("max_completion_tokens", "temperature")
"""Of a body: the peer knows no such parameters."""
_INHERITED: Final = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Prompts:
    """What this project asks, as the peer's items: a file with an object a line."""

    path: Path
    model: str
    system: str
    schema_name: str
    schema: Mapping[str, Any]
    bodies: Mapping[str, int]
    """Of each item: a checksum of its request's body, but for what the peer cannot say."""


def keep_prompts(base_url: str, path: Path) -> Prompts:
    """Write the prompts of what is uploaded to the server; they differ in the conversation alone.

    Raises:
        BatchAssetsError: Nothing is uploaded.
    """
    bodies: dict[str, int] = {}
    body: dict[str, Any] | None = None
    with path.open("w", encoding="utf-8") as stream:
        for item, body in _uploaded(base_url):
            bodies[item] = _checksum(body)
            stream.write(json.dumps({"id": item, "text": body["messages"][1]["content"]}) + "\n")
    if body is None:
        raise BatchAssetsError(f"There is nothing to ask {PEER}: no file was uploaded.")
    answer = body["response_format"]["json_schema"]
    system: str = body["messages"][0]["content"]
    return Prompts(path, body["model"], system, answer["name"], answer["schema"], bodies)


def run_peer(
    python: Path, prompts: Prompts, database_url: str, base_url: str, directory: Path
) -> Usage:
    """Send all prompts and write all results, in a process of the peer's interpreter.

    Raises:
        BatchAssetsError: It failed, asked something else, or has not answered every item.
    """
    results = directory / "results.jsonl"
    task = {
        "database_url": database_url,
        "directory": str(directory),
        "results": str(results),
        "prompts": str(prompts.path),
        "model": prompts.model,
        "system": prompts.system,
        "schema_name": prompts.schema_name,
        "schema": prompts.schema,
    }
    path = directory / "task.json"
    path.write_text(json.dumps(task), encoding="utf-8")
    ended = subprocess.run(  # noqa: S603 (the interpreter of an environment that was made here)
        [python, "-m", "benchmarks.comparison.peer_process", path],
        cwd=PROJECT_DIR,
        env=_environment(base_url),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise BatchAssetsError(f"{PEER} has failed: {ended.stderr.strip()[-2_000:]}")
    if {item: _checksum(body) for item, body in _uploaded(base_url)} != prompts.bodies:
        raise BatchAssetsError(f"{PEER} has not asked what this project asks.")
    _require_answered(results, len(prompts.bodies))
    return Usage(**json.loads(ended.stdout.splitlines()[-1]))


def _environment(base_url: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": API_KEY}


def _uploaded(base_url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The id of each item and the body of its request, in all input files of the server."""
    with httpx2.Client(base_url=base_url, trust_env=False, timeout=60) as client:
        listed = client.get("/files", params={"limit": 100_000}).raise_for_status().json()
        for file in listed["data"]:
            if file["purpose"] == "batch":
                text = client.get(f"/files/{file['id']}/content").raise_for_status().content
                for line in text.splitlines():
                    request = json.loads(line)
                    # The peer writes the number of the attempt after the item's id.
                    yield request["custom_id"].partition(":")[0], request["body"]


def _checksum(body: Mapping[str, Any]) -> int:
    said = {name: value for name, value in body.items() if name not in _NOT_SAID}
    return zlib.crc32(json.dumps(said, sort_keys=True).encode())


def _require_answered(results: Path, items: int) -> None:
    with results.open(encoding="utf-8") as lines:
        answered = sum(json.loads(line)["status"] == "completed" for line in lines)
    if answered != items:
        raise BatchAssetsError(f"{PEER} has answered {answered:,} of {items:,} items.")
