"""What the outcomes of a set come to for each session: a session is written once a statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batch_assets.domain.batches import BatchRow
from batch_assets.domain.records import Findings, RowOutcome
from batch_assets.store.outcomes import findings_columns

_FINDINGS = (
    "language",
    "sentiment",
    "category",
    "escalated",
    "forwarded_hr",
    "summary",
)
_STATUS = ("analysed", "status", "error", "attempts", "new_attempts", "began_waiting")


@dataclass(slots=True)
class SessionChange:
    """One session after the outcomes of its requests, as if each had been written in turn."""

    findings: dict[str, Any] = field(default_factory=dict)
    """The last word on each column that any outcome had one for."""
    questions: Sequence[str] | None = None
    """The last that were found; `None` if no outcome looked for them."""
    analysed: bool = False
    """Whether any request is complete."""
    status: str | None = None
    """That of the last outcome; `None` if all requests only wait again."""
    error: str | None = None
    attempts: int | None = None
    """Of the last failure, for a status row that is there."""
    new_attempts: int = 0
    """Of the last failure that finds a status row, where the first completion makes one."""
    began_waiting: bool = False
    """Whether the first of the outcomes put its request back among the waiting."""

    def complete(self, findings: Findings) -> None:
        """Apply a complete request."""
        said = findings_columns(findings)
        self.findings |= {name: value for name, value in said.items() if value is not None}
        if findings.questions is not None:
            self.questions = findings.questions
        self.analysed = True
        self.status, self.error = "COMPLETED", None

    def fail(self, reason: str, attempts: int) -> None:
        """Apply a failed request."""
        self.status, self.error, self.attempts = "FAILED", reason, attempts
        if self.analysed:
            self.new_attempts = attempts


def session_changes(
    outcomes: Mapping[BatchRow, RowOutcome],
    session_of: Mapping[BatchRow, str],
    failures: Mapping[BatchRow, Mapping[str, Any]],
) -> dict[str, SessionChange]:
    """What to write, by session id.

    `session_of` names the sessions of the rows that moved; `failures` holds the columns of the
    rows that failed. Outcomes of other rows are passed over.
    """
    changes: dict[str, SessionChange] = {}
    for row, outcome in outcomes.items():
        session_id = session_of.get(row)
        if session_id is None:
            continue
        waits = outcome.findings is None and outcome.failure is None
        change = changes.setdefault(session_id, SessionChange(began_waiting=waits))
        if outcome.findings is not None:
            change.complete(outcome.findings)
        elif outcome.failure is not None:
            failure = failures[row]
            change.fail(failure["reason"], failure["attempts"])
    return changes


def session_columns(changes: Mapping[str, SessionChange]) -> dict[str, list[Any]]:
    """The changes as arrays of one length, which a statement unnests."""
    found = changes.values()
    return {
        "session_id": list(changes),
        **{name: [change.findings.get(name) for change in found] for name in _FINDINGS},
        **{name: [getattr(change, name) for change in found] for name in _STATUS},
    }
