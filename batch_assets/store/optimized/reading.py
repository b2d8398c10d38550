"""What is only read: conversations by a cursor, in parts; the statistics of all companies."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Row

from batch_assets.domain.lookups import CompanyStatistics
from batch_assets.domain.records import Conversation
from batch_assets.store import daily_costs
from batch_assets.store.base import EngineQueries
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"), parts_of=[daily_costs.SQL_FILE])

FIRST_FETCH: Final = 200
MOST_ROWS_A_FETCH: Final = 2_500
BYTES_A_FETCH: Final = 2_000_000


class ReadingQueries(EngineQueries):
    """The part of `store.protocol.Queries` that reads conversations and statistics."""

    def conversations(self, batch_ids: Sequence[str]) -> Iterator[Conversation]:
        """See `Queries.conversations`; one statement, on a server-side cursor.

        Each fetch asks for as many rows as the last ones let expect of `BYTES_A_FETCH`, so that
        memory is bounded by bytes and not by a number of conversations of any length.
        """
        with (
            self.engine.begin() as connection,
            connection.execute(
                SQL["conversations"],
                {"batch_ids": list(batch_ids)},
                execution_options={"yield_per": FIRST_FETCH},
            ) as rows,
        ):
            wanted = FIRST_FETCH
            while fetched := list(rows.fetchmany(wanted)):
                read, characters = len(fetched), 0
                fetched.reverse()
                # Row by row, so that a fetch is not in memory twice.
                while fetched:
                    found = _conversation(fetched.pop())
                    characters += sum(map(len, found.contents))
                    yield found
                if read < wanted:
                    break
                wanted = min(MOST_ROWS_A_FETCH, 1 + BYTES_A_FETCH * read // (characters + read))

    def statistics(self) -> list[CompanyStatistics]:
        """See `Queries.statistics`; one statement."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["statistics"])
            return [CompanyStatistics(**row._mapping) for row in rows]


def _conversation(row: "Row[tuple[object, ...]]") -> Conversation:
    return Conversation(
        request_id=row.request_id,
        session_id=row.session_id,
        batch_id=row.batch_id,
        model=row.model,
        processing_type=row.processing_type,
        times=row.times or (),
        roles=row.roles or (),
        contents=row.contents or (),
    )
