"""How Dagster starts and ends runs, and how it learns that one is dead; `dagster.yaml` names it.

Dagster's own launcher asks the code server that has started a run. Where that is gone, too, a run
is under way for ever and cannot be terminated. This one asks the database as well. A run is dead if
nobody works on it any more, and nobody will. What cannot be seen is never taken for dead: then a
run stays as it is, and is looked at again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import dagster as dg
import psycopg

# Where launchers outside of Dagster take these two from: they are exported nowhere else.
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.hosts import (
    BEAT_SECONDS,
    UNHEARD_SECONDS,
    RunProcess,
    RunTrace,
    is_gone,
)
from batch_assets.domain.logs import open_log
from batch_assets.resources.heartbeat import lives, open_run_processes
from batch_assets.resources.run_executor import first_process_of, is_watched
from batch_assets.store.runs import RunProcesses

IN_PROCESS: Final = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
"""Of these somebody has to be at work on it, or about to. One that is queued needs nobody."""
SECOND_LOOK_SECONDS: Final = 2 * BEAT_SECONDS + 2
"""Whoever was as silent as everybody else, say in a machine that slept, is heard of by then."""

_MOST: Final = 100
_Answer = TypeVar("_Answer")
_log = open_log(__name__)
_UNHEARD = (
    "This run is cancelled: its code server does not know it, and its process was not heard of."
)


class RunWatch:
    """Finds and closes dead runs; made without doing anything."""

    def __init__(self, open_processes: Callable[[], RunProcesses] = open_run_processes) -> None:
        self._open = open_processes

    def trace(self, run: dg.DagsterRun) -> RunTrace | None:
        """Where a run is; `None` if that cannot be seen."""
        trace = self._ask(lambda processes: processes.trace(run.run_id), None)
        first = first_process_of(run)
        if trace is None or trace.processes or first is None:
            return trace
        return replace(trace, processes=[first])

    def mark(self, run_id: str, trace: RunTrace) -> bool:
        """Let a run's process end should it be heard of again; not if it was heard of since."""
        return self._ask(lambda processes: processes.give_up(run_id, trace), False)

    def ask_to_end(self, run_id: str) -> bool:
        """Let a run end with the next beat of its process; whether that could be said."""

        def ask(processes: RunProcesses) -> bool:
            processes.ask_to_end(run_id)
            return True

        return self._ask(ask, False)

    def give_up(self, instance: dg.DagsterInstance, run_id: str) -> str | None:
        """Take a run for dead if it is; the sentence that says why, or `None` if it is not.

        Its record is the caller's to close.
        """
        record = instance.get_run_record_by_id(run_id)
        if record is None or record.dagster_run.status not in IN_PROCESS:
            return None
        trace = self.trace(record.dagster_run)
        if trace is None or not _looks_dead(instance, record, trace):
            return None
        if not trace.is_given_up and _may_be_heard_of(trace):
            time.sleep(SECOND_LOOK_SECONDS)
            trace = self.trace(record.dagster_run)
            if trace is None or not _looks_dead(instance, record, trace):
                return None
        if not (trace.is_given_up or self.mark(run_id, trace)):
            return None
        return _sentence(trace)

    def close_dead_runs(self, instance: dg.DagsterInstance) -> list[str]:
        """Close the records of dead runs; the ids of these."""
        records = instance.get_run_records(dg.RunsFilter(statuses=list(IN_PROCESS)), limit=_MOST)
        return [
            record.dagster_run.run_id
            for record in records
            if self._close_if_dead(instance, record.dagster_run.run_id)
        ]

    def _close_if_dead(self, instance: dg.DagsterInstance, run_id: str) -> bool:
        sentence = self.give_up(instance, run_id)
        return sentence is not None and close_record(instance, run_id, sentence)

    def _ask(self, ask: Callable[[RunProcesses], _Answer], unknown: _Answer) -> _Answer:
        try:
            return ask(self._open())
        except BatchAssetsError as error:
            _log.warning("Whether runs live cannot be seen. %s", error)
            return unknown
        except (DBAPIError, psycopg.Error) as error:
            # Its own text may quote a row.
            _log.warning("Whether runs live cannot be seen (%s).", type(error).__name__)
            return unknown


def close_record(
    instance: dg.DagsterInstance, run_id: str, sentence: str, *, as_canceled: bool = False
) -> bool:
    """Close the record of a run that was given up, unless somebody has done so meanwhile."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.status not in IN_PROCESS:
        return False
    if as_canceled or run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, sentence)
    else:
        instance.report_run_failed(run, sentence)
    return True


def _looks_dead(instance: dg.DagsterInstance, record: dg.RunRecord, trace: RunTrace) -> bool:
    if trace.is_given_up:
        return True
    if trace.processes:
        return all(is_gone(process, lives(process.name)) for process in trace.processes)
    if not is_watched(record.dagster_run):
        return False
    return time.time() - _began_at(instance, record) > UNHEARD_SECONDS


def _may_be_heard_of(trace: RunTrace) -> bool:
    return any(lives(process.name) is not False for process in trace.processes)


def _began_at(instance: dg.DagsterInstance, record: dg.RunRecord) -> float:
    """When a run was started, or launched if it was not, or made if it was not launched either."""
    if record.start_time is not None:
        return record.start_time
    launched_at = instance.get_run_stats(record.dagster_run.run_id).launch_time
    return launched_at or record.create_timestamp.timestamp()


def _sentence(trace: RunTrace) -> str:
    """Why a run is dead, for whoever reads its page."""
    last: Sequence[RunProcess] = sorted(trace.processes, key=lambda process: process.beat_at)[-1:]
    said = "its process was never heard of"
    for process in last:
        where = f"process {process.name.pid} on {process.name.host_name}"
        silence = f"was not heard of for {process.silent_seconds:.0f} s"
        said = {
            False: f"{where} has ended before it",
            None: f"{where} {silence}",
            True: f"{where} {silence} and is still there (end it, with SIGKILL if need be)",
        }[lives(process.name)]
    return f"This run is given up: {said}. The next run carries on from what the database says."


class WatchedRunLauncher(dg.DefaultRunLauncher):
    """Dagster's default launcher, which also knows of runs whose code server is gone."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster's run monitoring asks for each run that has started."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether a run's process is gone; one of which that cannot be seen is running."""
        sentence = RunWatch().give_up(self._instance, run.run_id)
        if sentence is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, sentence)

    def terminate(self, run_id: str) -> bool:
        """End a run by its code server or with its next heartbeat; of a dead one, close the record.

        False if there is nothing to end, or nothing can be done: Dagster shows that as a sentence.
        """
        watch = RunWatch()
        sentence = watch.give_up(self._instance, run_id)
        if sentence is not None:
            return self._close(run_id, sentence)
        try:
            if super().terminate(run_id):  # type: ignore[no-untyped-call]
                return True
        except dg.DagsterError as error:
            _log.warning(
                "The code server of run %s cannot end it (%s).", run_id, type(error).__name__
            )
        return self._end_without_code_server(run_id, watch)

    def _end_without_code_server(self, run_id: str, watch: RunWatch) -> bool:
        run = self._instance.get_run_by_id(run_id)
        trace = None if run is None else watch.trace(run)
        if run is None or run.is_finished or trace is None:
            return False
        if trace.processes:
            return watch.ask_to_end(run_id)
        return is_watched(run) and watch.mark(run_id, trace) and self._close(run_id, _UNHEARD)

    def _close(self, run_id: str, sentence: str) -> bool:
        return close_record(self._instance, run_id, sentence, as_canceled=True)
