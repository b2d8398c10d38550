"""A Batch API whose answers are prepared: what it takes of the machine is next to nothing.

It believes whatever it is sent, keeps everything in memory, and makes result files while nothing is
measured. `delay` seconds pass before each answer. Of more than `at_a_time` calls it refuses the
rest with 429, as a rate limit does.
"""

import asyncio
import json
import re
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, Final
from urllib.parse import parse_qs

from benchmarks.comparison.phrases import analysis
from benchmarks.comparison.sizes import MODEL

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

_CUSTOM_ID: Final = re.compile(rb'"custom_id":\s*("[^"]*")')
_FILE_NAME: Final = re.compile(rb'filename="([^"]*)"')
_ANSWERS: Final = tuple(
    json.dumps(json.dumps(analysis(week, topic))).encode()
    for week in range(1, 53)
    for topic in range(8)
)
_BEFORE_ID: Final = b'{"id":"batch_req_%d","custom_id":'
_BEFORE_ANSWER: Final = (
    b',"response":{"status_code":200,"request_id":"req_%d","body":{"id":"chatcmpl-%d",'
    b'"object":"chat.completion","created":1790000000,"model":"' + MODEL.encode() + b'",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":'
)
_AFTER_ANSWER: Final = (
    b',"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":600,"completion_tokens":150,"total_tokens":750,'
    b'"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},'
    b'"service_tier":"default","system_fingerprint":"fp_prepared"}},"error":null}\n'
)
_REFUSAL: Final = json.dumps(
    {
        "error": {
            "message": "Too many requests at one time.",
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        }
    }
).encode()
_NOT_FOUND: Final = b'{"error":{"message":"No such object.","type":"invalid_request_error"}}'


@dataclass
class Served:
    """What was asked of the server since it began."""

    calls: int = 0
    refused: int = 0
    """Those of them that were answered with 429."""
    cpu_s: float = 0.0
    """Processor time of the server's process."""

    def plus(self, now: "Served", before: "Served") -> "Served":
        """What has been asked between two looks, on top of this."""
        return Served(
            calls=self.calls + now.calls - before.calls,
            refused=self.refused + now.refused - before.refused,
            cpu_s=self.cpu_s + now.cpu_s - before.cpu_s,
        )


@dataclass(slots=True)
class _File:
    id: str
    name: str
    purpose: str
    created_at: int
    content: bytes = field(repr=False)

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


class PreparedApi:
    """An ASGI application; its one thread is all that touches it."""

    def __init__(self, delay: float, at_a_time: int | None) -> None:
        self._delay = delay
        self._at_a_time = at_a_time
        self._served = Served()
        self._inside = 0
        self._numbers = count(1)
        self._files: dict[str, _File] = {}
        self._batches: dict[str, dict[str, Any]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path.startswith("/_bench/"):
            await _answer(send, 200, self._control(path.removeprefix("/_bench/")))
            return
        self._served.calls += 1
        self._inside += 1
        try:
            if self._at_a_time is not None and self._inside > self._at_a_time:
                self._served.refused += 1
                await _answer(send, 429, _REFUSAL)
                return
            body = await _body(receive)
            if self._delay:
                await asyncio.sleep(self._delay)
            answer = self._route(scope["method"], path, scope["query_string"], body)
            await _answer(send, 404 if answer is None else 200, answer or _NOT_FOUND)
        finally:
            self._inside -= 1

    def _control(self, what: str) -> bytes:
        if what == "end":
            for batch in self._batches.values():
                if batch["status"] == "in_progress":
                    self._end(batch)
        self._served.cpu_s = time.process_time()
        return json.dumps(asdict(self._served)).encode()

    def _route(self, method: str, path: str, query: bytes, body: bytes) -> bytes | None:
        """The answer; `None`: there is nothing of that kind."""
        what, _, rest = path.removeprefix("/v1/").partition("/")
        one, _, part = rest.partition("/")
        if what == "files":
            return self._of_files(method, one, part, query, body)
        if method == "POST":
            return self._create(json.loads(body))
        if not one:
            return self._page(list(self._batches.values()), query)
        return _json(self._batches.get(one))

    def _of_files(
        self, method: str, one: str, part: str, query: bytes, body: bytes
    ) -> bytes | None:
        if method == "POST":
            return self._upload(body)
        if not one:
            return self._page([file.shown() for file in self._files.values()], query)
        if method == "DELETE":
            is_there = self._files.pop(one, None) is not None
            return _json({"id": one, "object": "file", "deleted": True} if is_there else None)
        file = self._files.get(one)
        if file is None or part:
            return None if file is None else file.content
        return _json(file.shown())

    def _upload(self, form: bytes) -> bytes:
        name = _FILE_NAME.search(form, 0, 4_096)
        begin = form.index(b"\r\n\r\n", name.end() if name else 0) + 4
        content = form[begin : form.rindex(b"\r\n--", 0, form.rindex(b"--"))]
        file = self._keep(name[1].decode() if name else "", "batch", content)
        return json.dumps(file.shown()).encode()

    def _keep(self, name: str, purpose: str, content: bytes) -> _File:
        file = _File(f"file-{next(self._numbers)}", name, purpose, int(time.time()), content)
        self._files[file.id] = file
        return file

    def _create(self, asked: dict[str, Any]) -> bytes:
        batch = {
            "id": f"batch_{next(self._numbers)}",
            "object": "batch",
            "endpoint": asked["endpoint"],
            "errors": None,
            "input_file_id": asked["input_file_id"],
            "completion_window": asked["completion_window"],
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": int(time.time()),
            "completed_at": None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
        }
        self._batches[batch["id"]] = batch
        return json.dumps(batch).encode()

    def _page(self, newest_last: list[dict[str, Any]], query: bytes) -> bytes:
        asked = parse_qs(query.decode())
        limit = int(asked.get("limit", ["20"])[0])
        found = newest_last[::-1]
        if "after" in asked:
            ids = [one["id"] for one in found]
            found = found[ids.index(asked["after"][0]) + 1 :]
        page = {"object": "list", "data": found[:limit], "has_more": len(found) > limit}
        return json.dumps(page).encode()

    def _end(self, batch: dict[str, Any]) -> None:
        ids = _CUSTOM_ID.findall(self._files[batch["input_file_id"]].content)
        output = self._keep("output.jsonl", "batch_output", b"".join(map(self._line, ids)))
        batch["status"] = "completed"
        batch["output_file_id"] = output.id
        batch["completed_at"] = int(time.time())
        batch["request_counts"] = {"total": len(ids), "completed": len(ids), "failed": 0}

    def _line(self, custom_id: bytes) -> bytes:
        number = next(self._numbers)
        answer = _ANSWERS[zlib.crc32(custom_id) % len(_ANSWERS)]
        return b"".join(
            (
                _BEFORE_ID % number,
                custom_id,
                _BEFORE_ANSWER % (number, number),
                answer,
                _AFTER_ANSWER,
            )
        )


def _json(shown: dict[str, Any] | None) -> bytes | None:
    return None if shown is None else json.dumps(shown).encode()


async def _body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
