"""A system on which all is well, and one that has everything at once: each with its own UI.

What is wrong with the sick one, an operator meets one by one: requests that were refused for good,
a batch that expired, a backlog that grows since LiveDash's own timers hold submissions, and a key
that the API refuses.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from batch_assets.wiring import local_environment
from batch_assets_local.batch_server import ServerConfig
from batch_assets_local.samples import DEFAULT_SEED, seed_database
from batch_assets_local.state_file import LocalStack
from browser.running import configure_server, dagster_ui, empty_stack

SETTINGS: Final = {"BATCH_MIN_SIZE": "1", "BATCH_SCHEDULE": "0 0 1 1 *"}
"""What comes in is due at once, and no schedule starts a run between two looks."""

_WORK_SECONDS: Final = 120.0
_DEFECTS: Final = ServerConfig.instant(
    rows=[{"lines": [1, 2], "effect": {"kind": "http_error", "status": 400}}],
    batches=[{"count": 1, "end_as": "expired", "after_rows": 5}],
)
_NEVER_ENDING: Final = ServerConfig.model_validate({"timing": {"hold_after_rows": 1}})
_TIMER: Final = """
    INSERT INTO batch_assets.livedash_act
    (id, timer, company_id, request_id, is_purchase, is_duplicate, noticed_at)
    SELECT request_id, 'retry', company_id, request_id, true, false, now()
    FROM batch_assets.dead_letter
    LIMIT 1
"""


@dataclass(frozen=True)
class System:
    """A stack with its UI; commands that are typed find it by the environment."""

    stack: LocalStack
    url: str
    environ: Mapping[str, str]

    def type(self, *command: str) -> str:
        """What a command prints, whatever it ends with."""
        return _typed(self.environ, *command).stdout


@contextmanager
def healthy_system(name: str, log: Path) -> Iterator[System]:
    """Everything that came in was sent and read."""
    with empty_stack(name) as stack:
        environ = _environ(stack)
        configure_server(stack, ServerConfig.instant())
        _seed(stack, 0)
        for _ in ("sent", "read"):
            _run(environ)
        with dagster_ui(stack, log, SETTINGS) as url:
            yield System(stack, url, environ)


@contextmanager
def sick_system(name: str, log: Path) -> Iterator[System]:
    """Each of the troubles, one after the other; the next run that is launched fails."""
    with empty_stack(name) as stack:
        environ = _environ(stack)
        configure_server(stack, _DEFECTS)
        _seed(stack, 0)
        for _ in ("sent", "read"):
            _run(environ)
        configure_server(stack, _NEVER_ENDING)
        _seed(stack, 1)
        _run(environ)
        _seed(stack, 2)  # its oldest requests are days old
        with psycopg.connect(stack.database_url) as connection:
            connection.execute(_TIMER)
        no_key = {"keys": {"refused": [stack.api_key]}}
        configure_server(stack, ServerConfig.model_validate(no_key))
        with dagster_ui(stack, log, SETTINGS) as url:
            yield System(stack, url, environ)


def _environ(stack: LocalStack) -> dict[str, str]:
    return {**local_environment(name=stack.state_dir.name), **SETTINGS}


def _seed(stack: LocalStack, number: int) -> None:
    seed_database(stack.database_url, seed=DEFAULT_SEED + number, now=datetime.now(UTC))


def _run(environ: Mapping[str, str]) -> None:
    ended = _typed(environ, "run")
    if ended.returncode:
        raise BatchAssetsError(f"A run ended with {ended.returncode}: {ended.stdout}")


def _typed(environ: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "batch_assets.cli", *command],
        cwd=PROJECT_DIR,
        env=dict(environ),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_WORK_SECONDS,
    )
