"""Results back into rows, a set of rows of any number of batches at a time."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.batches import BatchOutcomes, BatchRow, Written
from batch_assets.domain.estimates import LearntUsage
from batch_assets.domain.policy import NO_WAIT, FlexWait, Policy, Tried
from batch_assets.domain.records import Lease, RowOutcome
from batch_assets.store.base import SetQueries, columns_of, expect, flex_wait
from batch_assets.store.database_errors import refuses_value
from batch_assets.store.outcomes import (
    add_money,
    add_shared,
    batch_columns,
    failure_columns,
    findings_columns,
    learnt_columns,
    paid_columns,
)
from batch_assets.store.sessions import end_followers, restage
from batch_assets.store.sql import load
from batch_assets.store.tables.requests import result_staging

SQL = load(
    Path(__file__).with_suffix(".sql"),
    parts_of=[Path(__file__).parents[1] / "sessions.sql"],
)

ROWS_A_QUESTION: Final = 2_500
"""What the driver makes of an array of ids takes several times the memory of the ids."""

_NEVER: Final = Tried()
_STAGED: Final = tuple(result_staging.columns.keys())


class ResultQueries(SetQueries):
    """The part of `store.protocol.Queries` that writes results and retries failures."""

    def rows_of(self, rows: Sequence[BatchRow]) -> Mapping[BatchRow, str | None]:
        """See `Queries.rows_of`; a statement for each `ROWS_A_QUESTION`."""
        types: dict[BatchRow, str | None] = {}
        with self.autocommit.connect() as connection:
            for start in range(0, len(rows), ROWS_A_QUESTION):
                some = rows[start : start + ROWS_A_QUESTION]
                for name, numbers in connection.execute(SQL["rows_of"], _pair_columns(some)):
                    types.update((some[number - 1], name) for number in numbers)
        return types

    def write_results(
        self, results: Sequence[BatchOutcomes], policy: Policy
    ) -> Mapping[str, Written]:
        """See `Queries.write_results`; one transaction of at most twelve statements.

        What the database refuses a value of is written row by row.
        """
        which = columns_of(result.lease for result in results)
        try:
            with self.engine.begin() as connection:
                held = set(connection.execute(SQL["hold"], which).scalars())
                return _write(
                    connection, [one for one in results if one.lease.batch_id in held], policy
                )
        except (DBAPIError, psycopg.Error) as error:
            if not refuses_value(error):
                raise
        return self.row_by_row.write_results(results, policy)

    def finalize(self, leases: Sequence[Lease]) -> Mapping[str, int]:
        """See `Queries.finalize`; one statement."""
        if not leases:
            return {}
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["finalize"], columns_of(leases))
            return {row.id: row.returned for row in rows}

    def record_deleted(self, batch_ids: Sequence[str]) -> None:
        """See `Queries.record_deleted`; one statement."""
        if batch_ids:
            with self.autocommit.connect() as connection:
                connection.execute(SQL["deleted"], {"batch_ids": list(batch_ids)})

    def requeue_due(self, limit: int, flex: FlexWait = NO_WAIT) -> int:
        """See `Queries.requeue_due`; one statement, which passes over what another run requeues.

        One more for the stages of sessions whose requests LiveDash has finished.
        """
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["requeue_due"], {"limit": limit, **flex_wait(flex)}).one()
            restage(connection, row.overtaken_sessions)
        return int(row.requeued)


def _pair_columns(rows: Iterable[BatchRow]) -> dict[str, list[str]]:
    taken = list(rows)
    return {
        "batch_ids": [batch_id for batch_id, _ in taken],
        "request_ids": [request_id for _, request_id in taken],
    }


@dataclass(slots=True)
class _Exceptions:
    """The rows of a set to which not everything happened, and what was learnt of the others."""

    unclosed: set[BatchRow] = field(default_factory=set)
    """Those whose attempt had ended before: another line closed it."""
    unmoved: set[BatchRow] = field(default_factory=set)
    """Those whose attempt ended now, and which had left the batch before."""
    followed: set[BatchRow] = field(default_factory=set)
    """Those that others follow, which ask the same."""
    learnt: dict[str, dict[str, LearntUsage]] = field(default_factory=dict)
    """What the answers of each batch have used, by processing type."""
    shared: Mapping[str, int] = field(default_factory=dict)
    """How many of those have got the answer of each, by the id of the one that was answered."""

    def add_learnt(self, batch_id: str, sums: dict[str, Any]) -> None:
        """Note what the answers of a batch to one processing type have used."""
        del sums["batch_id"]
        name = sums.pop("processing_type")
        self.learnt.setdefault(batch_id, {})[name] = LearntUsage(**sums)

    def discarded(self, firsts: Iterable[tuple[BatchRow, RowOutcome]]) -> list[BatchRow]:
        """Those that were answered and had left the batch before."""
        if not self.unmoved:
            return []
        return [
            row for row, outcome in firsts if row in self.unmoved and not _is_unanswered(outcome)
        ]


def _is_unanswered(outcome: RowOutcome) -> bool:
    return outcome.findings is None and outcome.failure is None


def _write(
    connection: Connection, results: Sequence[BatchOutcomes], policy: Policy
) -> dict[str, Written]:
    """Apply the outcomes of batches, whose rows are locked."""
    if not results:
        return {}
    failures = _failures(connection, results, policy)
    exceptions = _write_rows(connection, results, failures)
    written = {result.lease.batch_id: _count(result, exceptions, failures) for result in results}
    counters = [
        {"batch_id": result.lease.batch_id}
        | batch_columns(written[result.lease.batch_id], result, policy.usd_to_eur)
        for result in results
    ]
    learnt = learnt_columns(
        (result.model, exceptions.learnt.get(result.lease.batch_id, {})) for result in results
    )
    which = {"batches": json.dumps(counters), "learnt": json.dumps(learnt)}
    added = connection.execute(SQL["add_to_batches"], which)
    expect(added, len(results), "add_to_batches")
    return written


def _first_of_each(results: Iterable[BatchOutcomes]) -> Iterator[tuple[BatchRow, RowOutcome]]:
    """The first outcome of each row, in their order: the first line closes the attempt."""
    for result in results:
        seen: set[str] = set()
        for outcome in result.outcomes:
            if outcome.request_id not in seen:
                seen.add(outcome.request_id)
                yield (result.lease.batch_id, outcome.request_id), outcome


def _failures(
    connection: Connection, results: Sequence[BatchOutcomes], policy: Policy
) -> dict[BatchRow, dict[str, Any]]:
    """The columns of the rows that failed."""
    failures = {
        row: outcome.failure
        for row, outcome in _first_of_each(results)
        if outcome.failure is not None and outcome.findings is None
    }
    if not failures:
        return {}
    which = {"request_ids": list({request_id for _, request_id in failures})}
    found = connection.execute(SQL["tried"], which)
    before = {request_id: Tried(*tried) for request_id, *tried in found}
    return {
        row: failure_columns(failure, before.get(row[1], _NEVER), policy, row[0])
        for row, failure in failures.items()
    }


def _write_rows(
    connection: Connection,
    results: Sequence[BatchOutcomes],
    failures: Mapping[BatchRow, Mapping[str, Any]],
) -> _Exceptions:
    """Close the attempts, move the requests and change their sessions; a COPY and two statements,
    two more if questions were looked for, and one more each if any row is followed or discarded.
    """
    exceptions = _Exceptions()
    if not any(result.outcomes for result in results):
        return exceptions
    _stage(
        connection,
        (
            _row_columns(row, outcome, failures.get(row)) | {"line": line}
            for line, (row, outcome) in enumerate(_first_of_each(results))
        ),
    )
    for step in connection.execute(SQL["write_rows"]):
        if step.learnt is None:
            getattr(exceptions, step.step).add((step.batch_id, step.request_id))
        else:
            exceptions.add_learnt(step.batch_id, json.loads(step.learnt))
    if exceptions.followed:
        followed = sorted({request_id for _, request_id in exceptions.followed})
        exceptions.shared = end_followers(connection, followed).shared
    connection.execute(SQL["write_sessions"])
    if any(_asks(outcome) for result in results for outcome in result.outcomes):
        connection.execute(SQL["replace_questions"])
        connection.execute(SQL["link_questions"])
    discarded = exceptions.discarded(_first_of_each(results))
    if discarded:
        gone = connection.execute(SQL["discard_rows"], _pair_columns(discarded))
        expect(gone, len(discarded), "discard_rows")
    return exceptions


def _asks(outcome: RowOutcome) -> bool:
    return outcome.findings is not None and outcome.findings.questions is not None


def _stage(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """COPY rows into the staging table, one after the other, as they are made."""
    driver_connection: Any = connection.connection.driver_connection
    with driver_connection.cursor() as cursor, cursor.copy(SQL["stage_rows"].text) as copy:
        for row in rows:
            copy.write_row([row.get(name) for name in _STAGED])


def _row_columns(
    row: BatchRow, outcome: RowOutcome, failure: Mapping[str, Any] | None
) -> dict[str, Any]:
    batch_id, request_id = row
    columns: dict[str, Any] = {
        "batch_id": batch_id,
        "request_id": request_id,
        "processing_type": outcome.processing_type,
    }
    if outcome.findings is not None:
        columns |= findings_columns(outcome.findings) | paid_columns(outcome)
        questions = outcome.findings.questions
        asked = None if questions is None else list(questions)
        return columns | {"outcome": "completed", "counted": True, "questions": asked}
    if failure is not None:
        return columns | paid_columns(outcome) | {"outcome": "failed", **failure}
    unpaid = {"counted": False, "cost_eur": 0, "synchronous_cost_eur": 0}
    return columns | unpaid | {"outcome": "unanswered"}


def _count(
    result: BatchOutcomes,
    exceptions: _Exceptions,
    failures: Mapping[BatchRow, Mapping[str, Any]],
) -> Written:
    """What was done with each outcome of a batch, and what those that were applied have cost."""
    written = Written()
    kept: list[RowOutcome] = []
    discarded: list[RowOutcome] = []
    seen: set[str] = set()
    for outcome in result.outcomes:
        row = (result.lease.batch_id, outcome.request_id)
        is_applied = row not in exceptions.unclosed and outcome.request_id not in seen
        seen.add(outcome.request_id)
        if _is_unanswered(outcome):
            written.returned += is_applied and row not in exceptions.unmoved
            continue
        if not is_applied:
            written.refused["duplicate"] += 1
            continue
        if row in exceptions.unmoved:
            written.discarded += 1
            discarded.append(outcome)
            continue
        kept.append(outcome)
        if outcome.findings is not None:
            written.completed += 1
            continue
        written.failure_kinds[failures[row]["failure_kind"]] += 1
        if failures[row]["delay_seconds"] is None:
            written.dead += 1
        else:
            written.retry += 1
    add_money(written, kept, discarded)
    own = {outcome.request_id for outcome in kept}
    add_shared(written, kept, {one: n for one, n in exceptions.shared.items() if one in own})
    return written
