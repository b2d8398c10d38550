"""Worlds with LiveDash beside them, which makes requests between any two of our stages.

They are random but for one, in which every kind of trouble comes for certain.
Its four batch timers select, and what they would take is compared with what is ours. In the end
the server's ledger is looked at by conversation: a session, a processing type and a model.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final, cast

from batch_assets.store.sql import load
from drills.judging import Bill, Verdict, bill_of
from drills.livedash import Answer, LiveDash, LivePath
from drills.server import Server
from drills.steps import STAGES, Place, placed
from drills.story import FATES, MODELS, UNREADABLE, UNSPOILT, row_rules

SQL: Final = load(Path(__file__).with_suffix(".sql"))
BUGS: Final[Mapping[str, str]] = {
    "show_failures": "retry",
    "show_batches": "check",
    "ask_again": "asked again",
}
"""Statements that put a bug in after each stage, and the kind of finding that tells of it."""

_MODEL: Final = MODELS[0]
_MOST_ROUNDS: Final = 40
_TROUBLED_ROUNDS: Final = 6
"""In so many rounds calls go wrong and stages are broken off; then all may come to its end."""
_KINDS: Final = ("new",) * 14 + ("asked twice",) * 2 + ("answered before",) * 2 + ("failed before",)
_AT_ONCE: Final = {"retry-after-ms": "1"}
_TROUBLE: Final[Sequence[Mapping[str, Any]]] = (
    {"kind": "drop", "work": "done"},
    {"kind": "drop", "work": "never"},
    {"kind": "answer", "status": 429, "headers": _AT_ONCE},
    {"kind": "answer", "status": 429, "headers": _AT_ONCE},
    {"kind": "answer", "status": 503, "headers": _AT_ONCE},
)
_ENDINGS: Final = ("expired", "cancelled", "failed")
_CALLS: Final = ("files.create", "batches.create", "batches.create", "batches.retrieve")

SET: Final = 0
"""The seed of the world that is set: nothing in it is left to chance that decides what comes."""
_SET_CONVERSATIONS: Final = (
    *(("new", fate) for fate in ("answered", "answered", "error500", "error400", "refusal")),
    ("asked twice", "answered"),
    ("answered before", "answered"),
    ("failed before", "answered"),
)
"""Kind and fate of those of each of its two companies."""
_SET_TROUBLE: Final[Mapping[str, Any]] = {
    "calls": (
        # The first upload of all, and whichever batch is the third: each is refused or lost once.
        {"operation": "files.create", "effect": _TROUBLE[2], "count": 1},
        {"operation": "batches.create", "effect": _TROUBLE[0], "after": 2, "count": 1},
    ),
    # The first batch of all expires, and the next one is refused.
    "batches": (
        {"end_as": "expired", "after_rows": 0, "count": 1},
        {"end_as": "failed", "count": 1},
    ),
}
"""What the server does in it, whichever call and batch are the first."""


@dataclass(frozen=True)
class Conversation:
    """A session, and what LiveDash has done about it before we came."""

    session_id: str
    company_id: str
    kind: str
    """One of `_KINDS`."""

    @property
    def fate(self) -> str:
        """The word of `FATES` that says what becomes of its rows."""
        return self.session_id.rpartition("-")[2]

    @property
    def is_history(self) -> bool:
        """Whether LiveDash has answered it, or failed to, by its live path."""
        return self.kind.endswith("before")

    @property
    def requests_allowed(self) -> int:
        """How many requests there may be of it, beside its history."""
        return {"new": 1, "asked twice": 2}.get(self.kind, 0)

    def request_id(self, number: int) -> str:
        """The id of its request with this number; its fate follows from that."""
        stem, _, fate = self.session_id.rpartition("-")
        return f"{stem}-q{number}-{fate}"


@dataclass(frozen=True)
class Finding:
    """Something that the contract does not allow."""

    kind: str
    """`create`, `check`, `process` or `retry`: a timer would take what is ours. `asked again`,
    `billed twice`, `history`, `stage`, `stuck`.
    """
    text: str


@dataclass
class Outcome:
    """One world's end."""

    seed: int
    findings: list[Finding] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    """How often LiveDash had its turn."""

    def find(self, kind: str, text: str) -> None:
        """Note a finding, once."""
        finding = Finding(kind, text)
        if finding not in self.findings:
            self.findings.append(finding)


