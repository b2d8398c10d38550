"""How Dagster starts and ends runs, and how it learns that one is dead; `dagster.yaml` names it.

Dagster's own launcher asks the code server that has started a run. Where that is gone, too, a run
is under way for ever and cannot be terminated. This one asks the database as well.
"""

import dagster as dg

# Where launchers outside of Dagster take these two from: they are exported nowhere else.
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

from batch_assets.domain.logs import open_log
from batch_assets.resources.run_executor import is_watched
from batch_assets.resources.run_watch import RunWatch, close_record

_log = open_log(__name__)

_UNHEARD = (
    "This run is cancelled: its code server does not know it, and its process was not heard of."
)


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
