"""Where a call may be held back before it is made, and its outcome is seen."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from batch_assets.openai_batch.operations import Operation


class Gate(Protocol):
    """Asked before every call; threads may share it."""

    def attempt(self, operation: Operation) -> AbstractContextManager[None]:
        """A context to make one call in. It raises ApiError on the way in if none may be made now.

        What the call ends with, ApiError or nothing, goes through it unchanged.
        """


class OpenGate:
    """Lets every call through."""

    def attempt(self, _operation: Operation) -> AbstractContextManager[None]:
        """A context that does nothing."""
        return nullcontext()
