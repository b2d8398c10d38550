"""The drill's short form and its sabotages, in a process that has no threads and so may fork.

Started as `python -m batch_assets_tests.drills.played FORM DIRECTORY`, with a form of those below;
the databases' URLs come in on stdin, one a line.
"""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from batch_assets.store.dagster_schema import create_dagster_schema
from drills.beside import BUGS, play_beside
from drills.command import drill
from drills.kinds import CYCLE, rehearsals
from drills.points import Strike
from drills.rehearsed import LIVE
from drills.sabotage import SABOTAGES
from drills.schedule import Stage
from drills.steps import take_steps
from drills.story import MODELS, Request, Story

SEEDS = (*{kind: seed for seed, kind in reversed([*enumerate(CYCLE)])}.values(), 2, 4)
"""One of each kind, and two kills more."""
EXAMPLES = 8
BESIDE_SEEDS = (1, 2, 3, 4, 7)


def short(urls: list[str], directory: Path) -> int:
    for url in urls:
        create_dagster_schema(url)
    return drill(urls, directory, SEEDS, rehearsed=rehearsals()[1:2])


def sabotaged(urls: list[str], directory: Path) -> int:
    """Print what the drill finds, first without a bug and then with each."""
    for name, story in stories().items():
        for is_on in (False, True):
            sabotage = SABOTAGES[name] if is_on else None
            stage = Stage(urls[0], directory, sabotage)
            try:
                stage.warm_up(story)
                verdict = stage.play(story)
            finally:
                stage.close()
            found = {
                "lost": verdict.lost,
                "billed_twice": verdict.billed_twice,
                "stuck": verdict.stuck,
                "errors": verdict.errors,
            }
            sys.stdout.write(json.dumps({"name": name, "is_on": is_on, **found}) + "\n")
    return 0


def steps(urls: list[str], directory: Path) -> int:
    """Always the same ones."""
    counts = take_steps(urls[0], directory, examples=EXAMPLES, number=None)
    sys.stdout.write(json.dumps(counts) + "\n")
    return 0


def beside(urls: list[str], directory: Path) -> int:
    """Print what random worlds with LiveDash beside them came to; the last ones have bugs in."""
    clean = play_beside(urls[0], directory, BESIDE_SEEDS)
    with_bugs = play_beside(urls[0], directory / "bugs", BESIDE_SEEDS[:1], tuple(BUGS))
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
    live = replace(quiet, policy=replace(quiet.policy, live=LIVE))
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
    forms = {"short": short, "sabotaged": sabotaged, "steps": steps, "beside": beside}
    sys.exit(forms[sys.argv[1]](told, Path(sys.argv[2])))
