"""The local Batch API server in a process of its own, so that its work is not the pipeline's."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from batch_assets.domain.errors import LocalStackError
from batch_assets_local.batch_server.running import serve
from benchmarks.comparison.own_process import context, end_with_parent
from benchmarks.comparison.phrases import answer
from benchmarks.comparison.waiting import HOLDING

_HOST = "127.0.0.1"
_START_SECONDS = 30.0


@contextmanager
def api_server(state_dir: Path) -> Iterator[str]:
    """The base URL of a server that is empty, and runs batches when `let_batches_end` says so."""
    state_dir.mkdir(mode=0o700)
    (state_dir / "config.json").write_text(json.dumps(HOLDING), encoding="utf-8")
    port_file = state_dir / "port"
    process = context().Process(target=_serve, args=(state_dir, port_file), name="batch-server")
    process.start()
    try:
        yield f"http://{_HOST}:{_port(port_file, process)}/v1"
    finally:
        process.terminate()
        process.join()
        process.close()


def _port(port_file: Path, process: BaseProcess) -> int:
    give_up_at = time.monotonic() + _START_SECONDS
    while not port_file.exists():
        if not process.is_alive() or time.monotonic() > give_up_at:
            raise LocalStackError("The local Batch API server does not start.")
        time.sleep(0.01)
    return int(port_file.read_text(encoding="ascii"))


def _serve(state_dir: Path, port_file: Path) -> None:
    end_with_parent()
    # A thread looks through new input files: it must not keep the one that answers calls waiting.
    sys.setswitchinterval(0.0005)
    serve(state_dir, host=_HOST, port=0, port_file=port_file, answerer=answer)
