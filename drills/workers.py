"""Several stages side by side: most of a schedule is waiting for a lease to run out."""

import os
import signal
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import NoReturn

from drills.judging import Verdict
from drills.kinds import rehearsals
from drills.schedule import Stage
from drills.story import Story


class Workers:
    """Processes forked from this one, each with a database of its own."""

    def __init__(self, database_urls: Sequence[str], directory: Path) -> None:
        _warm_up(database_urls[0], directory / "warm-up")
        context = get_context("fork")
        # No thread feeds these queues, so the workers may fork.
        self._stories: SimpleQueue[Story | None] = context.SimpleQueue()
        self._verdicts: SimpleQueue[Verdict] = context.SimpleQueue()
        self._pids = [
            self._fork(url, directory / f"worker-{number}")
            for number, url in enumerate(database_urls)
        ]

    def play(self, stories: Iterable[Story]) -> Iterator[Verdict]:
        """Play all of them, a worker's one after the other; verdicts as they come.

        A story is asked for when there is a worker for it, and all verdicts before were looked at.
        """
        ahead = iter(stories)
        under_way = 0
        for story in islice(ahead, len(self._pids)):
            self._stories.put(story)
            under_way += 1
        while under_way:
            verdict = self._verdicts.get()
            under_way -= 1
            yield verdict
            for story in islice(ahead, 1):
                self._stories.put(story)
                under_way += 1

    def close(self) -> None:
        """End them; none has work any more."""
        for _ in self._pids:
            self._stories.put(None)
        for pid in self._pids:
            os.waitpid(pid, 0)

    def _fork(self, url: str, directory: Path) -> int:
        pid = os.fork()
        if pid == 0:
            _work(self._stories, self._verdicts, Stage(url, directory))
        return pid


def _warm_up(url: str, directory: Path) -> None:
    """Load here what all workers and all their runs would load each for itself."""
    stage = Stage(url, directory)
    try:
        stage.warm_up(rehearsals()[0])
    finally:
        stage.close()


def _work(
    stories: "SimpleQueue[Story | None]",
    verdicts: "SimpleQueue[Verdict]",
    stage: Stage,
) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
        while (story := stories.get()) is not None:
            try:
                verdict = stage.play(story)
            except Exception:
                verdict = Verdict.of(story)
                verdict.errors.append(traceback.format_exc())
            verdicts.put(verdict)
        code = 0
    finally:
        stage.close()
        os._exit(code)


@contextmanager
def workers(database_urls: Sequence[str], directory: Path) -> Iterator[Workers]:
    """Workers on these databases, ended on the way out."""
    made = Workers(database_urls, directory)
    try:
        yield made
    finally:
        made.close()
