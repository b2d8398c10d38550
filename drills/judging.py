"""What became of every request: the server's ledger beside the database. docs/drill.md defines it.

Lost: in no bucket, or not complete though nothing is wrong with it. Billed twice: more charges
than one and those after which an attempt that failed, or found no line, asked for another try.
What a batch
was billed for that an operator gave up is waste that he was told of, and has to be booked as such.
Stuck: neither complete nor dead when no more runs are made. Unknown: dead because nobody recorded
what its synchronous call came to.

Where LiveDash buys beside the runs, what it has bought is its own affair: of such a request it is
judged only that we have not bought it twice. A request that it makes for a session that has one is
an error of ours.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from batch_assets.stages.remote_ids import call_id
from batch_assets.stages.synchronous_caller import INDETERMINATE
from drills.livedash import Purchase
from drills.server import Server
from drills.story import UNREADABLE, UNSPOILT, Request, Story
from drills.world import World

_OF_THE_STORY: Final = frozenset({INDETERMINATE, "refused_alone"})
"""Dead for what the story did: nobody knows what a synchronous call came to, or the server refused
a batch of one request for no reason, and took others of its model."""


@dataclass
class Verdict:
    """One schedule's end."""

    seed: int
    kind: str
    story: str
    requests: int
    told: str
    lost: int = 0
    billed_twice: int = 0
    stuck: int = 0
    in_two_buckets: int = 0
    unknown: int = 0
    bought_by_livedash: int = 0
    """Requests."""
    bought_by_both: int = 0
    """Of these such as we have bought, too."""
    kills: list[str] = field(default_factory=list)
    """Points at which a run was killed."""
    struck: int = 0
    missed: int = 0
    """Strikes whose point was never reached so often."""
    runs: int = 0
    launched_runs: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of its runs, its server and its player; not of the database."""
    reached: Counter[str] = field(default_factory=Counter)
    """How often each point was reached."""
    errors: list[str] = field(default_factory=list)
    """What no run may end with, and what the drill itself met."""
    details: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, story: Story) -> "Verdict":
        """One for a story that is not played yet."""
        return cls(story.seed, story.kind, str(story), len(story.requests), story.told)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        wrong = self.lost + self.billed_twice + self.stuck + self.in_two_buckets
        return not (wrong or self.errors)


@dataclass(frozen=True)
class Bill:
    """What the server has billed, by request."""

    charges: Counter[str]
    explained: Counter[str]
    """Charges after which an attempt that failed, or found no line, asked for another try."""
    given_up: Counter[str]
    """Charges of batches that an operator gave up: the double cost was spelled out."""
    unknown: frozenset[str]
    """Requests with a synchronous call of which nobody recorded what it came to."""


def bill_of(unreadable: Collection[str], world: World, server: Server, verdict: Verdict) -> Bill:
    """What was billed; synchronous calls are judged at once. `unreadable` leave no line to read."""
    charges: Counter[str] = Counter()
    charged_in: set[tuple[str, str]] = set()
    batches = {row.openai_batch_id: row for row in world.rows("given_up")}
    given_up: Counter[str] = Counter()
    for entry in server.ledger().entries():
        if entry.custom_id is not None and entry.batch_id is not None:
            charges[entry.custom_id] += 1
            charged_in.add((entry.custom_id, entry.batch_id))
            given_up[entry.custom_id] += entry.batch_id in batches
    _judge_waste(unreadable, batches, charged_in, verdict)
    unknown = set()
    for live in _judge_synchronous(world, server, verdict):
        charges[live.request_id] += live.times
        charged_in.add((live.request_id, live.batch_id))
        if live.is_unknown:
            unknown.add(live.request_id)
    spoilt = {
        (row.request_id, row.openai_batch_id)
        for row in world.rows("failed_attempts")
        if (row.outcome == "failed" or row.request_id in unreadable)
        and row.openai_batch_id not in batches
    } & charged_in
    explained = Counter(request_id for request_id, _ in spoilt)
    return Bill(charges, explained, given_up, frozenset(unknown))


def judge(
    story: Story,
    world: World,
    server: Server,
    verdict: Verdict,
    purchases: Sequence[Purchase] = (),
) -> None:
    """Account for every request of a schedule that is over; `purchases` are LiveDash's."""
    unreadable = {request.id for request in story.requests if request.fate in UNREADABLE}
    bill = bill_of(unreadable, world, server, verdict)
    rows = {row.id: row for row in world.rows("buckets")}
    again = rows.keys() - {request.id for request in story.requests}
    verdict.errors += [f"LiveDash was let ask again: {name}" for name in sorted(again)]
    theirs = {purchase.request_id for purchase in purchases}
    verdict.bought_by_livedash = len(theirs)
    verdict.bought_by_both = sum(bill.charges[name] > 0 for name in theirs)
    for request in story.requests:
        row = rows.get(request.id)
        charges = bill.charges[request.id]
        explained = bill.explained[request.id]
        _judge_money(request, charges - bill.given_up[request.id], explained, verdict)
        if request.id not in theirs:
            is_unknown = request.id in bill.unknown
            _judge_row(request, row, charges, verdict, is_unknown=is_unknown)


