"""One line for each run that has ended, for whoever watches `batch-assets dev`."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from batch_assets.cli.conventions import plural
from batch_assets.cli.run import sentences_of
from batch_assets.domain.display import euros, span
from batch_assets.domain.errors import BatchAssetsError

if TYPE_CHECKING:
    import dagster as dg

    from batch_assets.domain.lookups import Moved
    from batch_assets.store.lookups import Lookups

_MOST: Final = 50
_OVERLAP: Final = timedelta(seconds=30)
"""A record is written some moments after what it says of itself."""


class RunLines:
    """Looks for runs that have ended since it was made, and says of each once what it did."""

    def __init__(self, instance: dg.DagsterInstance, lookups: Lookups, address: str) -> None:
        self._instance = instance
        self._lookups = lookups
        self._address = address
        self._since = datetime.now(UTC)
        self._said: set[str] = set()

    def new(self) -> list[str]:
        """The lines of those that have ended since the last call, oldest first.

        What cannot be read now is said later.
        """
        import dagster as dg
        from dagster_postgres.utils import DagsterPostgresException
        from sqlalchemy.exc import SQLAlchemyError

        ended = dg.RunsFilter(
            statuses=[
                dg.DagsterRunStatus.SUCCESS,
                dg.DagsterRunStatus.FAILURE,
                dg.DagsterRunStatus.CANCELED,
            ],
            updated_after=self._since - _OVERLAP,
        )
        lines: list[str] = []
        with suppress(SQLAlchemyError, DagsterPostgresException, BatchAssetsError):
            for record in reversed(self._instance.get_run_records(ended, limit=_MOST)):
                run_id, end = record.dagster_run.run_id, record.end_time or 0.0
                if run_id not in self._said and end >= self._since.timestamp():
                    lines.append(self._line(record.dagster_run, record.start_time or end, end))
                    self._said.add(run_id)
        return lines

    def _line(self, run: dg.DagsterRun, start: float, end: float) -> str:
        import dagster as dg

        which = f"{datetime.fromtimestamp(end, UTC):%H:%M:%S} {run.job_name}"
        if run.status is dg.DagsterRunStatus.SUCCESS:
            moved = self._lookups.moved_by_run(run.run_id)
            result = "succeeded" if moved is None else did(moved)
            return f"{which}: {result} ({span(end - start)})"
        how = "cancelled" if run.status is dg.DagsterRunStatus.CANCELED else "failed"
        why = self._why(run.run_id) or ["It was ended before any op could say why."]
        said = [f"{which} {how}:", *why, f"{self._address}/runs/{run.run_id}"]
        return " ".join(said)

    def _why(self, run_id: str) -> list[str]:
        """The sentences of the op that closed the run, or of the one that failed."""
        import dagster as dg

        entries = self._instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        failed = [entry.dagster_event for entry in entries if entry.dagster_event is not None]
        said = (sentence for event in failed[-1:] for _, sentence in sentences_of(event))
        return list(dict.fromkeys(said))


def did(moved: Moved) -> str:
    """What a run has sent and read, in a few words."""
    if not (moved.submitted_requests or moved.completed_requests or moved.failed_requests):
        return "nothing to send, nothing to read"
    read = f"read {plural(moved.completed_requests, 'answer')}"
    if moved.cost_eur:
        read = f"{read} for {euros(moved.cost_eur)} EUR"
    failed = [f"{moved.failed_requests:,} failed"] if moved.failed_requests else []
    return ", ".join([f"sent {plural(moved.submitted_requests, 'request')}", read, *failed])
