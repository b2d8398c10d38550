"""Errors that people read: each says in one sentence what is wrong and what to do.

The command line prints the sentence and exits with `exit_code`; Dagster shows it as the run's
failure. None of them ever carries a secret or the text of a conversation.
"""

from collections.abc import Sequence
from typing import ClassVar


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
