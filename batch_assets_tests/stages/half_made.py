"""Batches and requests at every stage of their way, as a run that is killed leaves them.

Each function makes a company of its own and gives the ids of its requests.
"""

from typing import Any

import pytest

from batch_assets_tests.factories import make_request
from batch_assets_tests.stages.support import Lab, call_rule

DROPPED = {"kind": "drop", "work": "done"}
NOT_DONE = {"kind": "drop", "work": "never"}
FAILING = {"effect": {"kind": "http_error", "status": 500}}
REFUSED = {"effect": {"kind": "http_error", "status": 400}}


def claimed(lab: Lab) -> list[str]:
    _, ids = lab.company(2)
    lab.claim()
    return ids


def uploaded_in_vain(lab: Lab) -> list[str]:
    """The server has the file, and its answer was lost."""
    _, ids = lab.company(2)
    lab.configure(calls=[call_rule("files.create", DROPPED)])
    lab.submit()
    lab.configure()
    return ids


def uploaded(lab: Lab) -> list[str]:
    """The file is recorded; the create never reached the server."""
    _, ids = lab.company(2)
    lab.configure(calls=[call_rule("batches.create", NOT_DONE)])
    lab.submit()
    lab.configure()
    assert lab.batches("uploaded")
    return ids


def created(lab: Lab) -> list[str]:
    """The server has the batch, and its answer was lost."""
    _, ids = lab.company(2)
    lab.configure(calls=[call_rule("batches.create", DROPPED)])
    lab.submit()
    lab.configure()
    return ids


def running(lab: Lab) -> list[str]:
    _, ids = lab.company(2)
    lab.submit()
    return ids


def ended(lab: Lab) -> list[str]:
    ids = running(lab)
    lab.poll_to_the_end()
    return ids


class InterruptedHereError(Exception):
    pass


class Breaking:
    """The operations on the database, of which one ends the process at its second call."""

    def __init__(self, queries: Any, operation: str, calls: int) -> None:
        self._queries, self._operation, self._left = queries, operation, calls

    def __getattr__(self, name: str) -> Any:
        if name == self._operation:
            if not self._left:
                raise InterruptedHereError
            self._left -= 1
        return getattr(self._queries, name)


def half_ingested(lab: Lab, *, operation: str = "write_results", calls: int = 1) -> list[str]:
    """Some rows are written, or all, and the batch is not finalized."""
    ids = ended(lab)
    breaking = Breaking(lab.pipeline.queries, operation, calls)
    with pytest.raises(InterruptedHereError):
        lab.under(rows_per_write=1).asking(breaking).ingest()
    return ids


def read_and_not_finalized(lab: Lab) -> list[str]:
    return half_ingested(lab, operation="finalize", calls=0)


def put_off(lab: Lab) -> list[str]:
    """Failed once in a finalized batch, and waiting for another try."""
    _, ids = lab.company(2)
    lab.configure(rows=[FAILING])
    lab.submit()
    lab.under(retry_base_seconds=3_600).read_to_the_end()
    lab.configure()
    assert lab.bucket_counts()["retry"] == 2
    return ids


def followed(lab: Lab) -> list[str]:
    """One in a batch that runs, and one of the same session that follows it."""
    _, ids = lab.company(1)
    lab.submit()
    with lab.desk.engine.begin() as connection:
        make_request(connection, lab.desk.session_id(ids[0]))
    lab.pipeline.queries.notice_pending(10)
    assert lab.bucket_counts()["follows"] == 1
    return ids


def dead(lab: Lab) -> list[str]:
    _, ids = lab.company(1)
    lab.configure(rows=[REFUSED])
    lab.submit()
    lab.read_to_the_end()
    lab.configure()
    return ids
