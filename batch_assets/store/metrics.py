"""The metrics of runs: completed by what the database knows, kept, and read again for charts."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import JSON, bindparam, column, select
from sqlalchemy.dialects.postgresql import insert

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.allowances import InUse
from batch_assets.domain.metrics import GROUPS, RunMetrics, metric_types
from batch_assets.domain.report_data import (
    CompanyBacklog,
    CostReport,
    DayCost,
    OperationPace,
    RunEnd,
    TurnaroundReport,
    TurnaroundStep,
    Waiting,
)
from batch_assets.store import daily_costs
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load
from batch_assets.store.strategy.records import HAVE_TWO
from batch_assets.store.tables.runs import run_metric

SQL = load(Path(__file__).with_suffix(".sql"), parts_of=[daily_costs.SQL_FILE])

MOST_COMPANIES: Final = 50
"""How many companies a run shows by name."""

SEEN: Final = (
    *("waiting_requests", "waiting_companies", "oldest_wait_seconds", "requests_in_batches"),
    *("batches_in_flight", "batches_to_read", "following_requests", "retry_requests"),
    "dead_letters",
    *("original_to_optimized_ratio", "lookup_hit_rate_percent", "wasted_duplicates_eur"),
    *("wasted_unattributed_eur", "estimate_error_percent"),
    *("synchronous_requests", "day_cost_eur", "indeterminate_failures", "open_breakers"),
    "forecast_cost_error_percent",
    *(
        "models_in_cooldown",
        "unknown_batches",
        "turnaround_batches",
        "turnaround_p50_seconds",
        "turnaround_p90_seconds",
    ),
    *("turnaround_p99_seconds", "oldest_in_flight_seconds", "unknown_calls_percent"),
    "forecast_turnaround_error_percent",
)
"""The metrics that the database knows; all others come from the run."""

_BESIDE: Final = ("companies", "allowances")
"""What it says beside them, which is not kept."""

KEYS: Final = ("run_id", "recorded_at", "mode", *metric_types())
"""What is kept of each run, in the order of declaration."""
_COLUMNS: Final = run_metric.columns


class Metrics(EngineQueries):
    """Writes the rows of `run_metric`, one a run; writing a run's again replaces it."""

    @retry_lost
    def record(
        self,
        known: RunMetrics,
        waiting: Waiting | None,
        run_seconds: float,
        account: str,
        *,
        account_name: str = DEFAULT_ACCOUNT,
        is_alone: bool = True,
    ) -> RunEnd:
        """Complete and keep the metrics of a run that began so many seconds ago.

        Of `known`, what is named in `SEEN` is not looked at. Without `waiting` it is not known what
        waits. `account`, which settings call `account_name`, is the one whose allowances are looked
        at. A run that is not alone leaves
        out what another one counts. The statement reads what is open and what the last day has
        finalized, whatever the history.
        """
        parameters = {name: value for name, value in known.by_key().items() if name not in SEEN}
        which = {"run_id": known.run_id, "mode": known.mode}
        asked = {
            **_asked(known, waiting, run_seconds),
            "account": account,
            "account_name": account_name,
            "is_alone": is_alone,
        }
        with self.autocommit.connect() as connection:
            row = connection.execute(_RECORD, {**which, **parameters, **asked}).one()
        companies = [CompanyBacklog(**one) for one in row.companies or ()]
        return RunEnd(_metrics(row._asdict()), companies, InUse(**row.allowances))


def _asked(known: RunMetrics, waiting: Waiting | None, run_seconds: float) -> dict[str, Any]:
    """The parameters of what is read."""
    others = waiting.others if waiting is not None else ()
    # They come oldest first, so that those which are furthest behind are among the first.
    named = others[:MOST_COMPANIES]
    return {
        "has_counted": waiting is not None,
        "sent_companies": list(waiting.sent_company_ids) if waiting is not None else [],
        "other_companies": [one.company_id for one in named],
        "other_requests": [one.requests for one in named],
        "other_wait_seconds": [one.oldest_wait_seconds for one in named],
        "other_companies_in_all": len(others),
        "other_requests_in_all": sum(one.requests for one in others),
        "own_run_id": known.run_id,
        "own_lookup_hits": known.company_lookup.lookup_hits,
        "own_lookup_misses": known.company_lookup.lookup_misses,
        "operations": sorted(HAVE_TWO),
        "since_seconds": run_seconds,
        "most_companies": MOST_COMPANIES,
    }


