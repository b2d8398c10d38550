"""Where the kills go: to each named point, and again to one that was not hit."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from drills.judging import Verdict
from drills.kinds import Seen, Way, kill_of, kind_of, story_of
from drills.story import Story

_ENOUGH: Final = 2
"""With so many schedules of the kind `kill` for each point, all have to be hit."""
_MOST_AIMED: Final = 12
"""Of the tries at a point, so many are out of turn because it was not hit yet."""
_MORE_TRIES: Final = 20
"""Schedules that a point may get beyond those that were asked for."""


class Aim:
    """Knows the points, and tells stories that are struck at them.

    Points are known from the rehearsals, and from every story that reaches another one. Half of
    the kills go to those that were not hit yet, by how seldom that was tried, the others to all.
    """

    def __init__(self, rehearsed: Iterable[tuple[Story, Verdict]]) -> None:
        self._seen: dict[str, Seen] = {}
        self._killed: Counter[str] = Counter()
        self._tries: Counter[str] = Counter()
        self._told: dict[int, Story] = {}
        self._kills = 0
        for story, verdict in rehearsed:
            self._learn(story, verdict)

    def stories(self, seeds: Sequence[int], kinds: Sequence[str] | None) -> Iterator[Story]:
        """The stories of these numbers; then, if they were enough, more for what was not hit.

        With `kinds` they are of these in turn, instead of each number's own.
        """
        for place, seed in enumerate(seeds):
            yield self._story(seed, kinds[place % len(kinds)] if kinds else kind_of(seed))
        seed = max(seeds, default=0)
        for _ in range(_MORE_TRIES):
            for name in self.missed if self.is_enough else ():
                seed += 1
                yield self._kill(seed, self._seen[name])

    def learn(self, verdict: Verdict) -> None:
        """Take in what became of a story."""
        self._killed.update(verdict.kills)
        self._learn(self._told.pop(verdict.seed), verdict)

    @property
    def names(self) -> list[str]:
        """Every point that is known."""
        return sorted(self._seen)

    @property
    def missed(self) -> list[str]:
        """Points at which no run was killed yet."""
        return [name for name in self.names if not self._killed[name]]

    @property
    def is_enough(self) -> bool:
        """Whether so many schedules were told that no point may be missed."""
        return self._kills >= _ENOUGH * len(self._seen)

    def _story(self, seed: int, kind: str) -> Story:
        if kind == "kill":
            return self._kill(seed, self._next())
        story = story_of(seed, list(self._seen.values()), kind)
        self._told[seed] = story
        return story

    def _kill(self, seed: int, point: Seen) -> Story:
        story = kill_of(seed, point, self._tries[point.name])
        self._tries[point.name] += 1
        self._kills += 1
        self._told[seed] = story
        return story

    def _next(self) -> Seen:
        missed = [name for name in self.missed if self._tries[name] < _MOST_AIMED]
        names = (missed if self._kills % 2 == 0 else []) or self.names
        return self._seen[min(names, key=lambda name: self._tries[name])]

    def _learn(self, story: Story, verdict: Verdict) -> None:
        if story.launched:
            return
        for name, times in verdict.reached.items():
            self._seen[name] = self._seen.get(name, Seen(name)).also(Way(story, times))
