"""The calls that are made, how long each may take, and what may hold one back."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Operation(StrEnum):
    """A call to the API, by the name that errors, breakers and metrics give it."""

    UPLOAD = "upload"
    CREATE_BATCH = "create_batch"
    RETRIEVE_BATCH = "retrieve_batch"
    LIST_BATCHES = "list_batches"
    LIST_FILES = "list_files"
    CANCEL_BATCH = "cancel_batch"
    RETRIEVE_FILE = "retrieve_file"
    DELETE_FILE = "delete_file"
    DOWNLOAD_FILE = "download_file"
    CHECK_ACCOUNT = "check_account"
    CHAT_COMPLETION = "chat_completion"
    FLEX_COMPLETION = "flex_completion"


SYNCHRONOUS = frozenset({Operation.CHAT_COMPLETION, Operation.FLEX_COMPLETION})
"""Synchronous requests, at the full price and by flex: a server may be well for one alone."""

CREATING = frozenset({Operation.UPLOAD, Operation.CREATE_BATCH}) | SYNCHRONOUS
"""Calls that must not be repeated blindly: each makes something, and most of that costs money."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. Each is for one wait, but `upload`, which is for all of a file's sending, and
    `reading`."""

    connect: float = 10.0
    """Until there is a connection, or a free one in the pool."""
    read: float = 60.0
    """Until the next bytes of a reading call's answer; such a call is tried three times."""
    reading: float = 120.0
    """Until a reading call has ended, however often it was tried; a download that moves may take
    longer."""
    create: float = 120.0
    """Until a creating call or a synchronous request, once it is sent, is answered."""
    upload: float = 600.0
    flex: float = 1_200.0
    """Until a synchronous request by flex is answered; OpenAI advises fifteen minutes or more."""
    turn: float = 20.0
    """Until a call that is on trial has ended, for the one that waits for it."""

    def longest(self, operation: Operation) -> float:
        """Seconds that a call may take in all, once it has its turn."""
        if operation not in CREATING:
            return self.reading
        if operation is Operation.FLEX_COMPLETION:
            return 2 * self.connect + self.flex
        sending = self.upload if operation is Operation.UPLOAD else 0.0
        return 2 * self.connect + sending + self.create

    @property
    def longest_creating_call(self) -> float:
        """Seconds that an upload or a creation can take: a lease has to outlast it."""
        return self.turn + 2 * self.connect + self.upload + 2 * self.create

    @property
    def longest_synchronous_call(self) -> float:
        """Seconds that a synchronous request can take: a lease has to outlast it."""
        return self.turn + 2 * self.connect + 2 * self.create

    @property
    def longest_flex_call(self) -> float:
        """The same of one by flex."""
        return self.turn + self.longest(Operation.FLEX_COMPLETION) + self.create


class CallGuard(Protocol):
    """Asked before every call; threads may share it."""

    def attempt(self, operation: Operation) -> AbstractContextManager[None]:
        """Make a context for one call.

        What the call ends with, ApiError or nothing, goes through it unchanged.

        Raises:
            ApiError: On the way in: no call may be made now.
        """


class Unguarded:
    """Lets every call through."""

    def attempt(self, _operation: Operation) -> AbstractContextManager[None]:
        """Make a context that does nothing."""
        return nullcontext()
