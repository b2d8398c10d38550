"""A server that would fill the memory, hold a run for ever or stop everyone: it does none of it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from batch_assets.domain.batches import SubmittedBatch, UploadedBatch
from batch_assets.domain.records import RemoteBatch
from batch_assets.openai_batch import limits
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.pipeline import Budget
from batch_assets_tests.openai_batch.scripted_server import (
    Call,
    Reply,
    ScriptedServer,
    as_json,
)
from batch_assets_tests.openai_batch.test_limits import bomb, dribble, packed
from batch_assets_tests.stages.support import ANSWER, Lab

SCRIPT = """
import sys, time
from pathlib import Path
from batch_assets.domain.errors import ApiError
from batch_assets.openai_batch import limits
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.orphans import delete_leftovers
from batch_assets.stages.ingest import ingest_results
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.poll import check_statuses
from batch_assets.store.engine import open_engine
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.policies import a_policy

database_url, base_url, spool_dir, optimized = sys.argv[1:]
limits._READING_OVERTIME = 0.5
engine = open_engine(database_url)
api = BatchApi("sk-x", base_url, timeouts=Timeouts(read=5, reading=1), reading_retries=0)
pipeline = Pipeline(
    choose_queries(engine, optimized=optimized == "True"),
    Registry(engine, 900),
    api,
    a_policy(absence_grace_seconds=0),
    Path(spool_dir),
    "host:1",
)
api.prepare()
longest = 0.0
for stage in (check_statuses, ingest_results, delete_leftovers):
    began = time.monotonic()
    try:
        stage(pipeline, pipeline.read_snapshot(), Budget(6, 10**6))
    except ApiError as error:
        print(stage.__name__, error.failure.code, file=sys.stderr)
    longest = max(longest, time.monotonic() - began)
