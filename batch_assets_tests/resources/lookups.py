"""Lookups of the active companies, each in a process of its own, as each run of the job is one.

Run as a program, it forks for every line of its input, so that a lookup costs no second of imports.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import create_engine, event

from batch_assets.project_files import PROJECT_DIR
from batch_assets.resources.company_file import CompanyFile, Instant
from batch_assets.resources.company_lookup import CompanyCache
from batch_assets.store.original import OriginalQueries
from batch_assets.store.urls import application_url


@dataclass(frozen=True)
class Process:
    """The program, and what goes in and comes out."""

    popen: subprocess.Popen[str]
    stdin: IO[str]
    stdout: IO[str]

    def begin(self, at: Instant | None = None) -> int:
        """Begin a lookup at a moment, or now; the id of the process that has begun it."""
        moment = None if at is None else [at.wall_seconds, at.uptime_seconds]
        self.stdin.write(json.dumps(moment) + "\n")
        self.stdin.flush()
        return int(self.stdout.readline())

    def result(self) -> dict[str, Any]:
        """What the lookup that was begun has reported."""
        return dict(json.loads(self.stdout.readline()))

    def look_up(self, at: Instant | None = None) -> dict[str, Any]:
        """Begin and report; the process's id is under `pid`."""
        return {"pid": self.begin(at), **self.result()}


@contextmanager
def lookups(database_url: str, directory: Path) -> Iterator[Process]:
    """The program at work, until the end of the context."""
    command = [sys.executable, "-m", __name__, database_url, str(directory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT_DIR
    ) as popen:
        assert popen.stdin is not None
        assert popen.stdout is not None
        try:
            yield Process(popen, popen.stdin, popen.stdout)
        finally:
            popen.stdin.close()
            popen.wait(timeout=60)


def main(database_url: str, directory: str) -> None:
    for line in sys.stdin:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        else:
            moment = json.loads(line)
            look_up(database_url, Path(directory), Instant(*moment) if moment else None)
            os._exit(0)


def look_up(database_url: str, directory: Path, at: Instant | None) -> None:
    engine = create_engine(application_url(database_url))
    asked: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.extend([statement] if '"Company"' in statement else [])

    cache = CompanyCache(
        CompanyFile(directory, database_url),
        OriginalQueries(engine).active_companies,
        lifetime_seconds=300,
        warn=lambda sentence: print(sentence, file=sys.stderr),  # noqa: T201 (a program's output)
        now=lambda: at or Instant.now(),
    )
    print(os.getpid(), flush=True)  # noqa: T201 (see above)
    found = cache.active()
    ids = [company.id for company in found.companies]
    report = {**found.numbers, "queries": len(asked), "ids": ids}
    print(json.dumps(report), flush=True)  # noqa: T201 (see above)


if __name__ == "__main__":
    main(*sys.argv[1:])
