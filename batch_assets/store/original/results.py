"""Results back into rows, one row at a time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.batches import (
    BatchOutcomes,
    BatchRow,
    EndedBatch,
    Leftover,
    Written,
)
from batch_assets.domain.policy import Policy
from batch_assets.domain.records import BatchErrorLine, Lease, RowOutcome
from batch_assets.domain.states import BatchState
from batch_assets.store.base import EngineQueries, holds
from batch_assets.store.followers import end_followers
from batch_assets.store.original.batches import return_open_rows, return_rows
from batch_assets.store.outcomes import (
    add_money,
    add_shared,
    batch_columns,
    failure_columns,
    findings_columns,
    paid_columns,
    stage_columns,
)
from batch_assets.store.protocol import Holder
from batch_assets.store.refused_values import REFUSED_BY_DATABASE, refuses_value
from batch_assets.store.session_stages import lock_sessions, restage
from batch_assets.store.sql import load
from batch_assets.store.unavailable import is_connection_failure

_STORE = Path(__file__).parents[1]
SQL = load(
    Path(__file__).with_suffix(".sql"),
    parts_of=(Path(__file__).with_name("batches.sql"), _STORE / "session_stages.sql"),
)


class ResultQueries(EngineQueries):
    """The part of `store.protocol.Queries` that writes results and retries failures."""

    def take_ended(self, holder: Holder, limit: int) -> list[EndedBatch]:
        """See `Queries.take_ended`."""
        which = {
            "owner": holder.owner,
            "run_id": holder.run_id,
            "lease_seconds": holder.lease_seconds,
            "limit": limit,
        }
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["take_ended"], which).all()
        return [
            EndedBatch(
                lease=Lease(row.id, row.fence),
                is_ours=row.installation_id == holder.installation_id,
                company_id=row.company_id,
                company=row.company,
                run_id=row.run_id,
                requests=row.requests,
                model=row.model,
                openai_batch_id=row.openai_batch_id,
                server_status=row.server_status,
                server_errors=tuple(
                    BatchErrorLine(code, line or None)
                    # Batches of before have no lines.
                    for code, line in zip_longest(row.server_errors, row.server_error_lines)
                ),
                server_answered=row.server_answered,
                ended_seconds=row.ended_seconds,
                input_file_id=row.input_file_id,
                output_file_id=row.output_file_id,
                error_file_id=row.error_file_id,
                is_live=row.kind == "live",
            )
            for row in rows
        ]

    def rows_of(self, rows: Sequence[BatchRow]) -> Mapping[BatchRow, str | None]:
        """See `Queries.rows_of`."""
        asked: defaultdict[str, list[str]] = defaultdict(list)
        for batch_id, request_id in rows:
            asked[batch_id].append(request_id)
        found: dict[BatchRow, str | None] = {}
        with self.autocommit.connect() as connection:
            for batch_id, request_ids in asked.items():
                which = {"batch_id": batch_id, "request_ids": request_ids}
                for row in connection.execute(SQL["rows_of"], which):
                    found[batch_id, row.request_id] = row.processing_type
        return found

    def write_results(
        self, results: Sequence[BatchOutcomes], policy: Policy
    ) -> Mapping[str, Written]:
        """See `Queries.write_results`; a transaction for each batch.

        What the database refuses of one batch does not keep the others from being written; and what
        it refuses of one row, by a CHECK of LiveDash's or a column's width, not the other rows.
        """
        written = {}
        for result in results:
            batch_id = result.lease.batch_id
            try:
                done = self._write_one(result, policy)
            except DBAPIError as error:
                if is_connection_failure(error):
                    raise
                written[batch_id] = Written(error=type(error.orig).__name__)
            else:
                if done is not None:
                    written[batch_id] = done
        return written

    def _write_one(self, result: BatchOutcomes, policy: Policy) -> Written | None:
        """Write a batch's outcomes; once more, each by itself, if the database refuses a value."""
        try:
            return self._write_in_one_go(result, policy, one_by_one=False)
        except DBAPIError as error:
            if not refuses_value(error):
                raise
        return self._write_in_one_go(result, policy, one_by_one=True)

    def _write_in_one_go(
        self, result: BatchOutcomes, policy: Policy, *, one_by_one: bool
    ) -> Written | None:
        with self.engine.begin() as connection:
            if not holds(connection, result.lease, [BatchState.ENDED]):
                return None
            return _write(connection, result, policy, one_by_one=one_by_one)

    def settle(self, leases: Sequence[Lease]) -> Mapping[str, int]:
        """See `Queries.settle`; a transaction for each batch."""
        returned = {}
        for lease in leases:
            which = {"batch_id": lease.batch_id}
            with self.engine.begin() as connection:
                if not holds(connection, lease, [BatchState.ENDED]):
                    continue
                rows = return_open_rows(connection, lease.batch_id, "unanswered")
                connection.execute(SQL["clear_suspects"], which)
                connection.execute(SQL["settled"], which | {"returned": rows})
                connection.execute(SQL["livedash_settled"], which)
            returned[lease.batch_id] = rows
        return returned

    def leftovers(self, limit: int) -> list[Leftover]:
        """See `Queries.leftovers`."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["leftovers"], {"limit": limit}).all()
        return [
            Leftover(
                row.batch_id,
                tuple(
                    file_id
                    for file_id in (row.output_file_id, row.error_file_id, row.input_file_id)
                    if file_id is not None
                ),
            )
            for row in rows
        ]

    def record_deleted(self, batch_ids: Sequence[str]) -> None:
        """See `Queries.record_deleted`."""
        with self.autocommit.connect() as connection:
            for batch_id in batch_ids:
                connection.execute(SQL["deleted"], {"batch_id": batch_id})

    def requeue_due(self, limit: int) -> int:
        """See `Queries.requeue_due`."""
        overtaken: list[str] = []
        with self.autocommit.connect() as connection:
            due = connection.execute(SQL["due_retries"], {"limit": limit}).scalars().all()
            for request_id in due:
                moved = connection.execute(SQL["requeue_row"], {"request_id": request_id})
                overtaken += [] if moved.rowcount else [request_id]
            if overtaken:
                which = {"request_ids": overtaken}
                restage(connection, connection.execute(SQL["sessions"], which).scalars().all())
        return len(due) - len(overtaken)


def _write(
    connection: Connection, result: BatchOutcomes, policy: Policy, *, one_by_one: bool
) -> Written:
    """Apply the outcomes of one batch, whose row is locked."""
    batch_id = result.lease.batch_id
    written = Written()
    asked: dict[str, Sequence[str]] = {}
    kept: list[RowOutcome] = []
    discarded: list[RowOutcome] = []
    request_ids = [outcome.request_id for outcome in result.outcomes]
    lock_sessions(connection, request_ids)
    session_ids: set[str] = set()
    for outcome in result.outcomes:
        arguments = (connection, batch_id, outcome, policy, written)
        noted: dict[str, Any] = {"asked": asked, "session_ids": session_ids}
        if one_by_one:
            kind, applied = _write_apart(*arguments, gives_up=result.gives_up, **noted)
        else:
            kind, applied = _write_row(*arguments, **noted)
        if kind is not None:
            (discarded if kind == "discarded" else kept).append(applied)
    add_money(written, kept, discarded)
    add_shared(written, kept, end_followers(connection, request_ids).shared)
    restage(connection, sorted(session_ids))
    _write_questions(connection, asked)
    counters = {"batch_id": batch_id} | batch_columns(written, result.refused)
    connection.execute(SQL["add_to_batch"], counters)
    return written


def _write_row(
    connection: Connection,
    batch_id: str,
    outcome: RowOutcome,
    policy: Policy,
    written: Written,
    *,
    asked: dict[str, Sequence[str]],
    session_ids: set[str],
    is_measured: bool = True,
) -> tuple[str | None, RowOutcome]:
    """Apply one outcome, count it and note its session and questions; what became of the row.

    `None` where the batch's money did not grow by it. Unless `is_measured`, what is not in the
    answer is left out: how many messages there are, and when the session ended.
    """
    which = {"batch_id": batch_id, "request_id": outcome.request_id}
    if outcome.findings is not None:
        kind = "completed"
        row = connection.execute(
            SQL["complete_row"],
            which
            | {"is_measured": is_measured}
            | paid_columns(outcome)
            | findings_columns(outcome.findings)
            | stage_columns(outcome.findings),
        ).one()
    elif outcome.failure is not None:
        before = connection.execute(
            SQL["counted_attempts"], {"request_id": outcome.request_id}
        ).scalar_one()
        failure = failure_columns(outcome.failure, before, policy)
        kind = "dead" if failure["delay_seconds"] is None else "retry"
        row = connection.execute(SQL["fail_row"], which | paid_columns(outcome) | failure).one()
    else:
        written.returned += return_rows(connection, batch_id, [outcome.request_id], "unanswered")
        return None, outcome
    if row.ended == 0:
        written.refused["duplicate"] += 1
        return None, outcome
    if row.session_id is None:
        connection.execute(SQL["discard_row"], which)
        kind = "discarded"
    else:
        session_ids.add(row.session_id)
        if outcome.findings is not None and outcome.findings.questions is not None:
            asked[row.session_id] = outcome.findings.questions
        elif outcome.failure is not None:
            written.failure_kinds[outcome.failure.kind] += 1
    setattr(written, kind, getattr(written, kind) + 1)
    return kind, outcome


def _write_apart(
    connection: Connection,
    batch_id: str,
    outcome: RowOutcome,
    policy: Policy,
    written: Written,
    *,
    gives_up: bool,
    **options: Any,
) -> tuple[str | None, RowOutcome]:
    """The same, of a set that the database has refused: whatever it takes of it, it is given.

    The answer as it is; without what was measured beside it; and if that does not help, the row is
    set aside: it stays in its batch, to be read again, or is dead, with its cost, if that was long
    enough.
    """
    given_up = replace(outcome, findings=None, failure=REFUSED_BY_DATABASE)
    tries = [(outcome, True), (outcome, False), *([(given_up, False)] if gives_up else [])]
    for one, is_measured in tries:
        try:
            with connection.begin_nested():
                return _write_row(
                    connection, batch_id, one, policy, written, is_measured=is_measured, **options
                )
        except DBAPIError as error:
            if not refuses_value(error):
                raise
    written.set_aside += 1
    return None, outcome


def _write_questions(connection: Connection, asked: Mapping[str, Sequence[str]]) -> None:
    """Replace the questions of sessions, given by their ids.

    The texts of all of them go first and sorted, since sessions share them: two writers that took
    their locks in different orders would lock each other out.
    """
    if not asked:
        return
    connection.execute(SQL["clear_questions"], {"session_ids": list(asked)})
    links = [
        (session_id, text, position)
        for session_id, questions in asked.items()
        for position, text in enumerate(questions)
    ]
    if links:
        texts = sorted({text for _, text, _ in links})
        connection.execute(SQL["add_questions"], {"questions": texts})
        session_ids, questions, positions = map(list, zip(*links, strict=True))
        which = {"session_ids": session_ids, "questions": questions, "positions": positions}
        connection.execute(SQL["link_questions"], which)
