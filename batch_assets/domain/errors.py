"""What goes wrong: failures by kind, which decides what happens next, and errors that people read.

A failure's reason is built from codes, names and places only. It never holds text from a
conversation, from an answer or from an error message of the API, which may quote either, or a key.

An error says in one sentence what is wrong and what to do. The command line prints the sentence and
exits with `exit_code`; Dagster shows it as the run's failure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

ACCOUNT_REFUSED: Final = "The API refuses the account"
"""How each sentence begins that says so."""


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
    rate_span: str | None = None
    """The time that a rate limit is of, where the server says it: `minute`, `hour`."""


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
                f"{ACCOUNT_REFUSED} ({self.failure.code}: {self.failure.reason}): check "
                "OPENAI_API_KEY, and the key's permissions and quota."
            )
        return f"The API did not answer as it should ({self}): {what_next}."


class BatchAssetsError(Exception):
    """Something that a person has to put right; `str(error)` is the sentence to show."""

    exit_code: ClassVar[int] = 1

    @property
    def lines(self) -> Sequence[str]:
        """What is shown, a line each; a line end within one is part of what it quotes."""
        return (str(self),)


class ConfigurationError(BatchAssetsError):
    """A setting is missing, contradicts another one or has a value that is not allowed."""

    exit_code = 2


class WrongSettingsError(ConfigurationError):
    """Some settings have values that are not allowed: a sentence for each."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self._sentences = tuple(sentences)

    @property
    def lines(self) -> Sequence[str]:
        """The sentences."""
        return self._sentences


class DatabaseUnavailableError(BatchAssetsError):
    """The database cannot be reached or refuses the login."""

    exit_code = 3


class MigrationsMissingError(BatchAssetsError):
    """The database is reachable but lacks tables that this version needs."""

    exit_code = 4


class AccountRefusedError(BatchAssetsError):
    """The API refuses the account: a missing, wrong or unentitled key, or a used-up quota."""

    exit_code = 5


class SubmissionHeldError(BatchAssetsError):
    """Nothing is submitted now: an operator has to confirm it, or the API is not well."""

    exit_code = 6


class LocalStackError(BatchAssetsError):
    """The embedded PostgreSQL or the local Batch API server cannot be started or found."""

    exit_code = 7


class MigrationRefusedError(BatchAssetsError):
    """The migrations cannot run on this database as it is; nothing was changed."""

    exit_code = 8


class LiveDashChangedError(BatchAssetsError):
    """LiveDash's tables are not as this version needs them any more."""

    exit_code = 9


class DatabaseAtItsEndError(BatchAssetsError):
    """The database's host has no room or memory left, or takes no changes."""

    exit_code = 10


class RightMissingError(BatchAssetsError):
    """The database lets its user log in, and does not let them do all that is needed."""

    exit_code = 11
