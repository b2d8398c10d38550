"""What is under way, as `batch-assets status` shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from batch_assets.cli.opening import OpenDatabase
from batch_assets.cli.output import plural
from batch_assets.domain.lookups import LastRun, OpenBatches
from batch_assets.domain.wording import span
from batch_assets.stages.controls.query_mode import ModeReport, read_mode
from batch_assets.store.lookups import Lookups


@dataclass(frozen=True, slots=True)
class Activity:
    """Batches that are not finished, how runs work on the database, and the last of them."""

    batches: list[OpenBatches]
    mode: ModeReport
    last_run: LastRun | None

    def sentences(self) -> Iterable[str]:
        """One for each."""
        open_ones = [
            f"{one.batches:,} {one.state} ({plural(one.requests, 'request')}, the oldest "
            f"{span(one.oldest_seconds)} old: {one.oldest_id})"
            for one in self.batches
        ]
        yield f"Batches: {', '.join(open_ones) or 'none is open'}."
        incomplete = sum(one.incomplete for one in self.batches)
        if incomplete:
            yield (
                f"Of the ended, {plural(incomplete, 'batch is', 'batches are')} looked at again: "
                "the server has not shown all of their results yet. BATCH_READING_GRACE_SECONDS "
                "says for how long."
            )
        yield self.mode.sentence
        if self.last_run is not None:
            seconds = (datetime.now(UTC) - self.last_run.ended_at).total_seconds()
            yield f"The last run, {self.last_run.run_id[:8]}, ended {span(seconds)} ago."

    def document(self) -> dict[str, object]:
        """The same for `--json`."""
        return {
            "open_batches": self.batches,
            "mode": self.mode.mode,
            "stored_mode": self.mode.now,
            "last_run": self.last_run,
        }


def activity(database: OpenDatabase) -> Activity:
    """What is under way at this moment."""
    lookups = Lookups(database.engine)
    return Activity(
        batches=lookups.open_batches(),
        mode=read_mode(database.stored_modes, database.settings.toggle().mode),
        last_run=lookups.last_run(),
    )
