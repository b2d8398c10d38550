"""The figures of a run, from what its stages have noted."""

import time
from collections import Counter

import pytest

from batch_assets.domain.batches import Written
from batch_assets.domain.metrics import QueryUse
from batch_assets.domain.records import Backlog
from batch_assets.domain.run_end import Waiting
from batch_assets.stages.figures import STAGES, RunFigures
from batch_assets.stages.metrics import known_metrics, known_waiting
from batch_assets.stages.plan import DueReport
from batch_assets.stages.recover import RecoverReport
from batch_assets.stages.result_writer import IngestReport
from batch_assets.stages.retry import RetryReport
from batch_assets.stages.submit import SubmitReport

LARGE, SMALL = Backlog("large", 40, 90.0), Backlog("small", 3, 60.0)


def test_a_stage_that_fails_has_taken_its_time_and_leaves_what_it_had_done() -> None:
    figures = RunFigures()
    assert figures.stage_seconds == dict.fromkeys(STAGES, 0.0)
    assert figures.found(RetryReport) is None
    report = figures.note(RetryReport())

    def fail() -> None:
        with figures.timed("retry"):
            report.requeued = 7
            time.sleep(0.002)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert figures.stage_seconds["retry"] >= 0.002
    assert figures.of(RetryReport).requeued == 7
    assert figures.of(SubmitReport) == SubmitReport()


def test_what_went_wrong_is_added_up_over_the_stages() -> None:
    figures = RunFigures()
    figures.note(
        IngestReport(
            settled=6,
            settled_as=Counter(completed=2, expired=1, cancelled=2, failed=1),
            rows=Written(
                completed=5,
                retry=2,
                dead=1,
                returned=10,
                failure_kinds=Counter(transient=1, capacity=1, permanent=1),
            ),
            refused=Counter(foreign=2, duplicate=1),
            failed={"large": "DataError"},
        )
    )
    figures.note(
        SubmitReport(
            rejected=Counter(no_messages=4),
            returned_requests=20,
            failed={"large": "DataError", "small": "DataError"},
        )
    )
    figures.note(RecoverReport(adopted=1, released=2, released_requests=30))
    known = known_metrics(figures, QueryUse(), run_id="run-1", mode="auto")
    found = known.figures()
    expected = {
        "settled_batches": 6,
        "failed_batches": 1,
        "expired_batches": 1,
        "cancelled_batches": 2,
        "completed_requests": 5,
        "failed_requests": 3,
        "transient_failures": 1,
        "capacity_failures": 1,
        "permanent_failures": 5,
        "returned_requests": 60,
        "recovered_submissions": 3,
        "refused_rows": 3,
        "failed_companies": 2,
    }
    assert {key: found[key] for key in expected} == expected


def test_requests_a_second_are_those_of_the_stages_that_moved_any() -> None:
    figures = RunFigures()
    assert (
        known_metrics(figures, QueryUse(), run_id="", mode="").throughput.requests_per_second == 0
    )
    figures.note(IngestReport(rows=Written(completed=10)))
    with figures.timed("ingest"):
        time.sleep(0.01)
    with figures.timed("submit"):
        time.sleep(0.02)
    throughput = known_metrics(figures, QueryUse(), run_id="", mode="").throughput
    assert throughput.requests_per_second == pytest.approx(10 / throughput.ingest_seconds)


@pytest.mark.parametrize(
    ("submitted", "expected"),
    [
        (None, Waiting(others=[LARGE, SMALL])),
        (SubmitReport(), Waiting(others=[LARGE, SMALL])),
        (SubmitReport(batches=1), Waiting(others=[SMALL], sent_company_ids=["large"])),
        (SubmitReport(released=1), Waiting(others=[SMALL], sent_company_ids=["large"])),
        (
            SubmitReport(rejected=Counter(no_messages=1)),
            Waiting(others=[SMALL], sent_company_ids=["large"]),
        ),
    ],
)
def test_only_companies_of_which_something_was_sent_are_counted_again(
    submitted: SubmitReport | None, expected: Waiting
) -> None:
    figures = RunFigures()
    assert known_waiting(figures) is None
    figures.note(DueReport(due=(LARGE,), backlogs=(LARGE, SMALL)))
    if submitted is not None:
        figures.note(submitted)
    found = known_waiting(figures)
    assert found is not None
    assert list(found.others) == list(expected.others)
    assert list(found.sent_company_ids) == list(expected.sent_company_ids)
