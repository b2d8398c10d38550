"""`batch-assets drain`: stops submissions and waits until nothing is under way any more."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from batch_assets.cli.conventions import AsJson, DryRun, Yes, asked, print_json
from batch_assets.cli.opening import OpenDatabase, open_database, open_pipeline, who
from batch_assets.cli.screen import console
from batch_assets.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_assets.stages.controls.drain import DrainReport
    from batch_assets.stages.pipeline import Pipeline

commands = typer.Typer()

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 15.0
INTERRUPTED: Final = 130


@commands.command()
def drain(
    *,
    hand_over: Annotated[
        bool, typer.Option("--hand-over", help="Give what runs on the server to LiveDash.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let submissions go on.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do what can be done now; exit 1 if any is left.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Stop submissions and read what is under way, before the way back."""
    from batch_assets.stages.controls.drain import begin_drain, foresee_drain, lift_drain
    from batch_assets.store.drains import Drains

    if resume and (hand_over or dry_run):
        raise ConfigurationError("--resume lets submissions go on: leave the other options out.")
    with open_database() as database:
        drains = Drains(database.engine)
        if resume:
            said = lift_drain(drains)
            _show_lifted(said, as_json=as_json)
            return
        if dry_run:
            _show(foresee_drain(drains, hand_over=hand_over), as_json=as_json)
            return
        question = "Give what runs on the server to LiveDash? That cannot be taken back."
        if hand_over and not asked(question, command="drain --hand-over", yes=yes):
            console().say("Nothing was changed.")
            raise typer.Exit(1)
        begin_drain(drains, who())
        report = _wait(database, hand_over=hand_over, wait=not no_wait, is_shown=not as_json)
    _show(report, as_json=as_json)
    if not report.left.is_empty:
        raise typer.Exit(1)


def _wait(database: OpenDatabase, *, hand_over: bool, wait: bool, is_shown: bool) -> DrainReport:
    """Step after step, until nothing is left; each says what is, if that has changed."""
    report, shown = None, ""
    pause = FIRST_PAUSE_SECONDS
    if is_shown:
        console().say("Submissions are stopped, until `batch-assets drain --resume`.")
    try:
        with ExitStack() as stack:
            pipelines = [
                stack.enter_context(open_pipeline(database.of_account(name), "drain"))
                for name in database.settings.account_names
            ]
            while True:
                report = _step(pipelines, report, hand_over=hand_over)
                if report.left.is_empty or not wait:
                    return report
                if is_shown and report.still != shown:
                    shown = report.still
                    console().say(shown)
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    except KeyboardInterrupt:
        console().say(
            "Not waited for any longer. Submissions stay stopped, and scheduled runs read on: "
            "`batch-assets drain` goes on where this has ended, `batch-assets drain --resume` ends "
            "the drain."
        )
        raise typer.Exit(INTERRUPTED) from None


def _step(
    pipelines: Sequence[Pipeline], before: DrainReport | None, *, hand_over: bool
) -> DrainReport:
    """One step with each account; what was done before is added."""
    from batch_assets.stages.controls.drain import added, drain_on
    from batch_assets.stages.pipeline import Budget

    first, *others = pipelines
    report = added(before, drain_on(first, Budget.of_op(first.policy), hand_over=hand_over))
    for pipeline in others:
        budget = Budget.of_op(pipeline.policy)
        report = added(report, drain_on(pipeline, budget, hand_over=hand_over))
    return report


def _show_lifted(said: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"resumed": said})
    else:
        console().say(said)


def _show(report: DrainReport, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "dry_run": report.dry_run,
                "drained": report.left.is_empty and not report.dry_run,
                "returned_requests": report.returned_requests,
                "handed_over": asdict(report.handed_over),
                "left": asdict(report.left),
                "trouble": report.trouble,
            }
        )
        return
    shown = console()
    for line in report.sentences:
        shown.say(line)
    if report.left.is_empty and not report.dry_run:
        shown.say(
            "LiveDash's server may be started with its OPENAI_API_KEY now; `batch-assets migrate "
            "--downgrade base` takes out what was added to its database."
        )