class Beside:
    """One world, played to its end."""

    def __init__(self, place: Place, seed: int, bug: str | None = None) -> None:
        self._is_set = seed == SET
        self._place = _with_one_call_at_a_time(place) if self._is_set else place
        self._random = Random(f"beside {seed}")  # noqa: S311 (no secret hangs on it)
        self._bug = bug
        self._conversations = (
            _set_conversations() if self._is_set else _conversations(seed, self._random)
        )
        self._by_session = {one.session_id: one for one in self._conversations}
        self._made: Counter[str] = Counter()
        self._history: set[str] = set()
        self.outcome = Outcome(seed)

    def play(self) -> Outcome:
        """Let both work until nothing is left to do, and account for everything.

        With a bug nothing needs to come to an end: then only the troubled rounds are played.
        """
        self._begin()
        url = self._place.world.url
        with closing(LiveDash(url, default_model=_MODEL, make_id=self._new_id)) as livedash:
            for number in range(_TROUBLED_ROUNDS if self._bug else _MOST_ROUNDS):
                is_troubled = number < _TROUBLED_ROUNDS
                if not self._is_set or number in {0, _TROUBLED_ROUNDS}:
                    self._configure(is_troubled)
                self._round(livedash, is_troubled)
                if not is_troubled and not self._left_over():
                    break
        if self._bug is None:
            self._judge()
        return self.outcome

    def _begin(self) -> None:
        world, made = self._place.world, self._conversations
        world.begin([], companies=sorted({one.company_id for one in made}))
        session_ids = [one.session_id for one in made]
        company_ids = [one.company_id for one in made]
        world.ask(SQL["sessions"], ids=session_ids, company_ids=company_ids)
        world.do("messages", ids=session_ids)
        twice = [one for one in made if one.kind == "asked twice"]
        world.ask(
            SQL["earlier_requests"],
            ids=[self._new_id(one.session_id) for one in twice],
            session_ids=[one.session_id for one in twice],
            model=_MODEL,
        )
        self._write_history([one for one in made if one.is_history])

    def _write_history(self, conversations: Sequence[Conversation]) -> None:
        world = self._place.world
        for status, kind in (("COMPLETED", "answered before"), ("FAILED", "failed before")):
            ids = [one.session_id for one in conversations if one.kind == kind]
            world.ask(SQL["stages"], ids=ids, status=status)
        with world.connected() as connection:
            live_path = LivePath(connection)
            for one in conversations:
                if one.kind == "answered before":
                    made = live_path.record_answered(one.session_id, Answer("{}"), model=_MODEL)
                else:
                    made = live_path.record_failed(one.session_id, "OpenAI API error: 500")
                self._history.add(made)

    def _round(self, livedash: LiveDash, is_troubled: bool) -> None:
        """The job's stages, some of them broken off, and LiveDash's turn before and after each."""
        for stage in STAGES:
            self._look(livedash, f"before {stage}")
            self._step(stage, is_troubled)
            if self._bug is not None:
                self._place.world.ask(SQL[self._bug])
        self._look(livedash, "after the last")
        if not is_troubled or self._random.random() < 0.7:
            self._let_time_pass()

    def _step(self, stage: str, is_troubled: bool) -> None:
        random = self._random
        mode = random.choice(("optimized", "original"))
        if is_troubled and self._is_set and self._bug is None:
            # Broken off at its first effect, if it has any, and begun again.
            self._place.step(stage, mode, 1)
            self._let_time_pass()
            self._place.step(stage, mode, None)
            return
        points = random.randint(1, 20) if is_troubled and random.random() < 0.3 else None
        self._place.step(stage, mode, points)

    def _let_time_pass(self) -> None:
        self._place.world.do("let_time_pass", seconds=3_600.0)

    def _look(self, livedash: LiveDash, when: str) -> None:
        """LiveDash makes its requests, and its batch timers select."""
        world, outcome = self._place.world, self.outcome
        for made in livedash.processing_timer():
            conversation = self._by_session[made.session_id]
            if self._made[made.session_id] > conversation.requests_allowed:
                text = f"{when}: a request for a session that has one ({conversation.kind})"
                outcome.find("asked again", text)
        selected = livedash.selects()
        batches = {row.id: row.state for row in world.ask(SQL["our_batches"])}
        places = {row.id: row.place for row in world.ask(SQL["our_rows"])}
        for kind, ids in (("check", selected.check), ("process", selected.process)):
            for state in {batches[one] for one in ids if one in batches}:
                outcome.find(kind, f"{when}: a batch of ours that is {state}")
        for place in {places.get(one, "no row of ours") for one in selected.retry} - {"dead"}:
            outcome.find("retry", f"{when}: a request that is {place}")
        for place in {places[one] for one in selected.create if one in places}:
            outcome.find("create", f"{when}: a request that is {place}")
        outcome.looks += 1
        outcome.happened["capacity"] += len(world.ask(SQL["models_in_cooldown"]))

    def _left_over(self) -> bool:
        ((left,),) = self._place.world.ask(SQL["left_over"], history=sorted(self._history))
        return bool(left)

    def _configure(self, is_troubled: bool) -> None:
        random = self._random
        timing = {"validation_seconds": 0, "processing_seconds": 0, "finalizing_seconds": 0}
        config: dict[str, Any] = {"timing": timing | {"cancel_seconds": 0}, "rows": row_rules()}
        if is_troubled and self._is_set:
            config |= _SET_TROUBLE
        elif is_troubled:
            config["batches"] = [
                {"end_as": end_as, "after_rows": random.randint(0, 3), "after": after, "count": 1}
                for after, end_as in enumerate(random.sample(_ENDINGS, 3))
                if random.random() < 0.6
            ]
            config["calls"] = [
                {"operation": random.choice(_CALLS), "effect": random.choice(_TROUBLE), "count": 1}
                for _ in range(random.choice((0, 1, 1, 2)))
            ]
        self._place.server.set_config(config)

    def _new_id(self, session_id: str) -> str:
        self._made[session_id] += 1
        return Conversation(session_id, "", "").request_id(self._made[session_id])

    def _judge(self) -> None:
        world, outcome = self._place.world, self.outcome
        rows = world.ask(SQL["requests"])
        unreadable = [row.id for row in rows if row.id.rpartition("-")[2] in UNREADABLE]
        # It asks a server for its ledger, which this one has as well.
        server = cast("Server", self._place.server)
        self._judge_money(rows, bill_of(unreadable, world, server, Verdict(0, "", "", 0, "")))
        stages = {row.session_id: row.status for row in world.ask(SQL["stage_of_sessions"])}
        for one in self._conversations:
            statuses = {
                row.status
                for row in rows
                if row.session_id == one.session_id and row.id not in self._history
            }
            self._judge_session(one, statuses, stages[one.session_id])
        (happened,) = world.ask(SQL["happened"])
        outcome.happened.update(happened._asdict())

    def _judge_money(self, rows: Sequence[Any], bill: Bill) -> None:
        charges: Counter[tuple[str, str, str]] = Counter()
        explained: Counter[tuple[str, str, str]] = Counter()
        for row in rows:
            conversation = (row.session_id, row.processing_type, row.model)
            charges[conversation] += bill.charges[row.id]
            explained[conversation] += bill.explained[row.id]
            if row.id in self._history and bill.charges[row.id]:
                self.outcome.find("history", f"{row.id} was bought, and had been called before")
        for conversation, times in charges.items():
            is_unspoilt = conversation[0].rpartition("-")[2] in UNSPOILT
            allowed = 1 if is_unspoilt else 1 + explained[conversation]
            if times > allowed:
                text = f"{'/'.join(conversation)}: {times} times, {allowed} explained"
                self.outcome.find("billed twice", text)

    def _judge_session(self, one: Conversation, statuses: set[str], stage: str) -> None:
        if open_ones := statuses - {"PROCESSING_COMPLETE", "PROCESSING_FAILED"}:
            self.outcome.find("stuck", f"{one.session_id} is {', '.join(sorted(open_ones))}")
        elif statuses:
            is_answered = "PROCESSING_COMPLETE" in statuses
            if stage != ("COMPLETED" if is_answered else "FAILED"):
                self.outcome.find("stage", f"{one.session_id} is {stage}, its requests {statuses}")


