"""What the requests of one session mean for its stage, and for each other.

One rule for LiveDash's stage AI_ANALYSIS, whatever has moved a request: IN_PROGRESS as long as any
request of the session is open, COMPLETED once an answer is stored and none is open, FAILED where
there is no answer and one has failed for good. LiveDash makes another request for a session whose
stage is PENDING.

The same is asked by requests of one session with one type and one model: one of them is bought, the
others follow it. Who follows whom is found where requests are noticed and claimed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.packing import Candidate
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.database_errors import refuses_value
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


@dataclass(slots=True)
class Ended:
    """What became of followers."""

    shared: Counter[str] = field(default_factory=Counter)
    """How many got the answer of each leader, by the leader's id."""
    session_ids: set[str] = field(default_factory=set)
    """Those of all that were moved."""


def follow(connection: Connection, candidates: Sequence[Candidate]) -> None:
    """Let candidates follow the requests that they name as their leaders; one statement."""
    which = {
        "request_ids": [one.request_id for one in candidates],
        "company_ids": [one.company_id for one in candidates],
        "leader_ids": [one.leader_id for one in candidates],
    }
    connection.execute(SQL["follow"], which)


def end_followers(connection: Connection, leader_ids: Sequence[str] | None) -> Ended:
    """End the followers of requests that have ended, or let the oldest take the place of each.

    Those of a synchronous request of which nobody knows whether it was answered are dead like it.

    Without ids, those of all leaders. One statement, after those that have moved the leaders; the
    stages of the sessions are the caller's to set.
    """
    which = {"leader_ids": None if leader_ids is None else list(leader_ids)}
    ended = Ended()
    for row in connection.execute(SQL["end"], which):
        ended.session_ids.add(row.session_id)
        if row.is_shared:
            ended.shared[row.leader_id] += 1
    return ended


class Followers(EngineQueries):
    """Followers whose leaders were moved by somebody else."""

    @retry_lost
    def heal(self) -> None:
        """End or promote every follower whose leader is not open any more; two statements.

        If the database refuses any of that, leader by leader: the followers of one that it refuses
        stay, and the audit names them.
        """
        if self._takes(None):
            return
        with self.autocommit.connect() as connection:
            leader_ids = connection.execute(SQL["leaders"]).scalars().all()
        for leader_id in leader_ids:
            self._takes([leader_id])

    def _takes(self, leader_ids: Sequence[str] | None) -> bool:
        try:
            with self.engine.begin() as connection:
                ended = end_followers(connection, leader_ids)
                restage(connection, sorted(ended.session_ids))
        except DBAPIError as error:
            if not refuses_value(error):
                raise
            return False
        return True
