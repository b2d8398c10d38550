"""How the outcomes of one batch are written: row by row, and around what the database refuses."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.batches import BatchOutcomes, Written
from batch_assets.domain.estimates import LearntUsage
from batch_assets.domain.policy import Policy, Tried
from batch_assets.domain.records import Findings, RowOutcome
from batch_assets.store.database_errors import REFUSED_BY_DATABASE, refuses_value
from batch_assets.store.original.batches import return_rows
from batch_assets.store.outcomes import (
    add_money,
    add_shared,
    batch_columns,
    failure_columns,
    findings_columns,
    learnt_columns,
    learnt_of,
    paid_columns,
    stage_columns,
)
from batch_assets.store.sessions import end_followers, lock_sessions, restage
from batch_assets.store.sql import load

SQL = load(
    Path(__file__).with_suffix(".sql"),
    parts_of=(
        Path(__file__).with_name("batches.sql"),
        Path(__file__).parents[1] / "sessions.sql",
    ),
)


@dataclass(frozen=True, slots=True)
class _Extent:
    """How much of an outcome LiveDash's tables are given."""

    is_measured: bool = True
    """How many messages there are, and when the session ended."""
    is_described: bool = True
    """The session's questions, and what its stages say of the answer beside their status."""
    is_staged: bool = True
    """The status of its stage AI_ANALYSIS; left as it was, the audit names it."""
    is_shared: bool = True
    """The requests that follow the row; else the next run ends them."""
    is_paid: bool = True
    """The row's tokens and costs; what was paid is kept with the attempt, whatever this says."""


_WHOLE: Final = _Extent()
_LESS: Final = (
    _WHOLE,
    _Extent(is_measured=False),
    _Extent(is_described=False),
    _Extent(is_measured=False, is_described=False),
    _Extent(is_shared=False),
    _Extent(is_measured=False, is_described=False, is_staged=False, is_shared=False),
)
"""What is tried with an answer that the database refuses, the most first."""
_LESS_OF_FAILURE: Final = (_WHOLE, _Extent(is_staged=False))
_LEAST: Final = (
    *_LESS_OF_FAILURE,
    _Extent(is_paid=False),
    _Extent(is_paid=False, is_staged=False),
)
"""The same with a dead letter, which must be possible in the end."""


@dataclass(slots=True)
class _Done:
    """What was done with some outcomes of a batch."""

    written: Written = field(default_factory=Written)
    kept: list[RowOutcome] = field(default_factory=list)
    discarded: list[RowOutcome] = field(default_factory=list)
    session_ids: set[str] = field(default_factory=set)
    """The sessions of rows that have ended, or that had left the batch before."""
    asked: dict[str, Sequence[str]] = field(default_factory=dict)
    """The questions of sessions for which they were looked for."""
    learnt: dict[str, LearntUsage] = field(default_factory=dict)
    """What the answers have used, by processing type."""
    shared: Counter[str] = field(default_factory=Counter)
    """How many others have got the answer of each, by the id of the one that was answered."""

    def add(self, other: "_Done") -> None:
        """Count what was done with another outcome, whose session is written."""
        self.written += other.written
        self.kept += other.kept
        self.discarded += other.discarded
        self.shared += other.shared
        for name, used in other.learnt.items():
            self.add_learnt(name, used)

    def add_learnt(self, processing_type: str, used: LearntUsage) -> None:
        """Add what one or more answers have used."""
        before = self.learnt.get(processing_type, LearntUsage())
        self.learnt[processing_type] = before.plus(used)


def write_rows(
    connection: Connection, result: BatchOutcomes, policy: Policy, *, one_by_one: bool
) -> Written:
    """Apply the outcomes of one batch, whose row is locked; what was done.

    With `one_by_one` each is written by itself, and as much of it as the database takes.
    """
    batch_id = result.lease.batch_id
    request_ids = [outcome.request_id for outcome in result.outcomes]
    lock_sessions(connection, request_ids)
    done = _Done()
    if one_by_one:
        _add_what_is_taken(connection, result.outcomes)
        for outcome in result.outcomes:
            done.add(_write_apart(connection, batch_id, outcome, policy, gives_up=result.gives_up))
    else:
        for outcome in result.outcomes:
            _write_row(connection, batch_id, outcome, policy, done=done)
        _write_sessions(connection, request_ids, done)
    written = done.written
    add_money(written, done.kept, done.discarded)
    add_shared(written, done.kept, done.shared)
    counters = {"batch_id": batch_id} | batch_columns(written, result, policy.usd_to_eur)
    learnt = {"learnt": json.dumps(learnt_columns([(result.model, done.learnt)]))}
    connection.execute(SQL["add_to_batch"], counters | learnt)
    return written