def _with_one_call_at_a_time(place: Place) -> Place:
    """The same, where it is known which call is the first."""
    policy = replace(place.story.policy, concurrent_companies=1)
    return replace(place, story=replace(place.story, policy=policy))


def _set_conversations() -> list[Conversation]:
    made = []
    for company_id in ("beside-set-c0", "beside-set-c1"):
        for number, (kind, fate) in enumerate(_SET_CONVERSATIONS):
            made.append(Conversation(f"{company_id}-s{number}-{fate}", company_id, kind))
    return made


def _conversations(seed: int, random: Random) -> list[Conversation]:
    """Two or three companies with five to nine sessions each, half of them with a fate."""
    # A file that names nobody's requests is no result: its batch waits for an operator, and here is
    # none.
    fates = [fate for fate in FATES if fate != "stranger"]
    made = []
    for company in range(random.choice((2, 3))):
        company_id = f"beside-{seed}-c{company}"
        for number in range(random.randint(5, 9)):
            kind = random.choice(_KINDS)
            fate = random.choice(fates) if random.random() < 0.5 else "answered"
            session_id = f"{company_id}-s{number}-{fate}"
            made.append(Conversation(session_id, company_id, kind))
    return made


def play_beside(
    database_url: str, directory: Path, seeds: Sequence[int], bugs: Sequence[str | None] = (None,)
) -> list[Outcome]:
    """Play these worlds, each with each of the bugs."""
    sizes = {"batches_per_claim": 3, "rows_per_write": 3, "max_batch_requests": 6}
    with placed(database_url, directory, **sizes) as place:
        outcomes = []
        for seed in seeds:
            for bug in bugs:
                place.counts.clear()
                outcome = Beside(place, seed, bug).play()
                outcome.happened.update(place.counts)
                outcomes.append(outcome)
        return outcomes
