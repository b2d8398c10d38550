"""The intake, a company at a time: what waits is noticed there, and forgotten with its row."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.logs import open_log
from batch_assets.domain.packing import Candidate
from batch_assets.domain.records import Backlog
from batch_assets.store.base import EngineQueries
from batch_assets.store.database_errors import refuses_value
from batch_assets.store.sessions import follow
from batch_assets.store.sql import load

log = open_log(__name__)

SQL = load(Path(__file__).with_suffix(".sql"))


class IntakeQueries(EngineQueries):
    """The part of `store.protocol.Queries` that fills the intake and counts what is in it."""

    def notice_pending(self, limit: int) -> int:
        """See `Queries.notice_pending`."""
        noticed = 0
        with self.autocommit.connect() as connection:
            company_ids = connection.execute(SQL["companies"]).scalars().all()
            # All that is gone goes first: a session may have moved from one company to another.
            for company_id in company_ids:
                forget_gone(connection, company_id)
            for company_id in company_ids:
                noticed += _notice_what_is_taken(connection, company_id, limit - noticed)
        return noticed

    def pending_by_company(
        self, company_ids: Sequence[str], account_name: str = DEFAULT_ACCOUNT
    ) -> list[Backlog]:
        """See `Queries.pending_by_company`."""
        with self.autocommit.connect() as connection:
            return oldest_first(
                backlog_of(connection, company_id, account_name) for company_id in company_ids
            )


def forget_gone(connection: Connection, company_id: str) -> None:
    """Take out what no longer waits for a company."""
    connection.execute(SQL["forget_gone"], {"company_id": company_id})


def notice(connection: Connection, company_id: str, limit: int) -> tuple[int, Sequence[Candidate]]:
    """Take in what waits for a company, of at most `limit` requests; how many came in.

    What asks the same as another open request follows that one, and does not come in: the second.
    """
    found = _unnoticed(connection, company_id, limit)
    following = _that_are_free(connection, [one for one in found if one.leader_id is not None])
    if following:
        follow(connection, following)
    waiting = [one.request_id for one in found if one.leader_id is None]
    return (_take_in(connection, waiting) if waiting else 0), following


def _notice_what_is_taken(connection: Connection, company_id: str, limit: int) -> int:
    """Notice one by one, in transactions of their own, if the database refuses some of them."""
    which = {"company_id": company_id}
    try:
        noticed, _ = notice(connection, company_id, limit)
        connection.execute(SQL["stage_waiting"], which)
    except DBAPIError as error:
        if not refuses_value(error):
            raise
    else:
        return noticed
    noticed = refused = 0
    for one in _unnoticed(connection, company_id, limit):
        try:
            if one.leader_id is None:
                noticed += _take_in(connection, [one.request_id])
            else:
                follow(connection, [one])
        except DBAPIError as error:
            if not refuses_value(error):
                raise
            refused += 1
    log.warning(
        "LiveDash's database refuses to let %d requests of company %r, or the stages of their "
        "sessions, be noted as waiting (a CHECK, or an id too long for an index): the others go on",
        refused,
        company_id,
    )
    return noticed


def _unnoticed(connection: Connection, company_id: str, limit: int) -> list[Candidate]:
    which = {"company_id": company_id, "limit": limit}
    return [Candidate(**row._mapping) for row in connection.execute(SQL["unnoticed"], which)]


def _that_are_free(connection: Connection, found: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those that nobody else has locked; the others are noticed by a later look."""
    if not found:
        return ()
    which = {"request_ids": [one.request_id for one in found]}
    free = set(connection.execute(SQL["lock_free"], which).scalars())
    return [one for one in found if one.request_id in free]


def _take_in(connection: Connection, request_ids: Sequence[str]) -> int:
    return connection.execute(SQL["notice_pending"], {"request_ids": request_ids}).rowcount


def backlog_of(connection: Connection, company_id: str, account_name: str) -> tuple[float, Backlog]:
    """What waits in the intake for a company, after the moment of the oldest, by which they go.

    Nothing of one that another account serves.
    """
    which = {"company_id": company_id, "account_name": account_name}
    row = connection.execute(SQL["pending_of_company"], which).one()
    return row.oldest, Backlog(company_id, row.requests, row.oldest_wait_seconds)


def oldest_first(backlogs: Iterable[tuple[float, Backlog]]) -> list[Backlog]:
    """The companies that have anything waiting, in the order in which a run claims for them."""
    waiting = [(oldest, one.company_id, one) for oldest, one in backlogs if one.requests]
    return [backlog for _, _, backlog in sorted(waiting, key=lambda one: one[:2])]
