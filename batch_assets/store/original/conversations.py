"""The conversations of claimed batches, a session at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection

from batch_assets.domain.records import Conversation, Message
from batch_assets.store.base import EngineQueries
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class ConversationQueries(EngineQueries):
    """The part of `store.protocol.Queries` that reads what is sent."""

    def conversations(self, batch_ids: Sequence[str]) -> Iterator[Conversation]:
        """See `Queries.conversations`."""
        with self.autocommit.connect() as connection:
            for batch_id in batch_ids:
                yield from _of_batch(connection, batch_id)


def _of_batch(connection: Connection, batch_id: str) -> Iterator[Conversation]:
    for head in connection.execute(SQL["conversation_heads"], {"batch_id": batch_id}).all():
        lines = connection.execute(SQL["messages_of_session"], {"session_id": head.session_id})
        yield Conversation(
            request_id=head.request_id,
            session_id=head.session_id,
            batch_id=batch_id,
            model=head.model,
            processing_type=head.processing_type,
            messages=tuple(Message(line.time, line.role, line.content) for line in lines),
        )
