"""The pipeline taken step by step, in one process, by Hypothesis: any stage, broken off anywhere.

A broken-off stage does nothing more, as if its process had been killed: from the point on, each
further effect is refused. After each step every request is accounted for.
"""

import argparse
import logging
import os
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, cast

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from batch_assets.openai_batch.operations import Timeouts
from batch_assets.project_files import PROJECT_DIR
from batch_assets.stages.ingest import ingest_results
from batch_assets.stages.orphans import delete_leftovers, find_orphans
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.plan import find_due
from batch_assets.stages.poll import check_statuses
from batch_assets.stages.recover import recover
from batch_assets.stages.retry import retry_failed
from batch_assets.stages.submit import submit_due
from batch_assets.store.registry import WorkSnapshot
from batch_assets_local.batch_server import RunningServer, running_server
from drills import probes
from drills.command import databases
from drills.judging import Verdict, judge
from drills.kinds import rehearsals
from drills.points import Points
from drills.run import STORY_ENDS, Scene, opened
from drills.server import Server, answer
from drills.story import FATES, MODELS, Request, Story, row_rules
from drills.world import World

COMPANIES: Final = ("c0", "c1", "c2")
_LAST_ROUNDS: Final = 60
_AT_ONCE: Final = {"retry-after-ms": "1"}
"""The SDK repeats a reading call after its own backoff, unless the server names a time."""
_EFFECTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "lost": {"kind": "drop", "work": "done"},
    "unsent": {"kind": "drop", "work": "never"},
    "late": {"kind": "drop", "work": "later", "later_seconds": 0.05},
    "busy": {"kind": "answer", "status": 429, "headers": _AT_ONCE},
    "broken": {"kind": "answer", "status": 500, "headers": _AT_ONCE, "work_done": True},
}
_ENDINGS: Final = ("expired", "cancelled", "failed")
_OPERATIONS: Final = ("files.create", "batches.create", "batches.retrieve", "files.content")


_SOME_FATES: Final = st.lists(
    st.sampled_from(["answered", "answered", *FATES]), min_size=1, max_size=4
)
_MODES: Final = st.sampled_from(["optimized", "original"])
_BUSIEST: Final = st.sampled_from(["submit", "submit", "recover", "check", "ingest", "retry"])
_STEPS: Final = 20
_STACK: Final = "drill-steps"
_TIMEOUTS: Final = Timeouts(connect=5.0, read=10.0, create=10.0, upload=10.0, turn=0.2)
"""No call is given up for a busy machine; one on trial may be of a stage that was broken off."""


class BrokenOffError(BaseException):
    """A stage came to the point at which it has to stop."""


class Trap(Points):
    """Breaks a stage off at the so-manieth point, whichever that is, and lets it do no more."""

    def __init__(self) -> None:
        super().__init__(os.open(os.devnull, os.O_WRONLY), (), lambda _action: None)
        self._points_left: int | None = None
        self._lock = threading.Lock()

    def set(self, points: int | None) -> None:
        """Break off at the so-manieth point from now on; never with `None`."""
        self._points_left = points

    def reach(self, effect: str) -> None:
        """Go on, or never again."""
        with self._lock:
            if self._points_left is None:
                return
            self._points_left -= 1
            if self._points_left > 0:
                return
        raise BrokenOffError(f"{self.stage}:{effect}")


def _submit(pipeline: Pipeline, snapshot: WorkSnapshot, budget: Budget) -> None:
    companies = [company.id for company in pipeline.queries.active_companies()]
    due = find_due(pipeline, snapshot, companies).due
    submit_due(pipeline, snapshot, [backlog.company_id for backlog in due], budget)


STAGES: Final[Mapping[str, Callable[[Pipeline, WorkSnapshot, Budget], object]]] = {
    "check": check_statuses,
    "recover": recover,
    "ingest": ingest_results,
    "retry": retry_failed,
    "submit": _submit,
    "clean": delete_leftovers,
    "orphans": lambda pipeline, snapshot, _budget: find_orphans(pipeline, snapshot),
}


