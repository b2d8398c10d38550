"""Files of any size pass through a few megabytes of memory; the SDK is imported when needed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from batch_assets_tests.openai_batch.scripted_server import Reply, ScriptedServer, as_json

FILE_BYTES = 50_000_000
ALLOWED_BYTES = 4_000_000

PROLOGUE = """
import pathlib, sys, tracemalloc
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.results import read_results
from batch_assets.openai_batch.spool import Spool

def peak_of(work):
    work("small")  # whatever is imported or kept once is not counted
    tracemalloc.start()
    result = work("large")
    return result, tracemalloc.get_traced_memory()[1]

api = BatchApi("sk-x", sys.argv[1])
"""

DOWNLOAD = """
def fetch(name):
    return sum(1 for _ in read_results(api.download(name), error_file=False))

print(*peak_of(fetch))
"""

UPLOAD = """
def send(size):
    with Spool(pathlib.Path(sys.argv[2])) as spool:
        with spool.input_file() as file:
            for number in range(10 if size == "small" else 5_000):
                file.add(str(number), b'{"text":"%s"}' % (b"x" * 10_000))
        api.upload(file.path, "input.jsonl")
        return file.bytes

print(*peak_of(send))
"""


def run(script: str, *arguments: str) -> list[int]:
    command = [sys.executable, "-c", PROLOGUE + script, *arguments]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [int(word) for word in output.split()]


def test_a_large_download(base_url: str, server: ScriptedServer) -> None:
    line = b'{"custom_id": "r", "response": {"status_code": 200, "body": {"x": "%s"}}}\n'
    line %= b"y" * 10_000

    def large() -> Iterator[bytes]:
        for _ in range(FILE_BYTES // len(line)):
            yield line

    server.answer(Reply(200, line * 10, {}), Reply(200, large, {}))
    count, peak = run(DOWNLOAD, base_url)
    assert count == FILE_BYTES // len(line)
    assert peak < ALLOWED_BYTES


def test_a_large_upload(base_url: str, server: ScriptedServer, tmp_path: Path) -> None:
    server.answer(as_json({"id": "file-1"}))
    size, peak = run(UPLOAD, base_url, str(tmp_path / "spool"))
    assert size > FILE_BYTES
    assert server.calls[-1].length > size
    assert peak < ALLOWED_BYTES


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    script = (
        "import sys\n"
        "import batch_assets.openai_batch.client, batch_assets.openai_batch.prices\n"
        "batch_assets.openai_batch.client.BatchApi('sk-x')\n"
        "print(*({'openai', 'httpx2', 'genai_prices', 'pydantic'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert loaded.split() == []
