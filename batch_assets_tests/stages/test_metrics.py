"""The metrics of a run, from what its stages have come to."""

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from batch_assets.domain.batches import Written
from batch_assets.domain.metrics import (
    LookupUse,
    Money,
    QueryUse,
    Reliability,
    Throughput,
    metric_types,
)
from batch_assets.domain.records import Backlog
from batch_assets.domain.report_data import Waiting
from batch_assets.resources.company_lookup import ActiveCompanies
from batch_assets.stages.copies import LookReport
from batch_assets.stages.metrics import known_metrics, known_waiting
from batch_assets.stages.plan import DueReport
from batch_assets.stages.recover import RecoverReport
from batch_assets.stages.result_writer import IngestReport
from batch_assets.stages.retry import RetryReport
from batch_assets.stages.run_state import STAGES, RunState, StageState, added_up, grown, values_of
from batch_assets.stages.submit import SubmitReport
from batch_assets.store.livedash_acts import Noticed
from batch_assets.store.metrics import SEEN
from batch_assets.store.strategy.track import query_use

LARGE, SMALL = Backlog("large", 40, 90.0), Backlog("small", 3, 60.0)


def run_of(**reports: object) -> RunState:
    """A run whose stages, by name, have left these reports: as values that went from op to op."""
    return RunState.of_values(
        StageState(
            op=op, began_at=time.time(), seconds=0.0, reports=values_of([reports[stage]])
        ).as_value()
        for op, stage in STAGES.items()
        if stage in reports
    )


def test_a_stage_that_fails_has_taken_its_time_and_leaves_what_it_had_done() -> None:
    assert RunState([]).stage_seconds == dict.fromkeys(STAGES.values(), 0.0)
    assert RunState([]).found(RetryReport) is None
    failed = StageState(
        op="retry_failed_requests",
        began_at=time.time() - 5,
        seconds=0.25,
        statements=3,
        reports=values_of([RetryReport(requeued=7)]),
        failure="It is broken.",
    )
    after = StageState(op="load_companies", began_at=time.time(), statements=4)
    run = RunState.of_values([failed.as_value(), after.as_value()])
    assert run.stage_seconds["retry"] == 0.25
    assert run.of(RetryReport).requeued == 7
    assert run.of(SubmitReport) == SubmitReport()
    summary = run.summary()
    assert summary.failures == {"retry_failed_requests": "It is broken."}
    assert summary.statements == 7
    assert 5 <= summary.seconds < 60


def test_what_ops_hand_on_can_be_carried_as_json() -> None:
    run = StageState(
        op="submit_batches",
        began_at=time.time(),
        queries=QueryUse(query_statements=2, database_seconds=0.5),
        reports=values_of(
            [
                SubmitReport(
                    batches=1,
                    held=Counter(cap=2),
                    company_ids={"large"},
                    look=LookReport(newest_at=datetime.now(UTC), files_seen={"file-1"}),
                ),
                DueReport(due=(LARGE,), backlogs=(LARGE, SMALL), beside=Noticed({"creating": 3})),
            ]
        ),
        companies={"large": "Large"},
        due_company_ids=["large"],
    )
    carried = StageState.of_value(json.loads(json.dumps(run.as_value())))
    assert carried == run
    submitted = RunState([carried]).of(SubmitReport)
    assert (submitted.held, submitted.company_ids) == (Counter(cap=2), {"large"})
    assert RunState([carried]).of(DueReport).backlogs == (LARGE, SMALL)


def test_the_use_of_queries_is_that_of_all_stages() -> None:
    earlier = QueryUse(query_statements=3, query_rows=5, database_seconds=0.5)
    later = QueryUse(query_statements=10, query_rows=5, database_seconds=2.0, query_operations=4)
    grew = grown(earlier, later)
    assert grew == QueryUse(query_statements=7, database_seconds=1.5, query_operations=4)
    assert added_up([earlier, grew]) == later


def test_what_went_wrong_is_added_up_over_the_stages() -> None:
    run = run_of(
        ingest=IngestReport(
            finalized=6,
            finalized_as=Counter(completed=2, expired=1, cancelled=2, failed=1),
            rows=Written(
                completed=5,
                retry=2,
                dead=1,
                returned=10,
                failure_kinds=Counter(transient=1, capacity=1, permanent=1),
            ),
            refused=Counter(not_in_batch=2, duplicate=1),
            failed={"large": "DataError"},
        ),
        submit=SubmitReport(
            rejected=Counter(no_messages=4),
            returned_requests=20,
            failed={"large": "DataError", "small": "DataError"},
        ),
        check=RecoverReport(adopted=1, released=2, released_requests=30),
    )
    known = known_metrics(run, run_id="run-1", mode="auto")
    found = known.by_key()
    expected = {
        "finalized_batches": 6,
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


def test_every_metric_is_given_by_the_run_or_by_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that nobody gives would be plotted as a zero for ever."""
    given: list[str] = []

    def note(group: Any) -> None:
        made = group.__init__

        def noting(self: object, **known: object) -> None:
            given.extend(known)
            made(self, **known)

        monkeypatch.setattr(group, "__init__", noting)

    for group in (Throughput, Money, Reliability):
        note(group)
    known_metrics(RunState([]), run_id="", mode="")
    for other in (QueryUse, LookupUse):
        note(other)
    query_use({}, {})
    assert ActiveCompanies(()).use.lookup_hits == 0
    assert sorted([*given, *SEEN]) == sorted(metric_types())


def test_requests_a_second_are_those_of_the_stages_that_moved_any() -> None:
    nothing = known_metrics(RunState([]), run_id="", mode="")
    assert nothing.throughput.requests_per_second == 0
    read = StageState(
        op="ingest_results",
        began_at=time.time(),
        seconds=0.5,
        reports=values_of([IngestReport(rows=Written(completed=10))]),
    )
    submitted = StageState(op="submit_batches", began_at=time.time(), seconds=2.0)
    throughput = known_metrics(RunState([read, submitted]), run_id="", mode="").throughput
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
    assert known_waiting(RunState([])) is None
    seen = DueReport(due=(LARGE,), backlogs=(LARGE, SMALL))
    given = {"fetch": seen} if submitted is None else {"fetch": seen, "submit": submitted}
    found = known_waiting(run_of(**given))
    assert found is not None
    assert list(found.others) == list(expected.others)
    assert list(found.sent_company_ids) == list(expected.sent_company_ids)