@dataclass(frozen=True)
class Place:
    """Where the steps are taken; one for all examples."""

    world: World
    server: RunningServer
    trap: Trap
    story: Story
    spool_dir: Path
    counts: Counter[str]

    def step(self, stage: str, mode: str, points: int | None) -> None:
        """Let one stage run, in a run of its own; broken off at a point if one is named."""
        self.trap.stage = stage
        scene = Scene(self.world, self.server.base_url, 0, self.spool_dir)
        try:
            with opened(replace(self.story, mode=mode), scene, _TIMEOUTS) as pipeline:
                budget = Budget(pipeline.policy.op_seconds, pipeline.policy.rows_per_run)
                self.trap.set(points)
                STAGES[stage](pipeline, pipeline.read_snapshot(), budget)
        except STORY_ENDS:
            self.counts["ended_early"] += 1
        except BrokenOffError:
            self.counts["broken_off"] += 1
            self.world.end_connections()
        finally:
            self.trap.set(None)
            self.counts["stages"] += 1


class Steps(RuleBasedStateMachine):
    """Requests of three companies, and whatever may happen to them, in any order."""

    place: Place

    @initialize(fates=_SOME_FATES, model=st.sampled_from(MODELS))
    def begin(self, fates: list[str], model: str) -> None:
        """Begin with three companies, a new installation, and a few requests of one of them."""
        self.place.counts["examples"] += 1
        self._prefix = f"steps-{os.getpid()}-{self.place.counts['examples']}"
        self._requests: list[Request] = []
        self._deleted: set[str] = set()
        self._calls: list[Mapping[str, Any]] = []
        self._batches: list[Mapping[str, Any]] = []
        self._holds = False
        self.place.world.begin([], companies=[f"{self._prefix}-{one}" for one in COMPANIES])
        self._configure()
        self._add(COMPANIES[0], model, fates)

    @rule(company=st.sampled_from(COMPANIES), model=st.sampled_from(MODELS), fates=_SOME_FATES)
    def add(self, company: str, model: str, fates: list[str]) -> None:
        """More requests wait."""
        self._add(company, model, fates)

    def _add(self, company: str, model: str, fates: list[str]) -> None:
        company_id = f"{self._prefix}-{company}"
        first = len(self._requests)
        made = [
            Request(f"{company_id}-r{number}-{fate}", company_id, model)
            for number, fate in enumerate(fates, first)
        ]
        self.place.world.add(made)
        self._requests += made
        self.place.counts["requests"] += len(made)

    @rule(mode=_MODES)
    def run(self, mode: str) -> None:
        """All stages run, in the job's order."""
        for stage in STAGES:
            self.place.step(stage, mode, None)

    @rule(stage=st.sampled_from(sorted(STAGES)), mode=_MODES)
    def run_one(self, stage: str, mode: str) -> None:
        """One stage runs to its end."""
        self.place.step(stage, mode, None)

    @rule(stage=_BUSIEST, mode=_MODES, points=st.integers(1, 20))
    def break_off(self, stage: str, mode: str, points: int) -> None:
        """One stage runs until it comes to the so-manieth point."""
        self.place.step(stage, mode, points)

    @rule(stage=_BUSIEST, mode=_MODES, points=st.integers(1, 8))
    def break_off_a_run(self, stage: str, mode: str, points: int) -> None:
        """The stages run in the job's order until one of them comes to the so-manieth point."""
        for earlier in takewhile(lambda one: one != stage, STAGES):
            self.place.step(earlier, mode, None)
        self.place.step(stage, mode, points)

    @rule(company=st.sampled_from(COMPANIES), status=st.sampled_from(["ACTIVE", "SUSPENDED"]))
    def change(self, company: str, status: str) -> None:
        """A company is suspended, or active again."""
        self._set_status(company, status)

    @rule()
    def let_time_pass(self) -> None:
        """Leases run out, dates come, breakers let a trial through."""
        self.place.world.do("let_time_pass", seconds=3_600.0)

    @rule(operation=st.sampled_from(_OPERATIONS), effect=st.sampled_from(sorted(_EFFECTS)))
    def break_call(self, operation: str, effect: str) -> None:
        """The next call of an operation goes wrong."""
        self._calls = [{"operation": operation, "effect": _EFFECTS[effect], "count": 1}]
        self._configure()

    @rule(end_as=st.sampled_from(_ENDINGS), after_rows=st.integers(0, 3))
    def end_early(self, end_as: str, after_rows: int) -> None:
        """The next batch that is made does not complete."""
        self._batches = [{"end_as": end_as, "after_rows": after_rows, "count": 1}]
        self._configure()

    @rule(holds=st.booleans())
    def hold(self, holds: bool) -> None:
        """The server finishes no batch from now on, or all of them."""
        self._holds = holds
        self._configure()

    @precondition(lambda self: self._requests)
    @rule(data=st.data())
    def delete_session(self, data: st.DataObject) -> None:
        """LiveDash deletes a session, and its request with it."""
        request = data.draw(st.sampled_from(self._requests), label="request")
        self.place.world.do("delete_session", id=request.id)
        self._deleted.add(request.id)

    @invariant()
    def every_request_is_accounted_for(self) -> None:
        """In one bucket, billed as often as its failures explain, and in its company's batch."""
        verdict = self._judged()
        assert (verdict.lost, verdict.billed_twice, verdict.in_two_buckets) == (0, 0, 0), (
            verdict.details
        )
        assert self.place.world.rows("of_another_company") == []
        companies: defaultdict[str, set[str]] = defaultdict(set)
        of = {request.id: request.company_id for request in self._requests}
        for entry in self.place.server.ledger().entries():
            if entry.custom_id in of and entry.batch_id is not None:
                companies[entry.batch_id].add(of[entry.custom_id])
        assert all(len(found) == 1 for found in companies.values())

    def teardown(self) -> None:
        """Run on until nothing is left to do: then each request is complete, or dead."""
        if not hasattr(self, "_requests"):
            return
        self._calls, self._batches, self._holds = [], [], False
        self._configure()
        for company in COMPANIES:
            self._set_status(company, "ACTIVE")
        for number in range(_LAST_ROUNDS):
            for stage in STAGES:
                self.place.step(stage, "optimized" if number % 2 else "original", None)
            self.place.world.do("let_time_pass", seconds=3_600.0)
            if not self.place.world.open_work(0).left_over:
                break
        self.every_request_is_accounted_for()
        verdict = self._judged()
        assert verdict.is_clean, verdict.details

    def _judged(self) -> Verdict:
        """Of the requests that were not deleted; those that are open count as stuck."""
        left = tuple(one for one in self._requests if one.id not in self._deleted)
        story = replace(self.place.story, requests=left)
        verdict = Verdict.of(story)
        # It asks a server for its ledger, which this one has as well.
        judge(story, self.place.world, cast("Server", self.place.server), verdict)
        return verdict

    def _set_status(self, company: str, status: str) -> None:
        company_id = f"{self._prefix}-{company}"
        self.place.world.do("company_status", company_id=company_id, status=status)

    def _configure(self) -> None:
        timing = {"validation_seconds": 0, "processing_seconds": 0, "finalizing_seconds": 0}
        timing |= {"cancel_seconds": 0} | ({"hold_after_rows": 0} if self._holds else {})
        self.place.server.set_config(
            {
                "timing": timing,
                "rows": row_rules(),
                "calls": self._calls,
                "batches": self._batches,
            }
        )


