"""A schedule's story: its world, what the server does to it, and what strikes its runs.

All of it follows from the seed, so that a story is told again by its number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from batch_assets.domain.policy import Policy
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.settings import load_settings
from drills.points import Strike

MODELS: Final = ("gpt-4o-mini", "gpt-4.1")
TIMEOUTS: Final = Timeouts(connect=0.3, read=1.0, create=0.4, upload=0.3, turn=0.2)
"""Short, so that a lease can be short and still outlast the longest call."""

POLICY: Final = replace(
    load_settings({}).policy(),
    min_batch_requests=1,
    max_wait_seconds=0,
    max_attempts=3,
    retry_base_seconds=0.05,
    retry_max_seconds=0.1,
    model_cooldown_seconds=0.1,
    lease_seconds=TIMEOUTS.longest_creating_call + 0.1,
    absence_grace_seconds=0.4,
    reading_grace_seconds=1.5,
    first_look_seconds=0.4,
    most_look_seconds=2.0,
    stuck_seconds=3.0,
    output_expires_seconds=3_600,
    op_seconds=30,
    external_quiet_seconds=0,
    breaker_seconds=0.2,
    breaker_max_seconds=0.4,
)

FATES: Final[Mapping[str, dict[str, Any]]] = {
    "answered": {},
    "error500": {"kind": "http_error", "status": 500},
    "error400": {"kind": "http_error", "status": 400},
    "timeout": {"kind": "error_line"},
    "missing": {"kind": "missing"},
    "twice": {"kind": "duplicate"},
    "stranger": {"kind": "unknown_custom_id"},
    "broken": {"kind": "invalid_json"},
    "violation": {"kind": "content"},
    "refusal": {"kind": "refusal"},
}
"""What the server does to a request's row each time, by the word that its id ends with."""

UNSPOILT: Final = frozenset({"answered", "twice"})
"""Fates with a good answer: such a request is billed once, and has to end complete."""

UNREADABLE: Final = frozenset({"missing", "stranger", "broken"})
"""Fates that are billed and leave no line with the request's id: nobody can tell that it ran."""


@dataclass(frozen=True)
class Request:
    """One request of the world."""

    id: str
    company_id: str
    model: str

    @property
    def fate(self) -> str:
        """The word of `FATES` that says what becomes of its row."""
        return self.id.rpartition("-")[2]


@dataclass(frozen=True)
class Story:
    """Everything about one schedule that is decided beforehand."""

    seed: int
    kind: str
    scene: str
    """Kind and number of the story whose world and server this one has: `scene_of` makes them."""
    requests: tuple[Request, ...]
    server: Mapping[str, Any]
    policy: Policy
    mode: str
    """Which implementation of the database operations: `optimized` or `original`."""
    strikes: tuple[Strike, ...] = ()
    """One after the other, each for the first of the runs until it has struck."""
    at_once: int = 1
    """Runs that are started together."""
    launched: bool = False
    """Whether runs are Dagster's, as a process of their own, until nothing is left to strike."""
    livedash: str = ""
    """What LiveDash does beside the runs: nothing, `makes` requests, or `buys` some itself, too."""
    ends_late: bool = False
    """Whether the server ends at last what an operator has given up."""
    notes: tuple[str, ...] = field(default=())

    @property
    def unasked(self) -> tuple[Request, ...]:
        """Those that are no requests yet: LiveDash makes them, beside the runs."""
        return self.requests[::3] if self.livedash else ()

    @property
    def asked(self) -> tuple[Request, ...]:
        """Those that wait when the first run begins."""
        unasked = set(self.unasked)
        return tuple(one for one in self.requests if one not in unasked)

    @property
    def told(self) -> str:
        """In one line all that it takes to tell it again: `retold` of the module `kinds` does."""
        strikes = [strike.told for strike in self.strikes]
        return " ".join([str(self.seed), self.kind, self.scene, *strikes])

    def __str__(self) -> str:
        companies = len({request.company_id for request in self.requests})
        parts = [
            f"seed {self.seed}, {self.kind}: {len(self.requests)} requests of {companies} "
            f"companies, {self.mode}, {self.at_once} at once"
            + (f", LiveDash {self.livedash}" if self.livedash else ""),
            *map(str, self.strikes),
            *self.notes,
        ]
        return "\n  ".join(parts)


def requests_of(seed: int, random: Random, *, spoilt: bool) -> tuple[Request, ...]:
    """A small world: two to four companies, two models, twenty to sixty requests."""
    companies = [f"drill-{seed}-c{number}" for number in range(random.choice((2, 2, 3, 4)))]
    made = []
    for number in range(random.randint(20, 60)):
        place = random.randrange(len(companies))
        # One company has both models: each pair of them is a batch of its own.
        model = random.choice(MODELS) if place == 0 else MODELS[place % 2]
        is_spoilt = spoilt and random.random() < 0.12
        fate = random.choice(list(FATES)) if is_spoilt else "answered"
        company_id = companies[place]
        made.append(Request(f"{company_id}-r{number}-{fate}", company_id, model))
    return tuple(made)


def row_rules(*, all_readable: bool = False) -> list[dict[str, Any]]:
    """The part of the local server's configuration that gives the rows their fates.

    Every second time at most no line can be read: a batch of which none ever can does not end.
    With `all_readable` every row has a line.
    """
    return [
        {
            "custom_id": f"-{fate}$",
            "effect": effect,
            "probability": 0.5 if fate in UNREADABLE else 1,
        }
        for fate, effect in FATES.items()
        if effect and not (all_readable and fate in UNREADABLE)
    ]


def server_config(
    random: Random,
    *,
    calls: tuple[dict[str, Any], ...] = (),
    batches: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    """The local server's configuration: the rows' fates, and how some batches end."""
    ends = [end for end in ("expired", "cancelled", "failed") if random.random() < 0.5]
    endings = [_ending(random, end) for end in ends]
    timing = {
        "validation_seconds": 0,
        "processing_seconds": random.choice((0, 0, 0.05)),
        "finalizing_seconds": 0,
        "cancel_seconds": 0,
    }
    return {
        "timing": timing,
        "rows": row_rules(),
        "batches": [*batches, *endings],
        "calls": list(calls),
    }


def _ending(random: Random, end: str) -> dict[str, Any]:
    # A refused batch uses up an attempt of each row, and none may die of it.
    chance = {"after": random.randint(0, 2), "count": 1}
    return {"end_as": end, "after_rows": random.randint(0, 4), **chance}
