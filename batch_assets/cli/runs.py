"""`batch-assets runs` and `logs`: what ran, what it came to, and what it said."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from batch_assets.cli.conventions import AsJson, OfCompany, moment, plural
from batch_assets.cli.listing import (
    MOST,
    Form,
    Limit,
    Since,
    chosen,
    form_of,
    span_of,
    write_list,
)
from batch_assets.cli.opening import open_database
from batch_assets.cli.run import sentences_of
from batch_assets.cli.screen import Column, console
from batch_assets.domain.display import duration, escaped
from batch_assets.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from batch_assets.store.dagster_history import DagsterHistory, KeptRecord, KeptRun
    from batch_assets.wiring import Endpoints

commands = typer.Typer()

STATES: Final = (
    *("success", "failure", "canceled", "started", "starting", "not_started", "queued"),
    *("canceling", "managed"),
)
"""Dagster's words for the states of a run."""
FAILED: Final = ("FAILURE", "CANCELED")
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in a list."""

    run_id: str
    job: str
    state: str
    began_at: datetime
    ended_at: datetime | None
    why: str
    """Why it has failed."""


def _took(run: ListedRun) -> str:
    if run.ended_at is None:
        return ""
    return duration((run.ended_at - run.began_at).total_seconds())


_RUN: Sequence[Column[ListedRun]] = (
    Column("Run", lambda one: one.run_id),
    Column("Job", lambda one: one.job),
    Column("State", lambda one: one.state),
    Column("Began", lambda one: moment(one.began_at).removesuffix(" UTC"), "Began (UTC)"),
    Column("Took", _took),
    Column("Why", lambda one: one.why, is_prose=True),
)


@commands.command("runs")
def list_runs(
    *,
    company: OfCompany = None,
    state: Annotated[
        str | None, typer.Option("--state", help=f"In this state: {', '.join(STATES[:7])}.")
    ] = None,
    since: Since = None,
    limit: Limit = MOST,
    form: Form = "table",
    as_json: AsJson = False,
) -> None:
    """List runs of all jobs, newest first, and why they failed."""
    from batch_assets.store.dagster_history import RunFilter
    from batch_assets.store.lists import Lists

    form = form_of(form, as_json=as_json)
    statuses = None if state is None else [chosen("--state", state, STATES).upper()]
    with open_database() as database, open_history(database.endpoints) as history:
        span = span_of(database.engine, company, since)
        own = None if span.company_id is None else Lists(database.engine).runs_of(span.company_id)
        which = RunFilter(run_ids=own, statuses=statuses, since=span.since)
        kept = history.runs(which, limit) if history.is_there() else []
        why = reasons(history, kept)
    found = [
        ListedRun(
            run_id=one.run_id,
            job=one.job,
            state=one.status.lower(),
            began_at=one.began_at,
            ended_at=one.ended_at,
            why=" ".join(why.get(one.run_id, {}).values()),
        )
        for one in kept
    ]
    write_list(form, "runs", ListedRun, found, _RUN)
    if form == "table":
        console().say(f"{plural(len(found), 'run')}. What one has said: `batch-assets logs RUN`.")


_RECORD: Sequence[Column[KeptRecord]] = (
    Column("When (UTC)", lambda one: f"{one.at:%H:%M:%S}"),
    Column("Level", lambda one: logging.getLevelName(one.level).lower()),
    Column("Op", lambda one: one.op),
    Column("What it said", lambda one: one.said, is_prose=True),
)


@commands.command("logs")
def show_log(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, or how that begins.")],
    *,
    level: Annotated[
        str, typer.Option("--level", help="From this level on: debug, info, warning or error.")
    ] = "info",
    form: Form = "table",
    as_json: AsJson = False,
) -> None:
    """Show what a run has said, from its ops' sentences to why it failed."""
    from batch_assets.store.dagster_history import KeptRecord

    form = form_of(form, as_json=as_json)
    least = _LEVELS[chosen("--level", level, _LEVELS)]
    with open_database() as database, open_history(database.endpoints) as history:
        run_id = _run_called(history, run)
        said = history.log(run_id, least)
    write_list(form, "records", KeptRecord, said, _RECORD)
    if form == "table" and not said:
        console().say(f"Run {run_id} has said nothing of that level.")


@contextmanager
def open_history(endpoints: Endpoints) -> Iterator[DagsterHistory]:
    """Open what Dagster has kept, wherever that is."""
    from batch_assets.store.dagster_history import DagsterHistory
    from batch_assets.store.engine import open_engine_for_looks

    engine = open_engine_for_looks(endpoints.dagster_database_url)
    try:
        yield DagsterHistory(engine)
    finally:
        engine.dispose()


def reasons(history: DagsterHistory, runs: Sequence[KeptRun]) -> Mapping[str, Mapping[str, str]]:
    """Why runs have failed: by run and op, in the ops' own sentences."""
    failed = [one.run_id for one in runs if one.status in FAILED]
    if not failed:
        return {}
    import dagster as dg

    said: dict[str, dict[str, str]] = {}
    for run_id, packed in history.failures(failed):
        event = dg.deserialize_value(packed, dg.EventLogEntry).dagster_event
        if event is None:
            continue
        own = said.setdefault(run_id, {})
        if event.is_step_failure:
            own |= dict(sentences_of(event))
        elif not own:
            own["run"] = event.message or "It was ended."
    return said


def _run_called(history: DagsterHistory, wanted: str) -> str:
    found = history.runs_called(wanted.strip().lower()) if history.is_there() else []
    if not found:
        raise ConfigurationError(
            f"No run has the id '{escaped(wanted)}', or one that begins so: `batch-assets runs` "
            "lists them."
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"The ids of several runs begin with '{escaped(wanted)}': give more of it, as in "
            f"{found[0]}."
        )
    return found[0]
