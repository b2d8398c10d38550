"""What the charts are made of; a statement each, which reads the days that it shows."""

from pathlib import Path

from batch_assets.domain.report_data import (
    CostReport,
    DayCost,
    OperationPace,
    TurnaroundReport,
    TurnaroundStep,
)
from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.sql import load
from batch_assets.store.strategy.operations import HAVE_TWO

SQL = load(Path(__file__).with_suffix(".sql"))


class ReportData(EngineQueries):
    """Reads the history and changes nothing."""

    @retry_lost
    def turnaround(self, days: int) -> TurnaroundReport:
        """How long batches of ours took that were settled in so many days."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["turnaround"], {"days": days}).all()
        steps = [TurnaroundStep(row.from_seconds, row.to_seconds, row.batches) for row in rows]
        if not rows:
            return TurnaroundReport(steps)
        first = rows[0]
        return TurnaroundReport(steps, first.p50_seconds, first.p90_seconds, first.p99_seconds)

    @retry_lost
    def cost_by_day(self, days: int, companies: int) -> CostReport:
        """What so many days have cost, by the companies that cost most and all others together."""
        which = {"days": days, "companies": companies}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["cost_by_day"], which).all()
        return CostReport(
            [
                DayCost(
                    day=row.day,
                    # A company that LiveDash has deleted has no name any more.
                    company=row.company or row.company_id,
                    cost_eur=row.cost_eur,
                    live_cost_eur=row.live_cost_eur,
                    unpriced=row.unpriced,
                )
                for row in rows
            ]
        )

    @retry_lost
    def pace(self, days: int) -> list[OperationPace]:
        """Seconds a call of each operation that has two implementations, by its name."""
        which = {"days": days, "operations": sorted(HAVE_TWO)}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["pace"], which).all()
        return [OperationPace(**row._mapping) for row in rows]
