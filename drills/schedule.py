"""Plays a story: runs that are struck, and then runs to the end."""

import gc
import logging
import os
import resource
import select
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from drills.judging import Verdict, judge
from drills.launching import launch_run
from drills.neighbour import Neighbour
from drills.points import Strike
from drills.probes import spare_certificates
from drills.run import Sabotage, Scene, fork_run, warm_up
from drills.server import Server
from drills.story import Story
from drills.world import World

MOST_ROUNDS: Final = 90
"""Of one run each, or of as many at once as the story says."""
_LAUNCHED_RUNS: Final = 5
_RUN_SECONDS: Final = 150.0
"""A run that is frozen in its claim holds the lock of all: others wait 30 s for it, and once more
when the original does what failed."""
_LAUNCHED_SECONDS: Final = 240.0
_LOOK_SECONDS: Final = 0.01
"""Between two looks at runs that go on: they tell a hundred points each."""
_PAUSE_SECONDS: Final = 0.03
"""Between two runs, at least."""
_LATE_RUNS: Final = 3
_LATE_SECONDS: Final = 0.2
"""What the server needs to end batches that it lets go."""
_FROZEN_RUNS: Final = 4
"""Runs that others make, past the lease, before a frozen one wakes."""


@dataclass
class _Child:
    """A run under way, in its process."""

    pid: int
    pipe: int
    strikes: list[Strike]
    """Those to come."""
    deadline: float
    reached: Counter[str] = field(default_factory=Counter)
    reached_since: Counter[str] = field(default_factory=Counter)
    """Since the last strike, or since it began."""
    struck: list[Strike] = field(default_factory=list)
    """Those that have struck and were not counted yet."""
    error: str | None = None
    status: int | None = None
    """As `waitpid` gives it, once it has ended."""
    is_stopped: bool = False
    _rest: bytes = b""

    def hear(self) -> None:
        """Take in what it has written."""
        while select.select([self.pipe], [], [], 0)[0]:
            text = os.read(self.pipe, 65_536)
            if not text:
                break
            *lines, self._rest = (self._rest + text).split(b"\n")
            for line in map(bytes.decode, lines):
                if line == "!":
                    self.struck.append(self.strikes.pop(0))
                    self.reached_since.clear()
                elif line.startswith("?"):
                    self.error = line[1:]
                else:
                    self.reached[line] += 1
                    self.reached_since[line] += 1

    def look(self) -> None:
        """See whether it has ended or was frozen."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                self.is_stopped = True
            elif pid:
                self.status = status
        self.hear()

    def end(self) -> None:
        """Let go of it, whatever it does."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)
        os.close(self.pipe)


