"""LiveDash beside a schedule's runs: it makes requests, and in some schedules it buys some, too."""

import time
from collections import Counter
from random import Random
from typing import Final

from drills.livedash import LiveDash, StubApi
from drills.story import MODELS, Story
from drills.world import World

_BETWEEN_SECONDS: Final = (0.05, 0.3)
"""From one of its turns to the next."""
_BUYING_ROUNDS: Final = 4
"""In so many rounds it buys; then its check and process timers see to the end of that."""


class Neighbour:
    """LiveDash's server in one schedule, whose turns come while runs are under way.

    A request has its session's id, which the story knows; one that is made again has another.
    """

    def __init__(self, story: Story, world: World) -> None:
        self.api = StubApi()
        self._story = story
        self._random = Random(f"livedash {story.seed}")  # noqa: S311 (no secret hangs on it)
        self._made: Counter[str] = Counter(one.id for one in story.asked)
        self._next_turn = 0.0
        self._rounds = 0
        self._livedash = (
            LiveDash(world.url, default_model=MODELS[0], make_id=self._make_id)
            if story.livedash
            else None
        )

    def begin_round(self) -> None:
        """Have a turn before runs are started."""
        self._rounds += 1
        self._next_turn = 0.0
        self.act()

    def act(self) -> None:
        """Have a turn, if it is time for one."""
        if self._livedash is None or time.monotonic() < self._next_turn:
            return
        self._livedash.processing_timer()
        if self._story.livedash == "buys":
            self._run_batch_timer(self._livedash)
        self._next_turn = time.monotonic() + self._random.uniform(*_BETWEEN_SECONDS)

    def close(self) -> None:
        """Give its connection back."""
        if self._livedash is not None:
            self._livedash.close()

    def _run_batch_timer(self, livedash: LiveDash) -> None:
        is_buying = self._rounds <= _BUYING_ROUNDS
        self.api.is_down = is_buying and self._random.random() < 0.2
        if not is_buying:
            livedash.check_timer(self.api)
            livedash.process_timer(self.api)
            return
        timers = ("create", "create", "check", "process", "retry")
        timer = self._random.choice(timers)
        if timer == "create":
            livedash.create_timer(self.api, optimized=self._random.random() < 0.5)
        elif timer == "check":
            livedash.check_timer(self.api)
        elif timer == "process":
            livedash.process_timer(self.api)
        else:
            livedash.retry_timer(self.api)

    def _make_id(self, session_id: str) -> str:
        self._made[session_id] += 1
        number = self._made[session_id]
        return session_id if number == 1 else f"again{number}-{session_id}"
