"""Bugs that are put in on purpose, into a drill's own processes: the drill has to report each.

Nothing but the tests names one; the command has no option for it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, text

from batch_assets.domain.batches import BatchRow
from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.domain.records import Lease, RemoteBatch
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.concurrency import LeaseKeeper
from batch_assets.stages.submit import submit_due
from batch_assets.store.engine import QuietDialect
from batch_assets.store.optimized import OptimizedQueries
from batch_assets.store.original import OriginalQueries
from batch_assets.store.synchronous_requests import SynchronousBatches
from drills import run
from drills.probes import put_in

_FORGET = text("DELETE FROM batch_assets.retry")


def ignore_leases() -> None:
    """A run goes on with what it has claimed, whoever has taken it over meanwhile."""
    put_in(LeaseKeeper, "holds", lambda _keeper, _lease: True)


def commit_after_the_calls() -> None:
    """The claim is committed when the batches are on the server: the calls come first."""
    submit = submit_due
    is_held = False

    def unless_held(act: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(act)
        def acted(connection: psycopg.Connection, *arguments: Any) -> Any:
            return None if is_held else act(connection, *arguments)

        return acted

    def held(*arguments: Any) -> Any:
        nonlocal is_held
        is_held = True
        try:
            return submit(*arguments)
        finally:
            is_held = False
            # The pool has one connection, since none of those before was ever given up.
            raw = arguments[0].registry.engine.raw_connection()
            raw.driver_connection.commit()
            raw.close()

    connection: Any = psycopg.Connection
    connection.commit = unless_held(connection.commit)
    connection.rollback = unless_held(connection.rollback)
    set_isolation_level: Any = QuietDialect.set_isolation_level

    def set_unless_held(*arguments: Any) -> None:
        if not is_held:
            set_isolation_level(*arguments)

    put_in(QuietDialect, "set_isolation_level", set_unless_held)
    put_in(run, "submit_due", held)


def repeat_the_create() -> None:
    """A create whose answer was lost is simply made again."""
    create = BatchApi.create_batch

    def created(self: BatchApi, *arguments: Any) -> RemoteBatch:
        try:
            return create(self, *arguments)
        except ApiError as error:
            if error.failure.kind is not FailureKind.INDETERMINATE:
                raise
        return create(self, *arguments)

    put_in(BatchApi, "create_batch", created)


def forget_failures() -> None:
    """What failed is in no table of ours: nobody tries it again, and nobody is told."""
    for queries in (OptimizedQueries, OriginalQueries):
        _forget_after(queries)


def _forget_after(queries: type[OptimizedQueries] | type[OriginalQueries]) -> None:
    write: Callable[..., Any] = queries.write_results

    def written(self: Any, *arguments: Any) -> Any:
        done = write(self, *arguments)
        connection: Connection
        with self.engine.begin() as connection:
            connection.execute(_FORGET)
        return done

    put_in(queries, "write_results", written)


def forget_to_mark() -> None:
    """A synchronous call is made without a note of it before."""

    def mark_called(_self: SynchronousBatches, rows: Sequence[tuple[Lease, str]]) -> set[BatchRow]:
        return {(lease.batch_id, request_id) for lease, request_id in rows}

    put_in(SynchronousBatches, "mark_called", mark_called)


SABOTAGES: Final[Mapping[str, run.Sabotage]] = {
    "leases": ignore_leases,
    "order": commit_after_the_calls,
    "create": repeat_the_create,
    "failures": forget_failures,
    "marks": forget_to_mark,
}
