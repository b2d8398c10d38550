"""`make drill`: plays the schedules, prints what became of every request, and judges it."""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrate import upgrade
from batch_assets_local import stack
from batch_assets_local.options import StackOptions
from drills.aiming import Aim
from drills.kinds import CYCLE, rehearsals, retold
from drills.reporting import Report
from drills.story import Story
from drills.workers import Workers, workers

STACK: Final = "drill"
_PROGRESS_SECONDS: Final = 30.0
_DATABASE: Final = "drill_{}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Drill as asked; 0 if nothing was lost, billed twice or stuck, and no run went astray."""
    options = _parser().parse_args(arguments)
    seeds = range(options.seed, options.seed + options.schedules)
    try:
        with databases(PROJECT_DIR, options.workers) as (urls, directory):
            if options.story is not None:
                return play_again(urls, directory, [options.story] * options.schedules)
            return drill(urls, directory, seeds, kinds=options.kinds)
    except BatchAssetsError as error:
        _show(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _show("The drill was stopped.")
        return 130


def drill(
    database_urls: Sequence[str],
    directory: Path,
    seeds: Sequence[int],
    *,
    kinds: Sequence[str] | None = None,
    rehearsed: Sequence[Story] | None = None,
) -> int:
    """Play the schedules of these numbers, on a migrated database for each worker.

    0 if nothing was lost, billed twice or stuck, no run went astray, and every point was hit if
    there were schedules enough. With `kinds` they are of these in turn, not of each number's own.
    """
    began = shown_at = time.monotonic()
    report = Report(_show)
    with workers(database_urls, directory) as made:
        aim = _rehearse(made, rehearsals() if rehearsed is None else rehearsed, report)
        _show(f"{len(aim.names)} points; rehearsed in {time.monotonic() - began:.0f} s")
        for verdict in made.play(aim.stories(seeds, kinds)):
            report.add(verdict)
            aim.learn(verdict)
            if time.monotonic() - shown_at > _PROGRESS_SECONDS:
                shown_at = time.monotonic()
                _show(report.progress(shown_at - began))
    for line in ["", *report.points(aim.names), "", *report.table(), "", *report.times()]:
        _show(line)
    _show(report.neighbour())
    _show(f"points={len(aim.names)} killed={len(aim.names) - len(aim.missed)}")
    _show(report.last_line())
    return 0 if report.is_clean and not (aim.is_enough and aim.missed) else 1


def play_again(database_urls: Sequence[str], directory: Path, stories: Sequence[Story]) -> int:
    """Play told stories; 0 if nothing was lost, billed twice or stuck, and no run went astray."""
    report = Report(_show)
    with workers(database_urls, directory) as made:
        for verdict in made.play(stories):
            report.add(verdict)
    for line in [str(stories[0]), "", *report.table(), "", *report.times()]:
        _show(line)
    _show(report.last_line())
    return 0 if report.is_clean else 1


def _rehearse(made: Workers, stories: Sequence[Story], report: Report) -> Aim:
    """Play what nothing strikes: from there the points are known."""
    verdicts = {verdict.seed: verdict for verdict in made.play(stories)}
    for verdict in verdicts.values():
        if not verdict.is_clean:
            report.add(verdict)
    return Aim((story, verdicts[story.seed]) for story in stories)


@contextmanager
def databases(
    project_dir: Path, number: int, *, name: str = STACK
) -> Iterator[tuple[list[str], Path]]:
    """Databases and a directory, on a local stack of this name that is gone afterwards."""
    stack.reset(project_dir, name=name)
    try:
        running = stack.attach(project_dir, name=name, options=StackOptions(durable=False))
        yield (
            [_make_database(running.database_url, one) for one in range(number)],
            (running.state_dir / "workers"),
        )
    finally:
        stack.reset(project_dir, name=name)


def _make_database(admin_url: str, number: int) -> str:
    name = _DATABASE.format(number)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    upgrade(url)
    create_dagster_schema(url)
    return url


def _show(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (what `make drill` is for)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the number of the first one")
    parser.add_argument("--workers", type=int, default=8, help="schedules side by side")
    parser.add_argument("--kinds", nargs="+", choices=sorted(set(CYCLE)), help="only these")
    parser.add_argument("--story", type=_story, help="only this one, as a failed one is printed")
    return parser


def _story(told: str) -> Story:
    try:
        return retold(told)
    except (LookupError, ValueError):
        raise argparse.ArgumentTypeError("it is not as the drill prints it") from None
