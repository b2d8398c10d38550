"""Retrying what failed, and deleting what is no longer needed."""

from datetime import timedelta

import pytest

from batch_assets.stages.pipeline import Budget
from batch_assets.stages.retry import requeue_due
from batch_assets_tests.factories import make_company, make_external_batch, make_requests
from batch_assets_tests.stages.support import AT_ONCE, Lab, call_rule, refusal


def failed(lab: Lab, count: int) -> list[str]:
    _, ids = lab.company(count)
    lab.configure(rows=[{"effect": {"kind": "http_error", "status": 500}}])
    lab.submit()
    lab.read_to_the_end()
    lab.configure()
    return ids


def test_what_is_due_waits_again_and_goes_with_the_next_batch(lab: Lab) -> None:
    ids = failed(lab, 3)
    assert lab.retry().requeued == 3
    assert lab.bucket_counts() == {"waiting": 3}
    lab.submit()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 3}
    assert lab.times_billed(ids) == [1, 1, 1]


def test_what_is_not_due_stays(lab: Lab) -> None:
    failed(lab.under(retry_base_seconds=60), 2)
    assert lab.retry().requeued == 0
    assert lab.bucket_counts() == {"retry": 2}


def test_everything_that_is_due_is_requeued_in_steps(lab: Lab) -> None:
    failed(lab, 7)
    assert lab.under(rows_per_write=3).retry().requeued == 7


def test_a_budget_bounds_the_rows_and_the_time(lab: Lab) -> None:
    failed(lab, 5)
    seen = lab.pipeline.read_snapshot()
    assert requeue_due(lab.pipeline, seen, Budget(seconds=60, rows=2)).requeued == 2
    assert requeue_due(lab.pipeline, seen, Budget(seconds=0, rows=100)).requeued == 0
    assert requeue_due(lab.pipeline, seen, Budget(seconds=60, rows=100)).requeued == 3


def test_what_livedash_moved_does_not_end_the_requeueing_early(lab: Lab) -> None:
    ids = failed(lab, 6)
    order = lab.desk.column(
        "SELECT request_id FROM batch_assets.retry ORDER BY retry_at, request_id"
    )
    assert sorted(order) == sorted(ids)
    lab.desk.do('DELETE FROM public."AIProcessingRequest" WHERE id = :id', id=order[0])
    assert lab.under(rows_per_write=2).retry().requeued == 5


@pytest.mark.parametrize("count", [0, 3])
def test_all_files_of_settled_batches_are_deleted_once(lab: Lab, count: int) -> None:
    lab.company(2)
    lab.configure(rows=[{"lines": [1], "effect": {"kind": "http_error", "status": 500}}])
    lab.submit()
    lab.read_to_the_end()
    (batch_id,) = lab.batches("finalized")
    row = lab.desk.batch(batch_id)
    files = {row.input_file_id, row.output_file_id, row.error_file_id}
    assert len(files) == 3
    assert None not in files
    assert lab.clean() == 1
    assert not any(lab.pipeline.api.delete_file(file_id) for file_id in files)
    assert lab.clean() == 0
    assert lab.desk.batch(batch_id).files_deleted_at is not None


def test_files_that_are_gone_already_are_as_good_as_deleted(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    lab.read_to_the_end()
    (batch_id,) = lab.batches("finalized")
    lab.pipeline.api.delete_file(lab.desk.batch(batch_id).output_file_id)
    assert lab.clean() == 1


def test_what_cannot_be_deleted_now_is_deleted_later(lab: Lab) -> None:
    lab.company(1)
    lab.company(1)
    lab.submit()
    lab.read_to_the_end()
    failing = refusal(500, headers=AT_ONCE)
    lab.configure(calls=[call_rule("files.delete", failing, count=3)])
    assert lab.clean() == 1
    assert lab.clean() == 1
    assert lab.remote_files() == []


def test_nothing_is_deleted_when_the_time_is_up(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    lab.read_to_the_end()
    assert lab.clean(Budget(seconds=0, rows=1)) == 0
    assert len(lab.remote_files()) == 1


def test_nothing_is_deleted_from_a_copy(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    lab.read_to_the_end()
    lab.desk.do("UPDATE batch_assets.installation SET database_name = 'elsewhere'")
    assert lab.clean() == 0
    assert len(lab.remote_files()) == 1
    lab.pipeline.registry.make_home("me", as_copy=True)
    assert lab.clean() == 0


def test_livedashs_files_are_never_deleted(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    lab.poll_to_the_end()
    (remote,) = lab.remote_batches()
    lab.desk.do("DELETE FROM batch_assets.attempt; DELETE FROM batch_assets.batch")
    lab.desk.do('DELETE FROM public."AIProcessingRequest"; DELETE FROM public."AIBatchRequest"')
    with lab.desk.engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 1)
        make_external_batch(
            connection,
            company_id,
            request_ids=ids,
            openai_batch_id=remote.id,
            age=timedelta(hours=1),
        )
    lab.recover()
    lab.read_to_the_end()
    assert lab.clean() == 0
    assert remote.input_file_id in lab.all_file_ids()
