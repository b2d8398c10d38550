"""Results back into rows, a set of rows at a time."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from batch_assets.domain.batches import Written
from batch_assets.domain.policy import Policy
from batch_assets.domain.records import Lease, RowOutcome
from batch_assets.domain.states import BatchState
from batch_assets.store.optimized.base import expect
from batch_assets.store.optimized.batches import return_rows
from batch_assets.store.optimized.sessions import SessionChange, session_changes, session_columns
from batch_assets.store.original.base import holds
from batch_assets.store.original.results import SQL as ORIGINAL_SQL
from batch_assets.store.original.results import ResultQueries as OriginalResultQueries
from batch_assets.store.outcomes import add_money, batch_columns, failure_columns, paid_columns
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class ResultQueries(OriginalResultQueries):
    """The part of `store.protocol.Queries` that writes results and retries failures.

    Taking ended batches, and what only reads, is one statement in the original, too.
    """

    def write_results(
        self, lease: Lease, outcomes: Sequence[RowOutcome], refused: int, policy: Policy
    ) -> Written | None:
        """See `Queries.write_results`; at most eight statements."""
        with self.engine.begin() as connection:
            if not holds(connection, lease, [BatchState.ENDED]):
                return None
            firsts = _first_of_each(outcomes)
            failures = _failures(connection, firsts.values(), policy)
            moves = _write_rows(connection, lease.batch_id, firsts.values(), failures)
            _write_sessions(
                connection, session_changes(firsts.values(), moves.session_of, failures)
            )
            written = _count(outcomes, moves, failures)
            counters = {"batch_id": lease.batch_id} | batch_columns(written, refused)
            expect(connection.execute(ORIGINAL_SQL["add_to_batch"], counters), 1, "add_to_batch")
        return written

    def settle(self, lease: Lease) -> int | None:
        """See `Queries.settle`; four statements."""
        which = {"batch_id": lease.batch_id}
        with self.engine.begin() as connection:
            if not holds(connection, lease, [BatchState.ENDED]):
                return None
            returned = return_rows(connection, [lease.batch_id], "unanswered")
            settled = connection.execute(ORIGINAL_SQL["settled"], which | {"returned": returned})
            expect(settled, 1, "settled")
            connection.execute(ORIGINAL_SQL["livedash_settled"], which)
        return returned

    def record_deleted(self, batch_ids: Sequence[str]) -> None:
        """See `Queries.record_deleted`; one statement."""
        if batch_ids:
            with self.engine.begin() as connection:
                connection.execute(SQL["deleted"], {"batch_ids": list(batch_ids)})

    def requeue_due(self, limit: int) -> int:
        """See `Queries.requeue_due`; one statement, which passes over what another run requeues."""
        with self.engine.begin() as connection:
            return connection.execute(SQL["requeue_due"], {"limit": limit}).rowcount


@dataclass(slots=True)
class _Moves:
    """What a set of rows did, by request id."""

    closed: set[str] = field(default_factory=set)
    """Those whose attempt was open and ended now."""
    session_of: dict[str, str] = field(default_factory=dict)
    """Those of them that were still in the batch and left it, with their sessions."""
    waiting: int = 0
    """How many came into the intake."""

    def discarded(self, rows: Iterable[RowOutcome]) -> list[str]:
        """Those that were answered and had left the batch before."""
        return [
            row.request_id
            for row in rows
            if not _is_unanswered(row)
            and row.request_id in self.closed
            and row.request_id not in self.session_of
        ]


def _is_unanswered(outcome: RowOutcome) -> bool:
    return outcome.findings is None and outcome.failure is None


def _first_of_each(outcomes: Iterable[RowOutcome]) -> dict[str, RowOutcome]:
    """The first outcome of each request, in their order: the first line closes the attempt."""
    firsts: dict[str, RowOutcome] = {}
    for outcome in outcomes:
        firsts.setdefault(outcome.request_id, outcome)
    return firsts


def _failures(
    connection: Connection, rows: Iterable[RowOutcome], policy: Policy
) -> dict[str, dict[str, Any]]:
    """The columns of the rows that failed, by request id."""
    failures = {
        row.request_id: row.failure
        for row in rows
        if row.failure is not None and row.findings is None
    }
    if not failures:
        return {}
    found = connection.execute(SQL["counted_attempts"], {"request_ids": list(failures)})
    before = {row.request_id: row.attempts for row in found}
    return {
        request_id: failure_columns(failure, before.get(request_id, 0), policy)
        for request_id, failure in failures.items()
    }


def _write_rows(
    connection: Connection,
    batch_id: str,
    rows: Collection[RowOutcome],
    failures: Mapping[str, Mapping[str, Any]],
) -> _Moves:
    """Close the attempts and move the requests; one statement, and one more if any is discarded."""
    moves = _Moves()
    columns = [
        {"batch_id": batch_id} | _row_columns(row, failures.get(row.request_id)) for row in rows
    ]
    if not columns:
        return moves
    which = {"rows": json.dumps(columns, ensure_ascii=False)}
    for step in connection.execute(SQL["write_rows"], which):
        match step.step:
            case "closed":
                moves.closed.add(step.request_id)
            case "moved":
                moves.session_of[step.request_id] = step.session_id
            case _:
                moves.waiting += 1
    discarded = moves.discarded(rows)
    if discarded:
        gone = {"batch_id": batch_id, "request_ids": discarded}
        expect(connection.execute(SQL["discard_rows"], gone), len(discarded), "discard_rows")
    return moves


def _row_columns(row: RowOutcome, failure: Mapping[str, Any] | None) -> dict[str, Any]:
    columns: dict[str, Any] = {"request_id": row.request_id, "outcome": "unanswered"}
    if row.findings is not None:
        return columns | paid_columns(row) | {"outcome": "completed", "counted": True}
    if failure is not None:
        return columns | paid_columns(row) | {"outcome": "failed", **failure}
    return columns | {"counted": False, "cost_eur": 0, "live_cost_eur": 0}


def _write_sessions(connection: Connection, changes: Mapping[str, SessionChange]) -> None:
    """Write the sessions and replace their questions; at most three statements."""
    if not changes:
        return
    analysed = connection.execute(SQL["write_sessions"], session_columns(changes))
    expect(analysed, sum(change.analysed for change in changes.values()), "write_sessions")
    asked = {
        session_id: change.questions
        for session_id, change in changes.items()
        if change.questions is not None
    }
    if asked:
        _replace_questions(connection, asked)


def _replace_questions(connection: Connection, asked: Mapping[str, Sequence[str]]) -> None:
    """Replace the questions of sessions, given by their ids; at most two statements.

    The texts of all of them go sorted, since sessions share them: two writers that took their
    locks in different orders would lock each other out.
    """
    texts = {text for questions in asked.values() for text in questions}
    which = {"asked": list(asked), "questions": sorted(texts)}
    connection.execute(SQL["replace_questions"], which)
    links = [
        (session_id, text, position)
        for session_id, questions in asked.items()
        for position, text in enumerate(questions)
    ]
    if links:
        session_ids, questions, positions = map(list, zip(*links, strict=True))
        which = {"session_ids": session_ids, "questions": questions, "positions": positions}
        expect(connection.execute(SQL["link_questions"], which), len(links), "link_questions")


def _count(
    outcomes: Iterable[RowOutcome], moves: _Moves, failures: Mapping[str, Mapping[str, Any]]
) -> Written:
    """What was done with each outcome, and what those that were applied have cost."""
    written = Written(returned=moves.waiting)
    paid: list[RowOutcome] = []
    unseen = set(moves.closed)
    for outcome in outcomes:
        is_applied = outcome.request_id in unseen
        unseen.discard(outcome.request_id)
        if _is_unanswered(outcome):
            continue
        if not is_applied:
            written.refused["duplicate"] += 1
            continue
        paid.append(outcome)
        if outcome.request_id not in moves.session_of:
            written.discarded += 1
        elif outcome.findings is not None:
            written.completed += 1
        elif failures[outcome.request_id]["delay_seconds"] is None:
            written.dead += 1
        else:
            written.retry += 1
    add_money(written, paid)
    return written
