"""What a database does that may be a copy: nothing, until the server's lists have decided.

Which real servers and copies look so is in `test_copies` and `test_fail_over`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch_assets.domain.errors import BatchAssetsError, SubmissionHeldError
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.controls.cancel import cancel_batch
from batch_assets.stages.orphans import find_orphans
from batch_assets_tests.stages.support import API_KEY, AT_ONCE, Lab, call_rule, refusal
from batch_assets_tests.stages.test_absence import OTHER_KEY
from batch_assets_tests.stages.test_copies_at_work import (
    CountedApi,
    of_others,
    run_of,
    unknown_batch,
)
from batch_assets_tests.stages.test_orphans import upload
from batch_assets_tests.stages.test_recover import lost_create

FILES_ARE_NOT_LISTED = call_rule("files.list", refusal(405))
ANOTHER = "UPDATE batch_assets.installation SET incarnation = 'another'"


def copied(lab: Lab) -> Lab:
    """The first run of a database that was copied, promoted or started anew."""
    lab.desk.do(ANOTHER)
    return run_of(lab)


def held_because(lab: Lab) -> str:
    return str(lab.pipeline.registry.installation().hold_reason)


def test_where_everything_is_known_work_goes_on_unasked(lab: Lab) -> None:
    _, ids = lab.company(2)
    lab.submit()
    later = copied(lab)
    assert later.read_to_the_end().finalized == 1
    lab.company(1)
    assert later.submit().batches == 1
    assert later.bucket_counts() == {"complete": 2, "in_batch": 1}
    assert not lab.pipeline.registry.installation().is_doubted
    assert lab.times_billed(ids) == [1, 1]


def test_the_lists_are_asked_once_for_each_incarnation(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    with CountedApi(lab.server.base_url) as api:
        first = copied(lab).using(api)
        first.recover()
        assert api.pages == [], "nothing is to be done: an idle run asks nothing"
        first.poll_to_the_end()
        api.pages.clear()
        assert first.ingest().finalized == 1
        assert api.pages == [None]
        lab.company(1)
        again = run_of(lab).using(api)
        api.pages.clear()
        assert again.ingest().finalized == 0
        assert api.pages == []


def test_another_host_on_the_same_database_raises_no_doubt(lab: Lab, tmp_path: Path) -> None:
    lab.company(1)
    lab.submit()
    there = run_of(lab)
    there = replace(
        there, pipeline=replace(there.pipeline, owner="pod-7:1", spool_dir=tmp_path / "pod-7")
    )
    for one in (lab, there, run_of(lab), there):
        assert not one.pipeline.read_snapshot().installation.is_doubted
    assert there.read_to_the_end().finalized == 1


@pytest.mark.parametrize("is_file_only", [False, True])
def test_what_is_not_known_holds_before_anything_is_submitted_read_or_deleted(
    lab: Lab, *, is_file_only: bool
) -> None:
    lab.company(2)
    lab.submit()
    lab.read_to_the_end()
    lost_create(lab)
    company, ids = lab.company(1)
    lab.submit()
    lab.poll_to_the_end()
    lab.more(company, 1)
    if is_file_only:
        name = f"batch-assets_{lab.desk.holder.installation_id}_made-elsewhere.jsonl"
        upload(lab, name, "request-1")
    else:
        unknown_batch(lab)
    before = lab.bucket_counts(), lab.all_file_ids(), len(lab.remote_batches())
    stages: list[Callable[[Lab], object]] = [
        lambda one: one.ingest(),
        lambda one: one.clean(),
        lambda one: one.recover(),
        lambda one: one.read_abandoned(whenever=True),
        lambda one: find_orphans(one.pipeline, one.pipeline.read_snapshot()),
    ]
    for stage in stages:
        lab.desk.do("DELETE FROM batch_assets.unknown_batch")
        stage(copied(lab))
    lab.desk.do("DELETE FROM batch_assets.unknown_batch")
    with pytest.raises(SubmissionHeldError, match="confirm --copy"):
        copied(lab).submit()
    assert (lab.bucket_counts(), lab.all_file_ids(), len(lab.remote_batches())) == before
    assert lab.times_billed(ids) == [1]
    lab.pipeline.registry.make_home("me", as_copy=False)
    later = run_of(lab)
    assert later.ingest().finalized >= 1
    assert later.submit().batches == 1


def test_one_list_without_metadata_and_names_cannot_tell(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    lab.read_to_the_end()
    _, ids = lab.company(1)
    without: dict[str, Any] = {"null_batch_fields": ["metadata"], **of_others(1)}
    lab.configure(quirks=without, calls=[FILES_ARE_NOT_LISTED])
    with pytest.raises(SubmissionHeldError, match="nothing says who has made them"):
        copied(lab).submit()
    with pytest.raises(SubmissionHeldError):
        run_of(lab).submit()
    lab.pipeline.registry.make_home("me", as_copy=False)
    assert run_of(lab).submit().requests == 1
    lab.finish()
    assert lab.times_billed(ids) == [1]


@pytest.mark.parametrize(
    ("quirks", "calls"),
    [
        (of_others(3), [FILES_ARE_NOT_LISTED]),
        ({"null_batch_fields": ["metadata"]}, []),
    ],
    ids=["metadata", "names"],
)
def test_batches_of_other_people_are_told_from_ours(
    lab: Lab, quirks: dict[str, Any], calls: list[dict[str, Any]]
) -> None:
    lab.company(1)
    lab.submit()
    lab.company(1)
    lab.configure(quirks=quirks, calls=calls)
    assert copied(lab).submit().batches == 1


def test_another_projects_key_cannot_tell_and_the_right_one_can(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    lab.company(1)
    lab.configure(keys={"of_another_project": [OTHER_KEY]})
    with (
        BatchApi(OTHER_KEY, lab.server.base_url, timeouts=Timeouts(read=10)) as api,
        pytest.raises(SubmissionHeldError, match="OPENAI_API_KEY"),
    ):
        copied(lab).using(api).submit()
    assert "OPENAI_API_KEY" in held_because(lab)
    assert run_of(lab).submit().batches == 1, "each run looks again"
    assert held_because(lab) == "None"


def test_a_list_that_cannot_be_read_is_asked_again_by_the_next_run(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.company(1)
    lab.configure(calls=[call_rule("batches.list", refusal(500, headers=AT_ONCE))])
    with pytest.raises(SubmissionHeldError, match="could not be read"):
        copied(lab).submit()
    assert "Whether another database like this one is at work is not known" in caplog.text
    lab.configure()
    assert run_of(lab).submit().batches == 1


def test_what_a_copy_may_have_been_left_to_read_stays_for_an_hour(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    later = copied(lab)
    later.read_to_the_end()
    lab.company(1)
    later.submit()
    later.read_to_the_end()
    shared, own = lab.batches()
    assert run_of(lab).clean() == 1
    assert lab.desk.batch(shared).files_deleted_at is None
    assert lab.desk.batch(own).files_deleted_at is not None
    assert not run_of(lab).pipeline.read_snapshot().has_leftovers, "nobody looks for an hour"
    lab.desk.do("UPDATE batch_assets.batch SET finalized_at = finalized_at - interval '61 minutes'")
    assert run_of(lab).clean() == 1


def test_no_batch_is_cancelled_before_a_run_has_looked(lab: Lab) -> None:
    lab.company(1)
    lab.configure(timing={"hold_after_rows": 0})
    lab.submit()
    (batch_id,) = lab.batches()
    lab.desk.do(ANOTHER)
    registry, api = lab.pipeline.registry, lab.pipeline.api
    with pytest.raises(BatchAssetsError, match="try again after the next run"):
        cancel_batch(registry, api, batch_id, dry_run=False)
    copied(lab).recover()
    lab.company(1)
    copied(lab).submit()
    assert cancel_batch(registry, api, batch_id, dry_run=False).server_status == "cancelling"


class TwinApi(BatchApi):
    """The real client of a database whose copy uploads at the very same moment."""

    twin: Lab
    is_met: bool = False

    def upload(self, path: Path, name: str) -> str:
        if not self.is_met:
            self.is_met = True
            theirs = f"batch-assets_{self.twin.desk.holder.installation_id}_twin.jsonl"
            upload(self.twin, theirs, "request-1")
        return super().upload(path, name)


def test_of_two_that_submit_at_the_same_moment_one_sees_the_other_before_it_pays(lab: Lab) -> None:
    _, ids = lab.company(2)
    with TwinApi(API_KEY, lab.server.base_url, timeouts=Timeouts(read=10)) as api:
        api.twin = lab
        with pytest.raises(SubmissionHeldError, match="confirm --copy"):
            lab.using(api).submit()
    assert lab.remote_batches() == []
    assert [one.name.endswith("_twin.jsonl") for one in lab.remote_files()] == [True]
    assert lab.bucket_counts() == {"waiting": 2}
    lab.pipeline.registry.make_home("me", as_copy=False)
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]
