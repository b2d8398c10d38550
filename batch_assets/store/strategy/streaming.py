"""A stream of conversations that goes on where it was interrupted."""

from collections.abc import Callable, Generator, Iterator, Sequence

from batch_assets.domain.records import Conversation
from batch_assets.store.lost_connections import retry_lost


class Place:
    """How far a stream has come, so that another one goes on without repeating anything.

    Remembers the requests of one batch, the one that was begun last: batches come in the order in
    which they were asked for.
    """

    def __init__(self, batch_ids: Sequence[str]) -> None:
        self.rest = tuple(batch_ids)
        """The batches that are not known to be finished, the one that was begun among them."""
        self._given: set[str] = set()

    def passes(self, conversation: Conversation) -> bool:
        """Whether this one was not given yet; from now on it was."""
        if conversation.batch_id != self.rest[0]:
            self.rest = self.rest[self.rest.index(conversation.batch_id) :]
            self._given.clear()
        if conversation.request_id in self._given:
            return False
        self._given.add(conversation.request_id)
        return True


class Stream:
    """One implementation's conversations, from a place on."""

    def __init__(
        self, ask: Callable[[Sequence[str]], Iterator[Conversation]], place: Place
    ) -> None:
        self._ask = ask
        self._place = place
        self._source: Iterator[Conversation] | None = None

    @retry_lost
    def next(self) -> Conversation | None:
        """The next one, `None` at the end; a lost connection is replaced on the way."""
        if self._source is None:
            self._source = self._ask(self._place.rest)
        try:
            return next(filter(self._place.passes, self._source), None)
        except Exception:
            self._source = None
            raise

    def close(self) -> None:
        """End the transaction that may be open."""
        if isinstance(self._source, Generator):
            self._source.close()