def _metrics(row: Mapping[str, Any]) -> RunMetrics:
    groups: dict[str, Any] = {
        name: group(**{field.name: row[field.name] for field in fields(group)})
        for name, group in GROUPS.items()
    }
    return RunMetrics(
        run_id=row["run_id"], recorded_at=row["recorded_at"], mode=row["mode"], **groups
    )


def _record() -> Any:
    """The insert: its columns are those of the table, so that a new metric needs no other list."""
    seen = (
        SQL["seen"]
        .columns(
            *(column(name, _COLUMNS[name].type) for name in SEEN),
            *(column(name, JSON) for name in _BESIDE),
        )
        .cte("seen")
    )
    given = [name for name in KEYS if name not in {*SEEN, "recorded_at"}]
    values = select(
        *(bindparam(name, type_=_COLUMNS[name].type) for name in given),
        *(seen.columns[name] for name in SEEN),
    )
    statement = insert(run_metric).from_select([*given, *SEEN], values)
    replaced = {name: statement.excluded[name] for name in KEYS if name != "run_id"}
    beside = (select(seen.columns[name]).scalar_subquery().label(name) for name in _BESIDE)
    return statement.on_conflict_do_update(
        index_elements=[_COLUMNS.run_id], set_=replaced
    ).returning(*(_COLUMNS[name] for name in KEYS), *beside)


_RECORD: Final = _record()


COMPANY_KEYS: Final = (
    *("company_id", "company", "finalized_batches", "completed_requests", "failed_requests"),
    *("returned_requests", "discarded_requests", "prompt_tokens", "completion_tokens"),
    *("cost_eur", "synchronous_cost_eur", "saved_eur", "unpriced_answers", "unattributed_eur"),
)
"""What is known of each company in a time."""

_ROWS_A_FETCH: Final = 500


class MetricHistory(EngineQueries):
    """Reads `run_metric`, and what batches have cost."""

    def runs(self, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        """The metrics of the runs that ended from `since` on and before `until`, oldest first.

        Streamed in one transaction, so that a year takes no more memory than a day.
        """
        wanted = (
            select(*(_COLUMNS[key] for key in KEYS))
            .where(_COLUMNS.recorded_at >= since, _COLUMNS.recorded_at < until)
            .order_by(_COLUMNS.recorded_at, _COLUMNS.id)
        )
        with self.engine.connect() as connection:
            streamed = connection.execution_options(yield_per=_ROWS_A_FETCH)
            for row in streamed.execute(wanted):
                yield {**row._mapping, "recorded_at": row.recorded_at.astimezone(UTC)}

    @retry_lost
    def killed_runs(self, since: datetime, until: datetime) -> list[Mapping[str, Any]]:
        """Runs that were killed before they kept metrics, and have read something in this time.

        With the same keys: of what they have read the money is known, and all else is `None`.
        """
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["killed_runs"], {"since": since, "until": until})
            return [
                {
                    **dict.fromkeys(KEYS),
                    **row._mapping,
                    "recorded_at": row.recorded_at.astimezone(UTC),
                }
                for row in rows
            ]

    @retry_lost
    def companies(self, since: datetime, until: datetime) -> list[Mapping[str, Any]]:
        """What came of each company's batches that were finalized in this time, dearest first."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["companies"], {"since": since, "until": until})
            return [dict(row._mapping) for row in rows]


class ReportData(EngineQueries):
    """Reads the history and changes nothing."""

    @retry_lost
    def turnaround(self, days: int) -> TurnaroundReport:
        """How long batches of ours took that were finalized in so many days."""
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
                    synchronous_cost_eur=row.synchronous_cost_eur,
                    unpriced=row.unpriced,
                    saved_eur=row.saved_eur,
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
