"""What is only read: conversations a session at a time, statistics a company at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection

from batch_assets.domain.lookups import CompanyStatistics
from batch_assets.domain.records import Conversation
from batch_assets.store.base import EngineQueries
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


class ReadingQueries(EngineQueries):
    """The part of `store.protocol.Queries` that reads conversations and statistics."""

    def conversations(self, batch_ids: Sequence[str]) -> Iterator[Conversation]:
        """See `Queries.conversations`."""
        with self.autocommit.connect() as connection:
            for batch_id in batch_ids:
                yield from _of_batch(connection, batch_id)

    def statistics(self) -> list[CompanyStatistics]:
        """See `Queries.statistics`."""
        with self.autocommit.connect() as connection:
            found = []
            for company in connection.execute(SQL["all_companies"]).all():
                which = {"company_id": company.id}
                requests = connection.execute(SQL["company_requests"], which).one()
                money = connection.execute(SQL["company_money"], which).one()
                found.append(
                    CompanyStatistics(
                        company_id=company.id,
                        name=company.name,
                        status=company.status,
                        **requests._mapping,
                        **money._mapping,
                    )
                )
        return sorted(found, key=lambda company: (-company.sessions, company.company_id))


def _of_batch(connection: Connection, batch_id: str) -> Iterator[Conversation]:
    for head in connection.execute(SQL["conversation_heads"], {"batch_id": batch_id}).all():
        which = {"session_id": head.session_id}
        messages = connection.execute(SQL["messages_of_session"], which).all()
        yield Conversation(
            request_id=head.request_id,
            session_id=head.session_id,
            batch_id=batch_id,
            model=head.model,
            processing_type=head.processing_type,
            times=[message.time for message in messages],
            roles=[message.role for message in messages],
            contents=[message.content for message in messages],
        )
