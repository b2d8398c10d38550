"""The floor: the same rows through bare SQL and JSON, without a server, a guard or a record.

Nothing that a run needs to be safe is done, so no run can be as quick. Of one model and type. What
LiveDash's tables are to hold beside requests and sessions is a stage of its own, `floor_rest`.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import psycopg

from batch_assets.store.sql import load
from benchmarks.comparison.phrases import analysis
from benchmarks.comparison.sizes import MODEL
from benchmarks.comparison.usage import Meter, Usage

_SQL = {
    name: str(statement).encode()
    for name, statement in load(Path(__file__).with_suffix(".sql")).items()
}
_REST: Final = ("language", "category", "questions")
_COLUMNS: Final = ("language", "sentiment", "category", "escalated", "forwarded_hr", "summary")


def run_floor(stage: str, url: str, directory: Path) -> Usage:
    """Run one stage of the floor; the others find in `directory` what the first left there."""
    inputs, outputs = directory / "inputs.jsonl", directory / "outputs.jsonl"
    if stage == "floor_ingest":
        _answer_all(inputs, outputs)
    meter = Meter()
    with meter.running(), psycopg.connect(url) as connection:
        FLOOR[stage](connection, inputs if stage == "floor_create" else outputs)
    return meter.usage()


def _create(connection: psycopg.Connection[Any], path: Path) -> None:
    """Claim what waits, and write it to disk as the lines of one input file."""
    connection.execute(_SQL["claim"])
    connection.commit()
    with connection.cursor("reading") as cursor, path.open("w", encoding="utf-8") as stream:
        cursor.itersize = 10_000
        cursor.execute(_SQL["read"])
        for request_id, rows in groupby(cursor, itemgetter(0)):
            messages = [{"role": role, "content": content} for _, role, content in rows]
            body = {"model": MODEL, "messages": messages}
            stream.write(json.dumps({"custom_id": request_id, "body": body}) + "\n")


def _ingest(connection: psycopg.Connection[Any], path: Path) -> None:
    """Copy the lines of one output file into a staging table, and update from there."""
    connection.execute(_SQL["make_staging"])
    with connection.cursor().copy(_SQL["copy"]) as copy:
        for row in _results(path):
            copy.write_row(row)
    connection.execute(_SQL["write_requests"])
    connection.execute(_SQL["write_sessions"])


def _write_rest(connection: psycopg.Connection[Any], path: Path) -> None:
    """Batches, the stages of sessions, and questions with their links, each by one statement."""
    connection.execute(_SQL["make_findings"])
    with connection.cursor().copy(_SQL["copy_findings"]) as copy:
        for request_id, _, content in _answers(path):
            copy.write_row([request_id, *(content[name] for name in _REST)])
    for name in ("write_batches", "write_stages", "write_questions", "link_questions"):
        connection.execute(_SQL[name])


FLOOR: Final[Mapping[str, Callable[[psycopg.Connection[Any], Path], None]]] = {
    "floor_create": _create,
    "floor_ingest": _ingest,
    "floor_rest": _write_rest,
}


def _results(path: Path) -> Iterator[tuple[object, ...]]:
    for request_id, body, content in _answers(path):
        usage = body["usage"]
        yield (
            request_id,
            body["id"],
            usage["prompt_tokens"],
            usage["completion_tokens"],
            *(content[column] for column in _COLUMNS),
        )


def _answers(path: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Of each line the request's id, the answer's body, and the analysis in it."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            result = json.loads(line)
            body = result["response"]["body"]
            yield result["custom_id"], body, json.loads(body["choices"][0]["message"]["content"])


def _answer_all(inputs: Path, outputs: Path) -> None:
    """What a server would make of the input file."""
    with inputs.open(encoding="utf-8") as lines, outputs.open("w", encoding="utf-8") as stream:
        for line in lines:
            request = json.loads(line)
            said = zlib.crc32(request["custom_id"].encode())
            content = json.dumps(analysis(1 + said % 52, said // 52 % 8))
            body = {
                "id": f"chatcmpl-{request['custom_id']}",
                "object": "chat.completion",
                "model": MODEL,
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": content, "refusal": None},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {
                    "prompt_tokens": 600,
                    "completion_tokens": 150,
                    "total_tokens": 750,
                },
            }
            result = {
                "id": f"batch_req_{request['custom_id']}",
                "custom_id": request["custom_id"],
                "response": {"status_code": 200, "body": body},
                "error": None,
            }
            stream.write(json.dumps(result) + "\n")
