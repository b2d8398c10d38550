"""LiveDash's stage AI_ANALYSIS of each session, as all requests of the session say together.

One rule for every road: IN_PROGRESS as long as any request of the session is open, COMPLETED once
an answer is stored and none is open, FAILED where there is no answer and one has failed for good.
LiveDash makes another request for a session whose stage is PENDING.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

SESSIONS_AT_A_TIME: Final = 1_000


def lock_sessions(connection: Connection, request_ids: Sequence[str]) -> list[str]:
    """Lock the sessions of these requests in the order of their ids, which come back."""
    which = {"request_ids": list(request_ids)}
    return list(connection.execute(SQL["lock_sessions"], which).scalars())


def restage(connection: Connection, session_ids: Sequence[str]) -> None:
    """Let the stages of these sessions, which are locked, say what their requests do; one
    statement, after those that have moved the requests.
    """
    if session_ids:
        connection.execute(SQL["restage"], {"session_ids": list(session_ids)})


class SessionStages(EngineQueries):
    """Finds stages that do not fit, and sets them right."""

    def orphaned(self) -> Iterator[str]:
        """Sessions whose stage is IN_PROGRESS while none of their requests is open, by id."""
        return self._listed("orphaned")

    def unstaged(self) -> Iterator[str]:
        """Sessions of which a request is open while their stage says something else, by id."""
        return self._listed("unstaged")

    @retry_lost
    def reset(self, session_ids: Sequence[str]) -> None:
        """Set the stages of these sessions right, in one transaction.

        One that has nothing open, no answer and no dead letter becomes PENDING, so that LiveDash
        makes a request for it.
        """
        with self.engine.begin() as connection:
            restage(connection, session_ids)
            connection.execute(SQL["reopen"], {"session_ids": list(session_ids)})

    def _listed(self, statement: str) -> Iterator[str]:
        after = ""
        while found := self._page(statement, after):
            yield from found
            after = found[-1]

    @retry_lost
    def _page(self, statement: str, after: str) -> list[str]:
        which = {"after": after, "limit": SESSIONS_AT_A_TIME}
        with self.autocommit.connect() as connection:
            return list(connection.execute(SQL[statement], which).scalars())
