"""What tests of synchronous requests share: failed ones, asks, and the calls in the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from batch_assets.domain.batches import BatchRow
from batch_assets.domain.lookups import Criteria
from batch_assets.domain.policy import SynchronousPolicy
from batch_assets.domain.records import Lease
from batch_assets.stages.plan import find_due
from batch_assets.store.synchronous_requests import SynchronousBatches, SynchronousRequests
from batch_assets_tests.factories import make_company, make_request, make_session
from batch_assets_tests.policies import a_synchronous_policy
from batch_assets_tests.stages.support import Lab

ON = a_synchronous_policy(is_on=True)


def only(**changes: Any) -> SynchronousPolicy:
    """Live calls turned on, with another budget."""
    return replace(ON, **changes)


def failed(
    lab: Lab, count: int = 2, age: timedelta = timedelta(hours=23), **options: Any
) -> list[str]:
    """Requests of a company of their own that have failed once, and the server as usual again."""
    _, ids = lab.company(count, age=age, **options)
    lab.configure(rows=[{"effect": {"kind": "http_error", "status": 500}}])
    lab.submit()
    lab.read_to_the_end()
    lab.configure()
    return ids


def dead_twins(lab: Lab, count: int = 2) -> list[str]:
    """Requests of one session which ask the same, and failed for good each in its turn."""
    with lab.desk.engine.begin() as connection:
        session_id = make_session(connection, make_company(connection))
        ids = [
            make_request(connection, session_id, age=timedelta(minutes=count - n))
            for n in range(count)
        ]
    lab.configure(rows=[{"effect": {"kind": "http_error", "status": 400}}])
    for _ in ids:
        lab.submit()
        lab.read_to_the_end()
    lab.configure()
    return ids


def waiting(lab: Lab, count: int, **options: Any) -> list[str]:
    """Requests of a company of their own that were noticed and wait."""
    company_id, ids = lab.company(count, **options)
    find_due(lab.pipeline, lab.pipeline.read_snapshot(), [company_id])
    return ids


def ask(lab: Lab, request_ids: Sequence[str]) -> None:
    """An operator asks for these to be sent synchronously."""
    store = SynchronousRequests(lab.desk.engine)
    chosen = store.choose(Criteria(request_ids=request_ids), 1_000)
    assert store.ask([one.candidate for one in chosen], "an operator") == len(request_ids)


def calls(lab: Lab, request_id: str) -> int:
    """How often the server has billed a synchronous request for a request."""
    billed = lab.server.ledger().entries(kind="live")
    return sum(str(entry.custom_id).endswith(f"/{request_id}") for entry in billed)


class Killed(BaseException):
    """Ends a run where a kill would: nothing is caught, nothing is written any more."""


class Watched(SynchronousBatches):
    """Does something once requests are marked, before they are called."""

    def __init__(self, lab: Lab, then: Callable[[], None]) -> None:
        super().__init__(lab.desk.engine)
        object.__setattr__(self, "then", then)

    then: Callable[[], None]

    def mark_called(self, rows: Sequence[tuple[Lease, str]]) -> set[BatchRow]:
        marked = super().mark_called(rows)
        self.then()
        return marked


def watching(lab: Lab, then: Callable[[], None]) -> Lab:
    """The same, with something done between marking and calling."""
    changed = replace(lab, pipeline=replace(lab.pipeline))
    changed.pipeline.__dict__["synchronous_batches"] = Watched(lab, then)
    return changed
