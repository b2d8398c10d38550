"""What the tests of the local server share: rows, uploads, batches, waiting."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from openai import OpenAI
from openai.types import Batch, FileObject

from batch_assets_local.batch_server import RunningServer

ENDPOINT: Final = "/v1/chat/completions"
ENDED = {"completed", "failed", "expired", "cancelled"}


def echo(messages: list[dict[str, Any]], response_format: dict[str, Any] | None) -> str:
    """A stand-in for the answers: says how many messages there were, and stumbles if asked to."""
    if messages and messages[0].get("content") == [{"type": "text", "text": "stumble"}]:
        raise RuntimeError("stumbled, as asked")
    return json.dumps({"messages": len(messages), "formatted": response_format is not None})


def row(custom_id: str, /, model: str | None = "gpt-4o-mini", **body: Any) -> dict[str, Any]:
    """One request line, as an object."""
    messages = [{"role": "user", "content": f"hello from {custom_id}"}]
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": ENDPOINT,
        "body": {"model": model, "messages": messages} | body,
    }


def rows(count: int, /, **body: Any) -> list[dict[str, Any]]:
    """Request lines r1, r2, ..."""
    return [row(f"r{number}", **body) for number in range(1, count + 1)]


def jsonl(lines: Sequence[dict[str, Any]]) -> bytes:
    """Lines as a file."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return once the condition holds; fail the test if it does not in time."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "the condition did not come true in time"
        time.sleep(0.01)


@dataclass(frozen=True)
class Lab:
    """A running server and a client of it that never retries."""

    server: RunningServer
    client: OpenAI

    def configure(self, **parts: Any) -> None:
        """Put a configuration in force: no waiting, and these parts."""
        timing = {
            "validation_seconds": 0,
            "processing_seconds": 0,
            "finalizing_seconds": 0,
            "cancel_seconds": 0,
        } | parts.pop("timing", {})
        self.server.set_config({"timing": timing, **parts})

    def upload(self, content: bytes | Sequence[dict[str, Any]]) -> FileObject:
        """Upload an input file."""
        data = content if isinstance(content, bytes) else jsonl(content)
        return self.client.files.create(file=("input.jsonl", data), purpose="batch")

    def create(self, content: bytes | Sequence[dict[str, Any]], **options: Any) -> Batch:
        """Upload an input file and create a batch of it."""
        return self.client.batches.create(
            input_file_id=self.upload(content).id,
            endpoint=ENDPOINT,
            completion_window="24h",
            **options,
        )

    def until(self, batch: Batch, *statuses: str) -> Batch:
        """Poll until the batch has one of the statuses."""
        give_up_at = time.monotonic() + 60
        while (batch := self.client.batches.retrieve(batch.id)).status not in statuses:
            assert time.monotonic() < give_up_at, f"the batch is still {batch.status}"
            time.sleep(0.01)
        return batch

    def run(self, content: bytes | Sequence[dict[str, Any]], **options: Any) -> Batch:
        """Create a batch and wait for its end."""
        return self.until(self.create(content, **options), *ENDED)

    def lines(self, file_id: str | None) -> list[dict[str, Any]]:
        """The lines of a result file."""
        assert file_id
        return [json.loads(line) for line in self.client.files.content(file_id).iter_lines()]

    def errors(self, batch: Batch) -> list[tuple[str | None, int | None]]:
        """The codes and lines of a failed batch."""
        assert batch.errors is not None
        assert batch.errors.data is not None
        return [(error.code, error.line) for error in batch.errors.data]

    def control(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """A call of the control routes."""
        root = self.server.base_url.removesuffix("/v1")
        return httpx2.request(method, f"{root}/_local/{path}", **options)
