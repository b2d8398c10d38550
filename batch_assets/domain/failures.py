"""Failures by kind: what went wrong decides what happens next.

A reason is built from codes, names and places only. It never holds text from a conversation,
from an answer or from an error message of the API, which may quote either, or a key.
"""

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """What a failure means for the work that met it."""

    TRANSIENT = "transient"
    """May pass by itself: try again later; the attempt counts."""
    CAPACITY = "capacity"
    """The server has no room now (rate, enqueued tokens): wait; no attempt is counted."""
    SERVER = "server"
    """The server failed at a whole batch, and named no row: wait longer each time, uncounted."""
    PERMANENT = "permanent"
    """Will fail the same way each time: the row goes to the dead letters at once."""
    ACCOUNT = "account"
    """Key, permission or quota: nothing can work until a person acts; no attempt is counted."""
    INDETERMINATE = "indeterminate"
    """The call may or may not have acted: look before anything is repeated."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: its kind, a short stable code and a reason for people."""

    kind: FailureKind
    code: str
    reason: str
    retry_after_seconds: float | None = None
    """What the server asked for with Retry-After, where it did."""
    advice: str = ""
    """What a person can do about it, where it does not pass by itself."""


class ApiError(Exception):
    """A call to the API did not give a result; `failure` says what that means."""

    def __init__(self, operation: str, failure: Failure) -> None:
        super().__init__(f"{operation}: {failure.reason}")
        self.operation = operation
        self.failure = failure

    def sentence(self, what_next: str) -> str:
        """What the API refused, and what to do about it; `what_next` if that is to wait."""
        if self.failure.advice:
            return f"The API could not be used ({self}): {self.failure.advice}."
        if self.failure.kind is FailureKind.ACCOUNT:
            return (
                f"The API refuses the account ({self.failure.code}: {self.failure.reason}): check "
                "OPENAI_API_KEY, and the key's permissions and quota."
            )
        return f"The API did not answer as it should ({self}): {what_next}."