class Stage:
    """Where one worker plays its stories: a database, a server, a directory."""

    def __init__(self, database_url: str, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._world = World(database_url)
        self._server = Server(directory)
        self._directory = directory

    def warm_up(self, story: Story) -> None:
        """Let this process load what runs load late, so that those forked from it need not."""
        logging.disable(logging.CRITICAL)
        spare_certificates()
        self._server.begin(story.server)
        self._world.begin(story.requests)
        spool_dir = self._directory / "spool"
        scene = Scene(self._world, self._server.base_url, self._server.pid, spool_dir)
        for _ in range(2):
            warm_up(story, scene)
        # What is there by now stays: a collection in each forked run would copy all of its pages.
        gc.collect()
        gc.freeze()

    def play(self, story: Story, sabotage: Sabotage | None = None) -> Verdict:
        """Play a story to its end and judge it; with `sabotage` each of its runs has that bug."""
        verdict = Verdict.of(story)
        began, cpu_began = time.monotonic(), _cpu_seconds()
        self._server.begin(story.server)
        self._world.play(story)
        spool_dir = self._directory / "spool"
        shutil.rmtree(spool_dir, ignore_errors=True)
        playing = _Playing(
            story,
            verdict,
            world=self._world,
            server=self._server,
            spool_dir=spool_dir,
            sabotage=sabotage,
        )
        try:
            playing.play()
            self._world.end_connections()
            judge(story, self._world, self._server, verdict, playing.livedash.api.purchases)
        finally:
            playing.end()
            self._server.kill()
            verdict.seconds = time.monotonic() - began
            verdict.cpu_seconds = _cpu_seconds() - cpu_began
        return verdict

    def close(self) -> None:
        """End the server, and the connection."""
        self._server.kill()
        self._world.close()


class _Playing:
    def __init__(
        self,
        story: Story,
        verdict: Verdict,
        *,
        world: World,
        server: Server,
        spool_dir: Path,
        sabotage: Sabotage | None,
    ) -> None:
        self._story = story
        self._verdict = verdict
        self._world = world
        self._server = server
        self._spool_dir = spool_dir
        self._sabotage = sabotage
        self.livedash = Neighbour(story, world)
        self._strikes = list(story.strikes)
        self._reached: Counter[str] = Counter()
        """Since the last strike."""
        self._children: list[_Child] = []
        self._frozen: list[_Child] = []

    def play(self) -> None:
        for _ in range(MOST_ROUNDS):
            self._run_some()
            still_open = self._world.open_work(self._story.policy.absence_grace_seconds)
            if not still_open.left_over and not self._frozen:
                break
            if self._frozen:
                self._let_others_work()
            else:
                time.sleep(max(_PAUSE_SECONDS, still_open.idle_seconds))
        if self._story.ends_late:
            self._end_what_was_given_up()
        self._verdict.missed = len(self._strikes)

    def end(self) -> None:
        for child in [*self._children, *self._frozen]:
            child.end()
        self.livedash.close()

    def _end_what_was_given_up(self) -> None:
        """Let the server end all that it still has, and runs read what that brings."""
        for _ in range(_LATE_RUNS):
            self._server.keep_alive()
            self._server.let_go()
            time.sleep(_LATE_SECONDS)
            self._run_some()

    def _run_some(self) -> None:
        """As many runs at once as the story says, the first with the next strikes."""
        # The run before may have killed it with the last thing that it did.
        self._server.keep_alive()
        self.livedash.begin_round()
        started = [self._start(self._next_strikes())]
        started += [self._start([]) for _ in range(self._story.at_once - 1)]
        self._children = started
        self._wait(started)

    def _next_strikes(self) -> list[Strike]:
        """Those for one run: up to the first that ends or stops it.

        It knows the server that was there when it began: it can kill that once.
        """
        if not self._strikes:
            return []
        first = self._strikes[0]
        left = first.nth - self._reached[first.name]
        strikes = [replace(first, nth=max(left, 1))]
        for strike in self._strikes[1:]:
            has_restarted = any(one.action == "restart" for one in strikes)
            if strikes[-1].is_last or (has_restarted and strike.action == "restart"):
                break
            strikes.append(strike)
        return strikes

    def _start(self, strikes: list[Strike]) -> _Child:
        hears, tells = os.pipe()
        scene = Scene(self._world, self._server.base_url, self._server.pid, self._spool_dir)
        seconds = _RUN_SECONDS
        try:
            if self._is_launched:
                seconds = _LAUNCHED_SECONDS
                pid = launch_run(self._story, scene, tells, strikes)
                self._verdict.launched_runs += 1
            else:
                pid = fork_run(self._story, scene, tells, strikes, self._sabotage)
        finally:
            os.close(tells)
        self._verdict.runs += 1
        return _Child(pid, hears, strikes, time.monotonic() + seconds)

    @property
    def _is_launched(self) -> bool:
        """Until what has to strike has struck, and once more: it is what takes longest."""
        most = _LAUNCHED_RUNS if self._strikes else self._verdict.struck + 1
        return self._story.launched and self._verdict.launched_runs < most

    def _wait(self, children: list[_Child]) -> None:
        """Until each has ended or was frozen."""
        waiting = list(children)
        while waiting:
            # A pipe ends with its process, and tells of a strike before there is one.
            select.select([child.pipe for child in waiting], [], [], 0.05)
            self._server.keep_alive()
            self.livedash.act()
            for child in list(waiting):
                child.look()
                if child.status is not None:
                    waiting.remove(child)
                    self._finish(child)
                elif child.is_stopped:
                    waiting.remove(child)
                    self._children.remove(child)
                    self._frozen.append(child)
                    self._count_strikes(child)
                elif time.monotonic() > child.deadline:
                    self._verdict.errors.append("a run did not end")
                    waiting.remove(child)
                    child.end()
                    self._children.remove(child)
            time.sleep(_LOOK_SECONDS)

    def _finish(self, child: _Child) -> None:
        child.hear()
        os.close(child.pipe)
        if child in self._children:
            self._children.remove(child)
        self._verdict.reached.update(child.reached)
        if child.error is not None:
            self._verdict.errors.append(child.error)
        self._count_strikes(child)
        self._reached.update(child.reached_since)

    def _count_strikes(self, child: _Child) -> None:
        for strike in child.struck:
            self._strikes.pop(0)
            self._reached.clear()
            self._verdict.struck += 1
            if strike.action == "kill":
                self._verdict.kills.append(strike.name)
        child.struck.clear()

    def _let_others_work(self) -> None:
        """Go past the frozen run's lease, let others take over what it had, and wake it."""
        time.sleep(self._story.policy.lease_seconds)
        for _ in range(_FROZEN_RUNS):
            self._run_some()
            time.sleep(self._story.policy.absence_grace_seconds * 0.7)
        for child in list(self._frozen):
            self._frozen.remove(child)
            child.is_stopped = False
            child.deadline = time.monotonic() + _RUN_SECONDS
            os.kill(child.pid, signal.SIGCONT)
            self._children.append(child)
            self._wait([child])


def _cpu_seconds() -> float:
    """Of this process, and of those of it that have ended."""
    spent = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent)
