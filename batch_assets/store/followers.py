"""Requests that ask the same as another one that is open: one is bought, the others follow it.

The same is asked by requests of one session with one type and one model. This state is ours alone
and has one implementation; who follows whom is found where requests are noticed and claimed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.packing import Candidate
from batch_assets.store.base import EngineQueries
from batch_assets.store.lost_connections import retry_lost
from batch_assets.store.refused_values import refuses_value
from batch_assets.store.session_stages import restage
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


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

    Those of a live call of which nobody knows whether it was answered are dead letters like it.

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