def _judge_waste(
    unreadable: Collection[str],
    given_up: Mapping[str, Any],
    charged_in: Collection[tuple[str, str]],
    verdict: Verdict,
) -> None:
    """What was read of batches that were given up is what they were billed for."""
    for openai_id, row in given_up.items():
        billed = [request_id for request_id, batch_id in charged_in if batch_id == openai_id]
        fewest = sum(request_id not in unreadable for request_id in billed) - row.known
        if not fewest <= row.answers <= len(billed):
            what = f"{row.answers} answers booked as waste, {len(billed)} billed"
            verdict.errors.append(f"given up: {row.id}, {what}")


def _judge_row(
    request: Request, row: Any, charges: int, verdict: Verdict, *, is_unknown: bool
) -> None:
    """Where a request is in the end, if it is anywhere."""
    buckets = list(row.buckets) if row is not None else []
    is_excused = row is not None and row.code in _OF_THE_STORY and not charges
    if not (buckets == ["dead"] and (is_unknown or is_excused)):
        _judge_place(request, buckets, charges, verdict)
    if row is not None and not _fits(row.status, row.open_attempts, row.completions, buckets):
        verdict.details.append(f"{request.id}: the attempts do not fit {buckets}")
        verdict.in_two_buckets += 1
    elif row is not None and not (row.fits_batch and row.fits_status):
        verdict.details.append(f"{request.id}: the row does not fit {buckets}")
        verdict.in_two_buckets += 1


@dataclass(frozen=True)
class _Live:
    """A synchronous call that was billed, and whether nobody recorded what it came to."""

    request_id: str
    batch_id: str
    times: int
    is_unknown: bool


def _judge_synchronous(world: World, server: Server, verdict: Verdict) -> Iterator[_Live]:
    """The synchronous calls that were billed.

    Each is to be billed once and to end complete, unless its outcome is unknown.
    """
    billed = Counter(str(entry.custom_id) for entry in server.ledger().entries(kind="live"))
    for attempt in world.rows("synchronous_attempts"):
        times = billed.pop(call_id(attempt.batch_id, attempt.request_id), 0)
        is_unknown = attempt.code == INDETERMINATE
        verdict.unknown += is_unknown
        if times > 1:
            verdict.billed_twice += 1
            verdict.details.append(
                f"{attempt.request_id}: one synchronous call, billed {times} times"
            )
        if times and attempt.outcome != "completed" and not is_unknown:
            verdict.lost += 1
            verdict.details.append(f"{attempt.request_id}: answered live, and yet not complete")
        if times:
            yield _Live(attempt.request_id, attempt.openai_batch_id, times, is_unknown)
    verdict.errors += [f"a synchronous call of no attempt: {name}" for name in billed]


def _judge_money(request: Request, charges: int, explained: int, verdict: Verdict) -> None:
    allowed = 1 if request.fate in UNSPOILT else 1 + explained
    if charges > allowed:
        verdict.billed_twice += 1
        verdict.details.append(f"{request.id}: billed {charges} times, {allowed} explained")


def _judge_place(request: Request, buckets: Iterable[str], charges: int, verdict: Verdict) -> None:
    found = list(buckets)
    if not found:
        verdict.lost += 1
        verdict.details.append(f"{request.id}: in no bucket")
    elif len(found) > 1:
        verdict.in_two_buckets += 1
        verdict.details.append(f"{request.id}: in {' and '.join(found)}")
    elif found[0] not in {"complete", "dead"}:
        verdict.stuck += 1
        verdict.details.append(f"{request.id}: still {found[0]}")
    elif request.fate in UNSPOILT and found[0] != "complete":
        verdict.lost += 1
        what = "paid and answered, and yet" if charges else "nothing is wrong with it, and yet"
        verdict.details.append(f"{request.id}: {what} {found[0]}")


def _fits(status: str, open_attempts: int, completions: int, buckets: Iterable[str]) -> bool:
    """Whether the attempts say what the bucket says."""
    return (
        open_attempts == ("in_batch" in buckets)
        and completions == (status == "PROCESSING_COMPLETE")
        and bool(list(buckets))
    ) or not list(buckets)
