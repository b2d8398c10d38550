"""The drill's short form, its sabotages and the kills, in a process that has no threads.

Started as `python -m batch_assets_tests.drills.played FORM DIRECTORY`, with a form of those below;
the databases' URLs come in on stdin, one a line.
"""

import json
import os
import random
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from batch_assets.project_files import PROJECT_DIR
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets_local import stack
from batch_assets_tests.cli.dev_program import ask, check_door, processes_of
from drills.beside import BUGS, SET, play_beside
from drills.command import drill
from drills.dev import Dev
from drills.kills import SETTINGS, Drill
from drills.kinds import CYCLE, rehearsals
from drills.points import Strike
from drills.rehearsed import LIVE
from drills.sabotage import SABOTAGES
from drills.schedule import Stage
from drills.steps import take_steps
from drills.story import MODELS, Request, Story

_FIRST = {kind: seed for seed, kind in reversed([*enumerate(CYCLE)])}
# Its kill comes in the second run, as that reads results: to launch a run takes four seconds.
SEEDS = tuple({**_FIRST, "launched-kill": 63}.values())
"""One of each kind."""
EXAMPLES = 8
BESIDE_SEEDS = (SET, 1, 2, 3, 4)
DEV_STACK = "kills-test"
DEV_SECONDS = 180
KILLS = (
    # Nobody is left who knows of the run; Dagster itself goes on.
    ["worker", "code"],
    # Whoever tends the database is gone, and the database.
    ["supervisor", "postgres"],
    # As when the host goes down: it is started again.
    ["dev", "front", "code", "webserver", "daemon", "worker", "supervisor", "postgres"],
)


def short(urls: list[str], directory: Path) -> int:
    for url in urls:
        create_dagster_schema(url)
    return drill(urls, directory, SEEDS, rehearsed=rehearsals()[1:2])


def sabotaged(urls: list[str], directory: Path) -> int:
    """Print what the drill finds, first without a bug and then with each."""
    stage = Stage(urls[0], directory)
    try:
        stage.warm_up(stories()["marks"])
        for name, story in stories().items():
            for is_on in (False, True):
                verdict = stage.play(story, SABOTAGES[name] if is_on else None)
                found = {
                    "lost": verdict.lost,
                    "billed_twice": verdict.billed_twice,
                    "stuck": verdict.stuck,
                    "errors": verdict.errors,
                }
                sys.stdout.write(json.dumps({"name": name, "is_on": is_on, **found}) + "\n")
    finally:
        stage.close()
    return 0


def steps(urls: list[str], directory: Path) -> int:
    """Always the same ones."""
    counts = take_steps(urls[0], directory, examples=EXAMPLES, number=None)
    sys.stdout.write(json.dumps(counts) + "\n")
    return 0


def beside(urls: list[str], directory: Path) -> int:
    """Print what worlds with LiveDash beside them came to; the last ones have bugs in."""
    clean = play_beside(urls[0], directory, BESIDE_SEEDS)
    with_bugs = play_beside(urls[0], directory / "bugs", (SET,), tuple(BUGS))
    for bug, outcome in [*((None, one) for one in clean), *zip(BUGS, with_bugs, strict=True)]:
        told = {
            "bug": bug,
            "seed": outcome.seed,
            "findings": [asdict(finding) for finding in outcome.findings],
            "happened": dict(outcome.happened),
            "looks": outcome.looks,
        }
        sys.stdout.write(json.dumps(told) + "\n")
    return 0


def kills(_urls: list[str], directory: Path) -> int:
    """Print what `batch-assets dev` starts, after how many seconds work went on, and how it ends.

    It is that of the folder in which this is typed.
    """
    dev = Dev(PROJECT_DIR, DEV_STACK, directory / "output", SETTINGS)
    shown: list[str] = []
    one = Drill(dev, random.Random(1), shown.append)
    told: dict[str, Any] = {}
    try:
        one.begin()
        told["starters"] = opened(dev)
        check_door(dev.port)
        told["at_work"] = len(processes_of(PROJECT_DIR) - {os.getpid()})
        told["seconds"] = [one.kill_once(roles) for roles in KILLS]
        one.end()
        one.close()
        # Who is left with the stack would keep it.
        stack.detach(PROJECT_DIR, name=DEV_STACK)
        told["exit_code"] = dev.end()
        told["left"] = len(processes_of(PROJECT_DIR) - {os.getpid()})
        stack.attach(PROJECT_DIR, name=DEV_STACK)  # it can be started again
    finally:
        one.close()
        dev.stop()
    told["said"] = dev.output.read_text(encoding="utf-8")
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


def opened(dev: Dev) -> Any:
    """What starts runs, as the UI says it once it is said to be open."""
    sentence = f"The UI is at http://127.0.0.1:{dev.port}"
    give_up = time.monotonic() + DEV_SECONDS
    while sentence not in (said := dev.output.read_text(encoding="utf-8")) or not ask(dev.port):
        assert not dev.has_ended, said
        assert time.monotonic() < give_up, said
        time.sleep(0.3)
    return ask(dev.port)


def stories() -> dict[str, Story]:
    """For each bug a story in which it matters."""
    quiet = rehearsals()[0]
    quiet = replace(
        quiet,
        requests=tuple(Request(f"r{number}-answered", "c", MODELS[0]) for number in range(5)),
        server={**quiet.server, "batches": []},
        policy=replace(quiet.policy, concurrent_companies=1),
    )
    failing = (Request("r-error500", "c", MODELS[0]),)
    live = replace(quiet, policy=replace(quiet.policy, synchronous=LIVE))
    lost_answer = {
        "operation": "batches.create",
        "count": 1,
        "effect": {"kind": "drop", "work": "done"},
    }
    return {
        "leases": replace(quiet, strikes=(Strike("submit:file:input_written:after", 1, "stop"),)),
        "order": replace(quiet, strikes=(Strike("submit:call:create_batch:acted", 1, "kill"),)),
        "create": replace(quiet, server={**quiet.server, "calls": [lost_answer]}),
        "failures": replace(quiet, requests=failing),
        "marks": replace(
            live,
            requests=failing,
            strikes=(Strike("retry:call:chat_completion:acted", 1, "kill"),),
        ),
    }


if __name__ == "__main__":
    told = sys.stdin.read().split()
    forms = (short, sabotaged, steps, beside, kills)
    form = next(form for form in forms if form.__name__ == sys.argv[1])
    sys.exit(form(told, Path(sys.argv[2])))