def _write_row(
    connection: Connection,
    batch_id: str,
    outcome: RowOutcome,
    policy: Policy,
    *,
    done: _Done,
    extent: _Extent = _WHOLE,
) -> None:
    """Apply one outcome, count it and note its session and questions."""
    which = {"batch_id": batch_id, "request_id": outcome.request_id}
    written = done.written
    described = outcome.findings if extent.is_described and outcome.findings else Findings()
    if outcome.findings is not None:
        kind = "completed"
        row = connection.execute(
            SQL["complete_row"],
            which
            | {"is_measured": extent.is_measured}
            | _paid_columns(outcome, outcome)
            | findings_columns(outcome.findings)
            | stage_columns(described),
        ).one()
    elif outcome.failure is not None:
        tried = connection.execute(SQL["tried"], {"request_id": outcome.request_id}).one()
        failure = failure_columns(outcome.failure, Tried(*tried), policy, batch_id)
        kind = "dead" if failure["delay_seconds"] is None else "retry"
        shown = outcome if extent.is_paid else RowOutcome(outcome.request_id)
        paid = _paid_columns(outcome, shown)
        row = connection.execute(SQL["fail_row"], which | paid | failure).one()
    else:
        written.returned += return_rows(connection, batch_id, [outcome.request_id], "unanswered")
        return
    if row.ended == 0:
        written.refused["duplicate"] += 1
        return
    learnt = learnt_of(outcome, row.text_bytes, row.estimated_cost_eur)
    if learnt is not None and outcome.processing_type is not None:
        done.add_learnt(outcome.processing_type, learnt)
    if row.session_id is None:
        # Somebody else has ended it, and its session's stage is still ours to say.
        done.session_ids.update(connection.execute(SQL["discard_row"], which).scalars())
        kind = "discarded"
        done.discarded.append(outcome)
    else:
        done.kept.append(outcome)
        done.session_ids.add(row.session_id)
        if described.questions is not None:
            done.asked[row.session_id] = described.questions
        elif outcome.findings is None and outcome.failure is not None:
            written.failure_kinds[outcome.failure.kind] += 1
    setattr(written, kind, getattr(written, kind) + 1)


def _paid_columns(outcome: RowOutcome, shown: RowOutcome) -> dict[str, Any]:
    """What is kept with the attempt, and what LiveDash's row is given of it."""
    of_row = {f"shown_{name}": value for name, value in paid_columns(shown).items()}
    return paid_columns(outcome) | of_row


def _write_sessions(
    connection: Connection,
    request_ids: Sequence[str],
    done: _Done,
    extent: _Extent = _WHOLE,
) -> None:
    """End those that follow these rows, and let the sessions say what has become of all."""
    session_ids = set(done.session_ids)
    if extent.is_shared:
        ended = end_followers(connection, request_ids)
        done.shared += ended.shared
        session_ids |= ended.session_ids
    if extent.is_staged:
        restage(connection, sorted(session_ids))
    _write_questions(connection, done.asked)


def _write_apart(
    connection: Connection,
    batch_id: str,
    outcome: RowOutcome,
    policy: Policy,
    *,
    gives_up: bool,
) -> _Done:
    """The same, of a set that the database has refused: whatever it takes of it, it is given.

    The answer as it is; without what was measured and found beside it; and if that does not help,
    the row is set aside: it stays in its batch, to be read again, or is dead, with its cost, if
    that was long enough. Nothing that this row is refused for costs another one.
    """
    for one, extent in _ways(outcome, gives_up=gives_up):
        done = _Done()
        try:
            with connection.begin_nested():
                _write_row(connection, batch_id, one, policy, done=done, extent=extent)
                _write_sessions(connection, [one.request_id], done, extent)
        except DBAPIError as error:
            if not refuses_value(error):
                raise
        else:
            return done
    return _Done(Written(set_aside=1))


def _ways(outcome: RowOutcome, *, gives_up: bool) -> Iterator[tuple[RowOutcome, _Extent]]:
    """What of an outcome may be written, the most first."""
    for extent in _LESS_OF_FAILURE if outcome.findings is None else _LESS:
        yield outcome, extent
    if gives_up:
        given_up = replace(outcome, findings=None, failure=REFUSED_BY_DATABASE)
        for extent in _LEAST:
            yield given_up, extent


def _add_what_is_taken(connection: Connection, outcomes: Sequence[RowOutcome]) -> None:
    """Add the questions of all rows, but for those that the database refuses.

    Before the rows are written one by one, for the order of the locks: see `_write_questions`.
    """
    found = [outcome.findings for outcome in outcomes if outcome.findings is not None]
    texts = sorted({text for findings in found for text in findings.questions or ()})
    if texts and not _takes(connection, texts):
        for text in texts:
            _takes(connection, [text])


def _takes(connection: Connection, texts: Sequence[str]) -> bool:
    """Add these questions; whether the database takes them all."""
    try:
        with connection.begin_nested():
            connection.execute(SQL["add_questions"], {"questions": texts})
    except DBAPIError as error:
        if not refuses_value(error):
            raise
        return False
    return True


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
