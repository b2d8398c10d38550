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
from batch_assets.local import stack
from batch_assets.local.options import StackOptions
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.migrate import upgrade
from batch_assets.wiring import PROJECT_DIR
from drills.judging import Verdict
from drills.kinds import CYCLE, Seen, rehearsal_of, rehearsals, story_of
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
        with _databases(PROJECT_DIR, options.workers) as (urls, directory):
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

    0 if nothing was lost, billed twice or stuck, and no run went astray. With `kinds` the schedules
    are of these in turn, instead of each number's own.
    """
    began = shown_at = time.monotonic()
    report = Report(_show)
    with workers(database_urls, directory) as made:
        seen = _rehearse(made, rehearsals() if rehearsed is None else rehearsed, report)
        _show(f"{len(seen)} points; rehearsed in {time.monotonic() - began:.0f} s")
        stories = [
            story_of(seed, seen, kinds[number % len(kinds)] if kinds else None)
            for number, seed in enumerate(seeds)
        ]
        for verdict in made.play(stories):
            report.add(verdict)
            if time.monotonic() - shown_at > _PROGRESS_SECONDS:
                shown_at = time.monotonic()
                _show(report.progress(shown_at - began))
    for line in ["", *report.points(one.name for one in seen), "", *report.table()]:
        _show(line)
    _show(report.last_line())
    return 0 if report.is_clean else 1


def _rehearse(made: Workers, stories: Sequence[Story], report: Report) -> list[Seen]:
    """Play what nothing strikes; the points that were reached, by name."""
    verdicts = sorted(made.play(stories), key=lambda verdict: -verdict.seed)
    for verdict in verdicts:
        if not verdict.is_clean:
            report.add(verdict)
    return [_seen(name, verdicts) for name in sorted({n for v in verdicts for n in v.reached})]


def _seen(name: str, verdicts: Sequence[Verdict]) -> Seen:
    most = max(verdicts, key=lambda verdict: verdict.reached[name])
    reached_in = sum(name in verdict.reached for verdict in verdicts)
    return Seen(name, rehearsal_of(most.seed), most.reached[name], reached_in)


@contextmanager
def _databases(project_dir: Path, number: int) -> Iterator[tuple[list[str], Path]]:
    """Databases of the drill's own, on a local stack of its own that is gone afterwards."""
    stack.reset(project_dir, name=STACK)
    try:
        running = stack.attach(project_dir, name=STACK, options=StackOptions(durable=False))
        yield (
            [_make_database(running.database_url, one) for one in range(number)],
            (running.state_dir / "workers"),
        )
    finally:
        stack.reset(project_dir, name=STACK)


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
    parser.add_argument("--workers", type=int, default=4, help="schedules side by side")
    parser.add_argument("--kinds", nargs="+", choices=sorted(set(CYCLE)), help="only these")
    return parser
