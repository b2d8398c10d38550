"""Ingesting: ended batches become rows, whatever their end; what was paid for is kept."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from batch_assets.domain.batches import BatchRow, EndedBatch
from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.domain.records import ResultLine
from batch_assets.stages.pipeline import Budget
from batch_assets.stages.result_writer import ResultWriter
from batch_assets.store.original import OriginalQueries
from batch_assets_tests.stages.support import AT_ONCE, Lab, call_rule, refusal


def ended(lab: Lab, count: int = 4, **parts: Any) -> list[str]:
    """Requests of one batch that has ended on a server configured with `parts`."""
    _, ids = lab.company(count)
    lab.configure(**parts)
    lab.submit()
    lab.poll_to_the_end()
    lab.configure()
    return ids


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
def test_what_ran_before_a_batch_ended_early_is_kept_and_the_rest_waits(
    lab: Lab, ending: str
) -> None:
    ids = ended(lab, batches=[{"end_as": ending, "after_rows": 3, "count": 1}])
    report = lab.ingest()
    assert (report.finalized, report.rows.completed, report.rows.returned) == (1, 3, 1)
    assert (report.rows.retry, report.rows.dead, report.failures) == (0, 0, {})
    assert lab.bucket_counts() == {"complete": 3, "waiting": 1}
    lab.finish()
    assert lab.bucket_counts() == {"complete": 4}
    assert lab.times_billed(ids) == [1] * 4


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
def test_of_a_batch_that_never_ran_everything_waits_again(lab: Lab, ending: str) -> None:
    ids = ended(lab, batches=[{"end_as": ending, "after_rows": 0, "count": 1}])
    assert lab.ingest().rows.returned == 4
    assert {lab.desk.attempt(row).counted for row in ids} == {False}
    assert lab.bucket_counts() == {"waiting": 4}


@pytest.mark.parametrize("code", ["token_limit_exceeded", "insufficient_quota"])
def test_a_batch_without_room_or_quota_costs_its_rows_no_attempt(lab: Lab, code: str) -> None:
    ids = ended(lab, 2, batches=[{"end_as": "failed", "code": code}])
    assert lab.ingest().rows.returned == 2
    assert {lab.desk.attempt(row).counted for row in ids} == {False}
    assert lab.bucket_counts() == {"waiting": 2}


@pytest.mark.parametrize("framing", ["content_length", "chunked"])
def test_a_download_that_breaks_off_is_postponed_and_read_again(lab: Lab, framing: str) -> None:
    ids = ended(lab)
    lab.configure(
        calls=[
            call_rule(
                "files.content",
                {"kind": "truncate", "after_bytes": 2_500, "framing": framing},
            )
        ]
    )
    few = lab.under(rows_per_write=1)
    report = few.ingest()
    assert (report.finalized, report.postponed) == (0, 1)
    assert report.rows.completed == 2, "whole lines before the break are kept"
    (batch_id,) = lab.batches("ended")
    cost = lab.desk.batch(batch_id).cost_eur
    assert cost > 0
    assert few.ingest().postponed == 1, "it is tried again by every run"
    assert lab.desk.batch(batch_id).cost_eur == cost
    lab.configure()
    report = few.ingest()
    assert (report.finalized, report.rows.completed) == (1, 2)
    assert lab.bucket_counts() == {"complete": 4}
    assert lab.times_billed(ids) == [1] * 4
    assert lab.desk.batch(batch_id).cost_eur == pytest.approx(2 * cost, rel=0.01)
    total = sum(float(lab.desk.attempt(row).cost_eur) for row in ids)
    assert lab.desk.batch(batch_id).cost_eur == pytest.approx(total)


def test_a_download_that_ends_silently_in_a_line_is_postponed_too(lab: Lab) -> None:
    ended(lab)
    cut = {"kind": "truncate", "after_bytes": 1_500, "framing": "silent"}
    lab.configure(calls=[call_rule("files.content", cut)])
    assert lab.ingest().postponed == 1
    assert lab.bucket_counts() == {"complete": 1, "in_batch": 3}, "the line before the cut is kept"
    lab.configure()
    assert lab.ingest().finalized == 1
    assert lab.bucket_counts() == {"complete": 4}


def test_a_postponed_batch_does_not_keep_others_from_being_read(lab: Lab) -> None:
    lab.company(1)
    lab.company(1)
    lab.submit()
    lab.poll_to_the_end()
    # The SDK tries a reading call three times.
    failing = refusal(500, headers=AT_ONCE)
    lab.configure(calls=[call_rule("files.content", failing, count=3)])
    report = lab.ingest()
    assert (report.finalized, report.postponed) == (1, 1)
    assert lab.ingest().finalized == 1


def test_a_refused_account_stops_the_reading_and_loses_nothing(lab: Lab) -> None:
    lab.company(1)
    lab.company(1)
    lab.submit()
    lab.poll_to_the_end()
    lab.configure(calls=[call_rule("files.content", refusal(401), after=1)])
    with pytest.raises(ApiError) as refused:
        lab.ingest()
    assert refused.value.failure.kind is FailureKind.ACCOUNT
    assert lab.bucket_counts() == {"complete": 1, "in_batch": 1}
    lab.configure()
    assert lab.ingest().finalized == 1, "its lease was given up"
    assert lab.bucket_counts() == {"complete": 2}


def test_results_that_the_server_lost_are_given_up(lab: Lab) -> None:
    ids = ended(lab, 2)
    (batch_id,) = lab.batches("ended")
    lab.pipeline.api.delete_file(lab.desk.batch(batch_id).output_file_id)
    report = lab.ingest()
    assert (report.finalized, report.failures) == (1, {"results_lost": 2})
    assert lab.bucket_counts() == {"dead": 2}
    assert lab.desk.request(ids[0]).errorMessage is not None


def test_a_lost_output_file_does_not_cost_what_the_error_file_says(lab: Lab) -> None:
    ended(lab, batches=[{"end_as": "expired", "after_rows": 1, "count": 1}])
    (batch_id,) = lab.batches("ended")
    lab.pipeline.api.delete_file(lab.desk.batch(batch_id).output_file_id)
    report = lab.ingest()
    assert report.failures == {"results_lost": 1}
    assert report.rows.returned == 3
    assert lab.bucket_counts() == {"dead": 1, "waiting": 3}


def test_an_owner_that_lost_its_lease_while_reading_writes_nothing_more(lab: Lab) -> None:
    ended(lab)

    class Frozen(OriginalQueries):
        """Falls asleep before its second set; meanwhile another takes the batch over."""

        def rows_of(self, rows: Sequence[BatchRow]) -> Mapping[BatchRow, str | None]:
            if lab.bucket_counts().get("complete") == 1:
                lab.desk.lapse(rows[0][0])
                lab.desk.take(rows[0][0])
            return super().rows_of(rows)

    report = lab.under(rows_per_write=1).asking(Frozen(lab.desk.engine)).ingest()
    assert (report.finalized, report.postponed, report.rows.completed) == (0, 1, 1)
    assert lab.bucket_counts() == {"complete": 1, "in_batch": 3}
    (batch_id,) = lab.batches("ended")
    row = lab.desk.batch(batch_id)
    assert (row.fence, row.lease_owner) == (3, "host:1"), "the new owner's lease stays"


def test_a_batch_is_read_by_one_run_at_a_time(lab: Lab) -> None:
    ended(lab)
    (batch,) = lab.desk.queries.take_ended(lab.desk.holder, 1)
    assert lab.ingest().finalized == 0
    lab.desk.queries.expire([batch.lease])
    assert lab.ingest().finalized == 1


def test_reading_stops_between_batches_when_the_budget_is_spent(lab: Lab) -> None:
    for _ in range(3):
        lab.company(2)
    lab.submit()
    lab.poll_to_the_end()
    assert lab.ingest(Budget(seconds=60, rows=3)).finalized == 2
    assert lab.ingest(Budget(seconds=0, rows=1_000)).finalized == 0
    assert lab.ingest(Budget(seconds=60, rows=1_000)).finalized == 1


def test_a_session_deleted_meanwhile_costs_and_leaves_nothing_else(lab: Lab) -> None:
    _, (deleted, stays) = lab.company(2)
    lab.submit()
    lab.poll_to_the_end()
    lab.desk.delete_session(deleted)
    report = lab.ingest()
    assert (report.rows.completed, report.rows.discarded) == (1, 1)
    assert lab.desk.attempt(deleted).outcome == "discarded"
    assert lab.desk.attempt(deleted).cost_eur > 0
    assert lab.statuses([stays]) == ["PROCESSING_COMPLETE"]


def test_results_are_written_in_sets_of_the_size_that_is_set(lab: Lab) -> None:
    ended(lab, 5)
    report = lab.under(rows_per_write=2).ingest()
    assert (report.finalized, report.rows.completed) == (1, 5)


def test_a_lease_is_renewed_while_a_long_file_is_read(lab: Lab) -> None:
    ended(lab, 6)
    ends = set()

    class Slow(OriginalQueries):
        def rows_of(self, rows: Sequence[BatchRow]) -> Mapping[BatchRow, str | None]:
            time.sleep(0.1)
            ends.add(lab.desk.batch(rows[0][0]).lease_expires_at)
            return super().rows_of(rows)

    slow = lab.under(lease_seconds=0.3, rows_per_write=1).asking(Slow(lab.desk.engine))
    assert slow.ingest().finalized == 1
    assert len(ends) > 2
    assert lab.desk.batch(lab.batches("finalized")[0]).fence == 2


def test_lines_are_read_while_the_ones_before_are_written(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(lab)
    is_third_read = threading.Event()
    read: list[object] = []
    queries = type(lab.pipeline.queries)
    write, add = queries.write_results, ResultWriter.add

    def slow_write(self: Any, *arguments: Any) -> Any:
        assert is_third_read.wait(60), "nothing is read meanwhile"
        return write(self, *arguments)

    def noticed_add(self: ResultWriter, batch: EndedBatch, line: ResultLine) -> None:
        read.append(line)
        if len(read) == 3:
            is_third_read.set()
        add(self, batch, line)

    monkeypatch.setattr(queries, "write_results", slow_write)
    monkeypatch.setattr(ResultWriter, "add", noticed_add)
    assert lab.under(rows_per_write=2).ingest().rows.completed == 4


def test_what_the_writing_raises_ends_the_reading_and_loses_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ended(lab)

    def broken(*_: Any) -> Any:
        raise ConnectionError("gone")

    few = lab.under(rows_per_write=2)
    with monkeypatch.context() as patch:
        patch.setattr(type(lab.pipeline.queries), "write_results", broken)
        with pytest.raises(ConnectionError, match="gone"):
            few.ingest()
    assert lab.ingest().rows.completed == 4, "its lease was given up"
    assert lab.times_billed(ids) == [1] * 4
