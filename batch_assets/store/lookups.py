"""What people ask for, by a name or an id, and the dead letters, which they may let wait again.

Companies, batches and the last run are read, with one statement each. Dead letters are listed in
pages, read with all that was tried, and put back among the waiting.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from batch_assets.domain.batches import BatchRow
from batch_assets.domain.lookups import (
    Attempt,
    BatchRecord,
    Criteria,
    DeadLetter,
    DeadLetterPage,
    Group,
    LastRun,
    Moved,
    NamedCompany,
    OpenBatches,
    RequestHistory,
    Requeued,
)
from batch_assets.domain.money import price_in
from batch_assets.domain.states import BatchState
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

_ORDER = list(BatchState)
ROWS_AT_A_TIME: Final = 1_000
"""How many rows one transaction moves."""


@dataclass(frozen=True)
class Lookups(EngineQueries):
    """Reads what is looked up."""

    @retry_lost
    def companies(self, wanted: str) -> list[NamedCompany]:
        """Companies with this id or name; at most two, since one is wanted.

        Those whose name is so but for capitals only where nobody is called exactly so.
        """
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["companies"], {"wanted": wanted}).all()
        exact = [row for row in rows if row.is_exact]
        return [NamedCompany(row.id, row.name, row.status) for row in exact or rows]

    @retry_lost
    def company_names(self, limit: int) -> list[str]:
        """The names of at most so many companies."""
        with self.autocommit.connect() as connection:
            return list(connection.execute(SQL["company_names"], {"limit": limit}).scalars())

    @retry_lost
    def batches_called(self, beginning: str) -> list[str]:
        """Our ids of the batches whose id, ours or the server's, begins so; at most two."""
        with self.autocommit.connect() as connection:
            found = connection.execute(SQL["batches_called"], {"beginning": beginning})
            return list(found.scalars())

    @retry_lost
    def batch(self, wanted: str) -> BatchRecord | None:
        """The batch with this id, ours or the server's; `None` if there is none."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["batch"], {"wanted": wanted}).one_or_none()
        if row is None:
            return None
        given = dict(row._mapping)
        return BatchRecord(
            **given
            | {
                "outcomes": row.outcomes or {},
                "server_errors": tuple(row.server_errors),
                "price": price_in(row.price),
            }
        )

    @retry_lost
    def open_batches(self) -> list[OpenBatches]:
        """The batches that are not finished, by state, in the order of a batch's life."""
        with self.autocommit.connect() as connection:
            found = [OpenBatches(**row._mapping) for row in connection.execute(SQL["open_batches"])]
        return sorted(found, key=lambda one: _ORDER.index(BatchState(one.state)))

    @retry_lost
    def last_run(self) -> LastRun | None:
        """The run that was the last to write what its operations have cost."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["last_run"]).one_or_none()
        return None if row is None else LastRun(row.run_id, row.recorded_at)

    @retry_lost
    def moved_by_run(self, run_id: str) -> Moved | None:
        """What a run has sent and read; `None` if it has kept no metrics."""
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["moved_by_run"], {"run_id": run_id}).one_or_none()
        return None if row is None else Moved(**row._mapping)

    @retry_lost
    def newest_rows(self, batches: int, rows: int) -> list[BatchRow]:
        """At most so many rows of so many of the newest batches."""
        with self.autocommit.connect() as connection:
            found = connection.execute(SQL["newest_rows"], {"batches": batches, "rows": rows})
            return [(row.batch_id, row.request_id) for row in found]


class DeadLetters(EngineQueries):
    """Every statement is a transaction of its own."""

    @retry_lost
    def page(
        self, criteria: Criteria, limit: int, after: DeadLetter | None = None
    ) -> DeadLetterPage:
        """At most `limit` of them, newest first, those after `after`; and how many there are."""
        which = asdict(criteria) | {
            "before_at": after and after.dead_at,
            "before_id": after and after.request_id,
            "limit": limit,
        }
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["page"], which)
            letters = [DeadLetter(**row._mapping) for row in rows]
        total = sum(group.requests for group in self.groups(criteria))
        return DeadLetterPage(letters, total)

    @retry_lost
    def groups(self, criteria: Criteria) -> list[Group]:
        """How many there are by company and code, most first."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["groups"], asdict(criteria))
            return [Group(**row._mapping) for row in rows]

    @retry_lost
    def external_groups(self, criteria: Criteria) -> list[Group]:
        """How many requests failed through LiveDash itself, by company; codes do not apply."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["external_groups"], _without_codes(criteria))
            return [Group(**row._mapping) for row in rows]

    @retry_lost
    def retry_groups(self, criteria: Criteria) -> list[Group]:
        """How many failed requests wait for their retry date, by company and code."""
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["retry_groups"], asdict(criteria))
            return [Group(**row._mapping) for row in rows]

    @retry_lost
    def read(self, request_id: str) -> RequestHistory | None:
        """A request with all that was tried; `None` if nothing is known of this id."""
        letters = self.page(Criteria(request_ids=[request_id]), 1).letters
        with self.autocommit.connect() as connection:
            known = connection.execute(SQL["requests"], {"request_ids": [request_id]}).one()
            rows = connection.execute(SQL["attempts"], {"request_id": request_id})
            attempts = [Attempt(**row._mapping) for row in rows]
        if known.status is None and not letters and not attempts:
            return None
        return RequestHistory(
            request_id=request_id,
            status=known.status,
            company=known.company,
            follows=known.leader_id,
            dead_letter=letters[0] if letters else None,
            attempts=attempts,
        )

    @retry_lost
    def not_to_requeue(
        self, request_ids: Sequence[str], *, external: bool, retries: bool = False
    ) -> list[tuple[str, str]]:
        """Which of these ids are neither dead letters nor, with `external`, failed elsewhere, nor,
        with `retries`, to be retried.

        Each comes with what it is instead: LiveDash's status, `retry`, or empty for no request.
        """
        with self.autocommit.connect() as connection:
            rows = connection.execute(SQL["requests"], {"request_ids": list(request_ids)}).all()
        wrong = []
        for row in rows:
            has_failed = row.status == "PROCESSING_FAILED"
            if row.is_dead or (retries if row.is_retried else has_failed and external):
                continue
            state = "retry" if row.is_retried else row.status
            wrong.append((row.request_id, state or ""))
        return wrong

    def requeue(self, criteria: Criteria, *, external: bool = False) -> Requeued:
        """Let them wait again, in transactions of `ROWS_AT_A_TIME`; what was moved.

        With `external` also requests that failed through LiveDash itself. What is locked at that
        moment is left out. What was moved before an error stays so: asked again, it goes on.
        """
        moved = Requeued()
        after = ""
        while True:
            place = {"after": after, "limit": ROWS_AT_A_TIME}
            done = self._move("requeue", asdict(criteria) | place)
            moved.requeued += done.moved
            moved.overtaken += done.taken - done.moved
            if done.chosen < ROWS_AT_A_TIME:
                break
            after = done.last
        if external:
            moved.external = self._requeue_external(criteria)
        return moved

    @retry_lost
    def hasten(self, criteria: Criteria) -> int:
        """Let failed requests not wait for their retry date any longer; of how many it was to come.

        Their age is that of their failure.
        """
        with self.autocommit.connect() as connection:
            return connection.execute(SQL["hasten"], asdict(criteria)).rowcount

    def _requeue_external(self, criteria: Criteria) -> int:
        moved = 0
        after, after_at = "", None
        while True:
            place = {"after": after, "after_at": after_at, "limit": ROWS_AT_A_TIME}
            done = self._move("requeue_external", _without_codes(criteria) | place)
            moved += int(done.moved)
            if done.chosen < ROWS_AT_A_TIME:
                return moved
            after, after_at = done.last, done.last_at

    def _move(self, statement: str, which: dict[str, Any]) -> Any:
        with self.autocommit.connect() as connection:
            return connection.execute(SQL[statement], which).one()


def _without_codes(criteria: Criteria) -> dict[str, Any]:
    """The criteria that apply to a request of which we have no entry."""
    return {name: value for name, value in asdict(criteria).items() if name not in {"code", "kind"}}
