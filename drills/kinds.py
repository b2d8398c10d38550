"""The kinds of schedules, and the story of each number.

A seed's kind is its place in `CYCLE`, and its world follows from it. Where it is struck depends on
the points that are known by then: `Story.told` says it all, and `retold` makes the story of that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from drills.points import Strike, strike_of
from drills.rehearsed import (
    CUT_SILENTLY,
    EFFECTS,
    FAILING,
    LATER,
    LIVE,
    OPERATIONS,
    REHEARSED,
    SLOW,
    Rehearsed,
    call,
)
from drills.story import POLICY, Request, Story, requests_of, row_rules, server_config

CYCLE: Final = (
    *("kill", "answers", "kill", "freeze", "kill", "late-creates", "kill", "two-at-once"),
    *("kill", "cut", "kill", "restart", "kill", "lists-lag", "kill", "four-at-once"),
    *("kill", "kills", "mix", "launched-kill", "live", "livedash"),
)

_WAYS: Final = 8
"""Stories that are kept for each point."""

_SOON: Final = ("check:", "clean:", "find:", "ingest:", "submit:call:", "submit:commit:claim")
"""Points that the first runs of any story reach."""

_LIVE_POINTS: Final = (
    *("retry:commit:claim:before", "retry:commit:claim:after"),
    *("retry:commit:mark_called:before", "retry:commit:mark_called:after"),
    *("retry:call:chat_completion:before", "retry:call:chat_completion:acted"),
    *("retry:commit:write_results:before", "retry:commit:write_results:after"),
    *("retry:commit:finalize:before", "retry:commit:finalize:after"),
)
"""Points around synchronous calls, which few rehearsals reach."""


@dataclass(frozen=True)
class Way:
    """A story that came to a point, so many times."""

    story: Story
    times: int

    @property
    def is_rehearsal(self) -> bool:
        """Whether no run is killed there."""
        return self.story.kind == "rehearsal"


@dataclass(frozen=True)
class Seen:
    """A point as the stories so far met it."""

    name: str
    ways: tuple[Way, ...] = ()
    """The surest first: rehearsals, then those that came to it most often."""
    rehearsals: int = 0
    """How many rehearsals came to it."""

    def also(self, way: Way) -> "Seen":
        """With one more way; the surest are kept."""
        ways = sorted((*self.ways, way), key=lambda one: (not one.is_rehearsal, -one.times))
        return Seen(self.name, tuple(ways[:_WAYS]), self.rehearsals + way.is_rehearsal)


def rehearsals() -> list[Story]:
    """Stories in which no run is killed, from which the points are known."""
    return [_rehearsal(number, seed=-1 - number) for number in range(2 * len(REHEARSED))]


def _rehearsal(number: int, seed: int) -> Story:
    random = Random(f"world {number if seed < 0 else seed}")  # noqa: S311 (no secret hangs on it)
    scene = REHEARSED[number % len(REHEARSED)]
    policy = replace(
        POLICY,
        max_batch_requests=random.choice((10, 20, 20)),
        batches_per_claim=random.choice((2, 100)),
        rows_per_write=random.choice((4, 5_000)),
        concurrent_companies=random.choice((1, 3, None)),
    )
    policy = replace(policy, **scene.policy)
    requests = requests_of(seed, random, spoilt=True)
    return Story(
        seed=seed,
        kind="rehearsal",
        scene=f"rehearsal-{number}/{seed}",
        requests=_failing(requests, random) if policy.synchronous.is_on else requests,
        server=_server_of(scene, random),
        policy=policy,
        mode="optimized" if number < len(REHEARSED) else "original",
        strikes=() if scene.cut_at is None else (Strike(scene.cut_at, 1, "cut"),),
        ends_late=scene.ends_late,
    )


def _server_of(scene: Rehearsed, random: Random) -> Mapping[str, Any]:
    config = server_config(random, calls=scene.calls, batches=scene.batches)
    timing = {**config["timing"], "clock_skew_seconds": scene.clock_skew_seconds}
    rows = row_rules(all_readable=scene.all_readable)
    return {**config, "rows": rows, "timing": timing, "quirks": dict(scene.quirks)}


def _failing(requests: Sequence[Request], random: Random) -> tuple[Request, ...]:
    """The same, but that many more of them fail, and are sent synchronously."""
    return tuple(
        replace(one, id=f"{one.id.removesuffix('answered')}{random.choice(FAILING)}")
        if one.fate == "answered" and random.random() < 0.3
        else one
        for one in requests
    )


def kind_of(seed: int) -> str:
    """The kind of the schedule with this number."""
    return CYCLE[seed % len(CYCLE)]


def story_of(seed: int, seen: Sequence[Seen], kind: str) -> Story:
    """The story of a number, for any kind but `kill`; it is struck at points that are known."""
    random = Random(f"story {seed}")  # noqa: S311 (no secret hangs on it)
    base = _rehearsal(random.randrange(2 * len(REHEARSED)), seed)
    often = max(point.rehearsals for point in seen)
    usual = [point for point in seen if 2 * point.rehearsals > often]
    return replace(_MAKERS[kind](base, usual, random), scene=f"{kind}/{seed}")


def kill_of(seed: int, point: Seen, turn: int) -> Story:
    """The story of a number with a kill at a point: at the `turn`-th of such with that point.

    It is that of a story that came to the point, with what struck before; every second time without
    that, or, if it is a rehearsal, in a world of this number's own.
    """
    random = Random(f"kill {seed}")  # noqa: S311 (no secret hangs on it)
    way = point.ways[turn // 2 % len(point.ways)]
    base = way.story
    if turn % 2 == 0:
        base = _rehearsal(-1 - base.seed, seed) if way.is_rehearsal else replace(base, strikes=())
    return replace(
        base,
        seed=seed,
        kind="kill",
        strikes=(*base.strikes, _nth(point.name, way.times, "kill", random)),
        launched=False,
    )


def scene_of(name: str) -> Story:
    """The story with this scene, without what strikes it. LookupError, ValueError: none has it."""
    kind, seed = name.rsplit("/")
    if kind.startswith("rehearsal-"):
        return _rehearsal(int(kind.removeprefix("rehearsal-")), int(seed))
    return replace(story_of(int(seed), _SOME_POINT, kind), strikes=())


def retold(told: str) -> Story:
    """The story of which this is `Story.told`. LookupError or ValueError: of none."""
    seed, kind, scene, *strikes = told.split()
    base = scene_of(scene)
    return replace(
        base, seed=int(seed), kind=kind, strikes=tuple(strike_of(strike) for strike in strikes)
    )


def _at(point: Seen, action: str, random: Random) -> Strike:
    return _nth(point.name, max(way.times for way in point.ways), action, random)


def _nth(name: str, times: int, action: str, random: Random) -> Strike:
    nth = 1 if random.random() < 0.6 else random.randint(1, max(1, times // 2))
    return Strike(name, nth, action)


def _struck(story: Story, kind: str, strikes: Sequence[Strike], **changes: Any) -> Story:
    return replace(story, kind=kind, strikes=tuple(strikes), **changes)


def _some(seen: Sequence[Seen], action: str, random: Random, most: int) -> list[Strike]:
    return [_at(random.choice(seen), action, random) for _ in range(random.randint(1, most))]


_SOME_POINT: Final = [Seen("submit:call:upload:before").also(Way(_rehearsal(0, seed=-1), 1))]
"""For stories that are told for their worlds alone: these are drawn before all that strikes."""


def _kills(story: Story, seen: Sequence[Seen], random: Random) -> Story:
    return _struck(story, "kills", _some(seen, "kill", random, 4))


def _launched(story: Story, seen: Sequence[Seen], random: Random) -> Story:
    soon = [point for point in seen if point.name.startswith(_SOON)]
    strikes = [Strike(random.choice(soon).name, 1, "kill")]
    return _struck(story, "launched-kill", strikes, launched=True)


def _cut(story: Story, seen: Sequence[Seen], random: Random) -> Story:
    return _struck(story, "cut", _some(seen, "cut", random, 3))


def _restart(story: Story, seen: Sequence[Seen], random: Random) -> Story:
    return _struck(story, "restart", _some(seen, "restart", random, 2))


def _freeze(story: Story, seen: Sequence[Seen], random: Random) -> Story:
    worth = [point for point in seen if point.name.startswith(("submit:", "ingest:", "recover:"))]
    # Only a kill leaves what recovery meets: a frozen run is stopped in the course of its own.
    return _struck(story, "freeze", [_at(random.choice(worth), "stop", random)])


def _together(number: int, kind: str) -> "Maker":
    def make(story: Story, seen: Sequence[Seen], random: Random) -> Story:
        strikes = _some(seen, "kill", random, 2) if random.random() < 0.5 else []
        return _struck(story, kind, strikes, at_once=number)

    return make


def _answers(story: Story, _seen: Sequence[Seen], random: Random) -> Story:
    return _facing(story, "answers", _random_calls(random, random.randint(2, 6)))


def _random_calls(random: Random, number: int) -> list[Any]:
    made = []
    for _ in range(number):
        operation = random.choice(OPERATIONS)
        effects = (*EFFECTS, CUT_SILENTLY) if operation == "files.content" else EFFECTS
        after, count = random.randint(0, 4), random.randint(1, 2)
        made.append(call(operation, random.choice(effects), after=after, count=count))
    return made


def _late(story: Story, seen: Sequence[Seen], random: Random) -> Story:
    calls = [
        call(operation, random.choice((LATER, SLOW)), after=random.randint(0, 2))
        for operation in ("batches.create", "batches.create", "files.create")
    ]
    strikes = _some(seen, "kill", random, 1) if random.random() < 0.5 else []
    return replace(_facing(story, "late-creates", calls), strikes=tuple(strikes))


def _lag(story: Story, seen: Sequence[Seen], random: Random) -> Story:
    lags = {"batch_list_lag_seconds": 0.3, "file_list_lag_seconds": 0.3}
    sending = [point for point in seen if point.name.startswith("submit:call:")]
    return replace(
        story,
        kind="lists-lag",
        server={**story.server, "quirks": {**story.server["quirks"], **lags}},
        strikes=(_at(random.choice(sending), "kill", random),),
    )


def _mix(story: Story, seen: Sequence[Seen], random: Random) -> Story:
    faced = _facing(story, "mix", _random_calls(random, random.randint(0, 4)))
    at_once = random.choice((1, 1, 2, 4))
    strikes = [
        _at(random.choice(seen), random.choice(("kill", "kill", "cut", "restart", "stop")), random)
        for _ in range(random.randint(1, 4))
    ]
    return replace(faced, strikes=tuple(strikes), at_once=at_once)


def _live(story: Story, _seen: Sequence[Seen], random: Random) -> Story:
    """Much fails, and is sent synchronously as soon as it is due; the server answers that well."""
    requests = _failing(story.requests, random)
    calls = [
        call("chat", random.choice((*EFFECTS, CUT_SILENTLY)), after=random.randint(0, 4))
        for _ in range(random.randint(0, 2))
    ]
    strikes = [
        Strike(
            random.choice(_LIVE_POINTS),
            random.randint(1, 3),
            random.choice(("kill", "kill", "cut", "cut", "restart", "stop")),
        )
        for _ in range(random.randint(1, 2))
    ]
    policy = replace(story.policy, synchronous=LIVE)
    faced = _facing(story, "live", calls)
    return replace(faced, requests=requests, policy=policy, strikes=tuple(strikes))


def _livedash(story: Story, seen: Sequence[Seen], random: Random) -> Story:
    """LiveDash makes requests while runs are killed, and in every third schedule buys some, too."""
    livedash = random.choice(("makes", "makes", "buys"))
    strikes = _some(seen, "kill", random, 3)
    return _struck(story, "livedash", strikes, livedash=livedash)


def _facing(story: Story, kind: str, calls: Sequence[Any]) -> Story:
    notes = tuple(f"{call['operation']}: {call['effect']}" for call in calls)
    server = {**story.server, "calls": list(calls)}
    return replace(story, kind=kind, server=server, notes=notes)


Maker = Callable[[Story, Sequence[Seen], Random], Story]

_MAKERS: Final[Mapping[str, Maker]] = {
    "answers": _answers,
    "cut": _cut,
    "four-at-once": _together(4, "four-at-once"),
    "freeze": _freeze,
    "kills": _kills,
    "late-creates": _late,
    "launched-kill": _launched,
    "lists-lag": _lag,
    "live": _live,
    "livedash": _livedash,
    "mix": _mix,
    "restart": _restart,
    "two-at-once": _together(2, "two-at-once"),
}