@contextmanager
def placed(database_url: str, directory: Path, **changes: Any) -> Iterator[Place]:
    """A place for this process, which is a drill's from now on; `changes` are of the policy."""
    logging.disable(logging.CRITICAL)
    # A stream that was broken off is closed when it is forgotten, on a connection that has ended.
    sys.unraisablehook = lambda _unraisable: None
    probes.spare_certificates()
    trap = Trap()
    probes.install(trap)
    world = World(database_url)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with running_server(directory / "server", answerer=answer) as server, closing(world):
        story = rehearsals()[0]
        patience = {"lease_seconds": 60, "absence_grace_seconds": 60, "reading_grace_seconds": 0}
        policy = replace(story.policy, **{**patience, **changes})
        story = replace(story, policy=policy)
        yield Place(world, server, trap, story, directory / "spool", Counter())


def take_steps(
    database_url: str, directory: Path, *, examples: int, number: int | None
) -> Counter[str]:
    """Try so many examples; always the same ones without a number. AssertionError if one fails.

    Returns how many stages were run and how many of them broken off, and how many requests there
    were.
    """
    with placed(database_url, directory, batches_per_claim=2, rows_per_write=3) as place:
        machine = type("Steps", (Steps,), {"place": place})
        run_state_machine_as_test(
            machine if number is None else seed(number)(machine),
            settings=settings(
                max_examples=examples,
                stateful_step_count=_STEPS,
                derandomize=number is None,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )
    return place.counts


def main() -> int:
    """Take the steps that are asked for, on a local stack of the drill's own."""
    parser = argparse.ArgumentParser(prog="make drill-steps", description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="how many sequences of steps")
    parser.add_argument("--seed", type=int, default=1, help="another one gives others")
    options = parser.parse_args()
    with databases(PROJECT_DIR, 1, name=_STACK) as ((url,), directory):
        counts = take_steps(url, directory, examples=options.examples, number=options.seed)
    sys.stdout.write(" ".join(f"{name}={count}" for name, count in sorted(counts.items())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
