"""One batch of tens of megabytes passes through a few megabytes of memory, both ways."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.stages.support import ANSWER

CONVERSATIONS = 800
CONVERSATION_BYTES = 20_000
ANSWER_BYTES = 3_000
ALLOWED_BYTES = 3_000_000

SCRIPT = """
import sys, threading, time
from pathlib import Path
import psutil
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.ingest import ingest_results
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.plan import find_due
from batch_assets.stages.poll import check_statuses
from batch_assets.stages.submit import submit_due
from batch_assets.store.engine import open_engine
from batch_assets.store.original import OriginalQueries
from batch_assets.store.registry import Registry
from batch_assets_tests.policies import a_policy

database_url, base_url, spool_dir, warm, heavy = sys.argv[1:]
engine = open_engine(database_url)
policy = a_policy(max_batch_requests=10_000, default_token_allowance=10**9, rows_per_write=100)
api = BatchApi("sk-x", base_url)
pipeline = Pipeline(
    OriginalQueries(engine), Registry(engine, 900), api, policy, Path(spool_dir), "host:1"
)

def budget():
    return Budget(300, 10**6)

def send(company):
    seen = pipeline.read_snapshot()
    find_due(pipeline, seen, [company])
    return submit_due(pipeline, seen, [company], budget()).requests

def read():
    while check_statuses(pipeline, pipeline.read_snapshot(), budget())[0].in_flight:
        time.sleep(0.05)
    return ingest_results(pipeline, pipeline.read_snapshot(), budget())[0].rows.completed

def growth_of(work, *arguments):
    process, done, sizes = psutil.Process(), threading.Event(), []
    def watch():
        while not done.wait(0.005):
            sizes.append(process.memory_info().rss)
    before = process.memory_info().rss
    watcher = threading.Thread(target=watch)
    watcher.start()
    result = work(*arguments)
    done.set()
    watcher.join()
    return result, max(sizes) - before

send(warm), read()  # whatever is imported or kept once is not counted
print(*growth_of(send, heavy), *growth_of(read))
"""


@pytest.fixture
def companies(engine: Engine) -> tuple[str, str]:
    """One company with a few small conversations, and one with many large ones."""
    line = ("user", "word " * (CONVERSATION_BYTES // 4 // 5))
    with engine.begin() as connection:
        warm, heavy = make_company(connection), make_company(connection)
        make_requests(connection, warm, 20)
        make_requests(connection, heavy, CONVERSATIONS, messages=[line] * 4)
    return warm, heavy


def test_memory_does_not_grow_with_a_batch(
    engine: Engine, server: RunningServer, companies: tuple[str, str], tmp_path: Path
) -> None:
    long_answer = ANSWER | {"summary": "word " * (ANSWER_BYTES // 5)}
    effect = {"kind": "content", "content": json.dumps(long_answer)}
    server.set_config(ServerConfig.instant(rows=[{"effect": effect}]))
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    command = [sys.executable, "-c", SCRIPT, url, server.base_url, str(tmp_path / "spool")]
    output = subprocess.run(
        [*command, *companies], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    sent, by_sending, done, by_reading = (int(word) for word in output.split())
    assert (sent, done) == (CONVERSATIONS, CONVERSATIONS)
    assert by_sending < ALLOWED_BYTES
    assert by_reading < ALLOWED_BYTES