# Not ru_maxrss, which also counts what this process was before its program started.
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(int(peak.split()[1]) // 1024, longest)
"""

GOOD = 2
HOSTILE_BATCHES = {
    "nul": lambda batch: as_json({**batch, "status": "in\x00progress"}),
    "huge id": lambda batch: as_json({**batch, "id": "x" * 3_000_000}),
    "half": lambda batch: as_json({**batch, "output_file_id": "file-\ud83d"}),
    "bomb": lambda batch: packed(bomb()),
    "slow": lambda batch: Reply(200, dribble),
    "values": lambda batch: Reply(200, b'{"id": "b", "x": [' + b"{}," * 2_000_000 + b"{}]}"),
}
HOSTILE_FILES = {
    "line": lambda: Reply(200, endless, {}),
    "slow": lambda: Reply(200, dribble, {}),
    "bomb": lambda: packed(bomb(), "gzip, gzip"),
    "page": lambda: Reply(200, b"<p>busy</p>\n" * 20, {"content-type": "text/html"}),
}


def endless() -> Iterator[bytes]:
    for _ in range(300):
        yield b"x" * 1_000_000


def submit_to(lab: Lab, openai_ids: list[str]) -> dict[str, list[str]]:
    """A batch of two requests on the server for each of these ids; the requests of each."""
    for _ in openai_ids:
        lab.company(2)
    batches = lab.claim()
    queries = lab.pipeline.queries
    queries.record_uploads(
        [UploadedBatch(one.lease, f"in-{at}", 10) for at, one in enumerate(batches)], 60
    )
    queries.record_submissions(
        [
            SubmittedBatch(one.lease, RemoteBatch(openai_id, "validating", f"in-{at}"))
            for at, (openai_id, one) in enumerate(zip(openai_ids, batches, strict=True))
        ]
    )
    rows = {openai_id: one.id for openai_id, one in zip(openai_ids, batches, strict=True)}
    select = 'SELECT id FROM public."AIProcessingRequest" WHERE "batchId" = :id'
    return {openai_id: lab.desk.column(select, id=batch_id) for openai_id, batch_id in rows.items()}


def ended(openai_id: str) -> dict[str, object]:
    return {
        "id": openai_id,
        "status": "completed",
        "created_at": int(datetime.now(UTC).timestamp()),
        "output_file_id": f"file-{openai_id}",
        "request_counts": {"total": 2, "completed": 2, "failed": 0},
    }


def results(request_ids: list[str]) -> bytes:
    choice = {"message": {"content": json.dumps(ANSWER)}, "finish_reason": "stop"}
    body = {"model": "gpt-4o-mini", "choices": [choice], "usage": {"prompt_tokens": 10}}
    rows = [
        {"custom_id": one, "response": {"status_code": 200, "body": body}} for one in request_ids
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("lists", ["good", "endless"])
def test_others_go_on_in_time_and_in_memory(
    lab: Lab, engine: Engine, lists: str, request: pytest.FixtureRequest
) -> None:
    good = [f"good-{number}" for number in range(GOOD)]
    bad = [f"bad {name}".replace(" ", "-") for name in HOSTILE_BATCHES]
    files = [f"file {name}".replace(" ", "-") for name in HOSTILE_FILES]
    rows = submit_to(lab, [*bad, *files, *good])
    hostile = dict(zip(bad, HOSTILE_BATCHES.values(), strict=True))
    downloads = dict(zip(files, HOSTILE_FILES.values(), strict=True))
    pages = 0

    def answer(call: Call) -> Reply:
        nonlocal pages
        path = call.path.partition("?")[0].removeprefix("/v1/")
        if path == "batches":
            pages += 1
            items = [ended(one) for one in [*good, *files]]
            if lists == "endless":
                return as_json({"data": [ended(f"x-{pages}")], "has_more": True})
            return as_json({"data": [*items, {"id": 7}], "has_more": False})
        kind, _, rest = path.partition("/")
        if kind == "batches":
            return hostile[rest](ended(rest)) if rest in hostile else as_json(ended(rest))
        one = rest.removeprefix("file-").removesuffix("/content")
        if call.method == "DELETE":
            return Reply(200, dribble)
        return downloads[one]() if one in downloads else Reply(200, results(rows[one]), {})

    scripted = ScriptedServer()
    scripted.route = answer
    database_url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    is_optimized = "optimized" in request.node.callspec.id
    with scripted.listening() as url:
        command = [sys.executable, "-c", SCRIPT, database_url, url]
        command += [str(lab.pipeline.spool_dir), str(is_optimized)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    megabytes, longest = done.stdout.split()
    assert int(megabytes) < 400
    assert float(longest) < 12, done.stderr
    complete = [one for name in good for one in rows[name]]
    assert lab.statuses(complete) == ["PROCESSING_COMPLETE"] * 2 * GOOD, done.stderr
    assert lab.bucket_counts() == {
        "complete": 2 * GOOD,
        "in_batch": 2 * (len(bad) + len(files)),
    }


@pytest.mark.parametrize("slow", ["files", "batches"])
def test_an_op_that_sends_ends_in_time(
    lab: Lab, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        lab.company(1)
    monkeypatch.setattr(limits, "_CREATING_OVERTIME", 0.5)

    def answer(call: Call) -> Reply:
        is_slow = call.method == "POST" and call.path.endswith(slow)
        return Reply(200, dribble) if is_slow else as_json({"id": "file-1", "data": []})

    scripted = ScriptedServer()
    scripted.route = answer
    with scripted.listening() as url, BatchApi("sk-x", url) as api:
        api.prepare()
        began = time.monotonic()
        report = lab.using(api).submit(Budget(1.5, 100))
    assert time.monotonic() - began < 8
    assert (report.batches, report.unresolved) == (0, 1)
    state = "claimed" if slow == "files" else "uploaded"
    assert len(lab.batches(state)) == 1, "its outcome is looked up"
    assert lab.bucket_counts() == {"in_batch": 1, "waiting": 2}
