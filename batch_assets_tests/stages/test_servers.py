"""A small job on every server that is known, and on those that turn out to be otherwise."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, get_args

import pytest

from batch_assets.domain.errors import SubmissionHeldError
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.profiles import NAMES, profile_of, versioned
from batch_assets.stages.pipeline import Budget
from batch_assets.stages.remote_ids import metadata_of
from batch_assets_local.batch_server.profiles.played import PLAYED, Server
from batch_assets_tests.stages.support import API_KEY, Lab, call_rule, refusal, wait_until

WEEK = 7 * 86_400
SERVERS = get_args(Server)
FILES_OF_BATCHES: tuple[Server, ...] = (
    "openai",
    "azure",
    "azure-dated",
    "dashscope",
    "groq",
    "together",
    "compatible",
)


@contextmanager
def playing(lab: Lab, name: Server, **parts: Any) -> Iterator[Lab]:
    """The lab with a server that plays this one, and a client that has its profile."""
    lab.configure(plays=name, **parts)
    url = lab.server.base_url.removesuffix("/v1") + PLAYED[name].path
    profile = profile_of(url, name)
    if profile.is_dated:
        url = versioned(url, "2024-10-21")
    expires = lab.pipeline.policy.output_expires_seconds
    with BatchApi(API_KEY, url, profile=profile, input_expires_seconds=expires) as api:
        bound = profile.bound(lab.pipeline.policy)
        yield replace(lab, pipeline=replace(lab.pipeline, api=api, policy=bound))


def test_every_profile_can_be_played() -> None:
    assert set(SERVERS) == set(NAMES)


@pytest.mark.parametrize("name", FILES_OF_BATCHES)
def test_a_small_job_is_billed_once_and_analysed(lab: Lab, name: Server) -> None:
    _, ids = lab.company(3)
    quick = {"quirks": {"file_processing_seconds": 0.3}} if name.startswith("azure") else {}
    with playing(lab, name, **quick) as there:
        assert there.submit().requests == 3
        there.read_to_the_end()
        assert there.bucket_counts() == {"complete": 3}
        assert there.times_billed(ids) == [1, 1, 1]
        assert there.clean() == 1


@pytest.mark.parametrize("name", FILES_OF_BATCHES)
def test_a_lost_answer_to_a_creation_is_looked_up_and_not_bought_again(
    lab: Lab, name: Server
) -> None:
    _, ids = lab.company(2)
    lost = call_rule("batches.create", {"kind": "drop", "work": "done"}, count=1)
    quick = slowly(0) if name.startswith("azure") else {}
    with playing(lab, name, calls=[lost], **quick) as there:
        assert there.submit().unresolved == 1
        wait_until(lambda: there.recover().adopted == 1)
        there.read_to_the_end()
        assert there.bucket_counts() == {"complete": 2}
        assert there.times_billed(ids) == [1, 1]


@pytest.mark.parametrize(
    "names",
    [
        ("output_expires_after",),
        ("metadata", "output_expires_after"),
        ("expires_after",),
        ("expires_after", "metadata", "output_expires_after"),
    ],
)
def test_a_creation_that_is_refused_for_what_it_can_do_without(
    lab: Lab, names: tuple[str, ...]
) -> None:
    _, ids = lab.company(2)
    with playing(lab, "compatible", quirks={"unknown_parameters": names}) as there:
        report = there.submit()
        assert (report.batches, report.released, report.unresolved) == (1, 0, 0)
        there.read_to_the_end()
        assert there.bucket_counts() == {"complete": 2}
        assert there.times_billed(ids) == [1, 1]


def test_what_is_refused_for_good_is_not_tried_again(lab: Lab) -> None:
    _, ids = lab.company(1)
    rule = call_rule("batches.create", refusal(400, "invalid_value"))
    with playing(lab, "compatible", calls=[rule]) as there:
        assert there.submit().released == 1
        assert there.bucket_counts() == {"waiting": 1}
        assert there.times_billed(ids) == [0]


def test_a_server_that_takes_no_batches_of_files_is_sent_none(lab: Lab) -> None:
    _, ids = lab.company(2)
    with playing(lab, "openrouter") as there:
        with pytest.raises(SubmissionHeldError, match="not in a file that is uploaded"):
            there.submit()
        assert there.bucket_counts() == {"waiting": 2}
        assert there.batches() == []
        assert there.times_billed(ids) == [0, 0]


def test_files_that_no_server_deletes_are_tried_once(lab: Lab) -> None:
    lab.company(1)
    rule = call_rule("files.delete", refusal(405))
    with playing(lab, "compatible", calls=[rule]) as there:
        there.submit()
        there.read_to_the_end()
        assert there.clean() == 1
        assert there.clean() == 0


def slowly(seconds: float) -> dict[str, Any]:
    """The server processes each file for so long."""
    return {"quirks": {"file_processing_seconds": seconds}}


def uploads(there: Lab) -> int:
    """How many of our input files the server has, or had."""
    query = "SELECT count(DISTINCT input_file_id) FROM batch_assets.batch"
    return int(there.desk.column(query)[0])


def test_a_file_that_is_processed_in_time_is_waited_for(lab: Lab) -> None:
    _, ids = lab.company(2)
    with playing(lab, "azure", **slowly(0.6)) as there:
        report = there.submit()
        assert (report.batches, report.put_off, report.released) == (1, 0, 0)
        there.read_to_the_end()
        assert there.times_billed(ids) == [1, 1]


@pytest.mark.parametrize("name", ["azure", "compatible"])
def test_a_file_that_takes_longer_is_gone_on_with_by_a_later_run(lab: Lab, name: Server) -> None:
    _, ids = lab.company(2)
    with playing(lab, name, **slowly(100)) as there:
        hasty = there.under(file_wait_seconds=0)
        report = hasty.submit()
        assert (report.batches, report.put_off, report.released, report.unresolved) == (0, 1, 0, 0)
        (batch_id,) = there.batches("uploaded")
        assert there.desk.batch(batch_id).lease_owner is None
        # Neither recovery nor another run touches it meanwhile, and nothing is uploaded again.
        assert hasty.recover().taken_over == 0
        assert hasty.submit().put_off == 1
        assert there.bucket_counts() == {"in_batch": 2}
        there.configure(plays=name, **slowly(0))
        assert hasty.submit().batches == 1
        there.read_to_the_end()
        assert there.bucket_counts() == {"complete": 2}
        assert there.times_billed(ids) == [1, 1]
        assert there.batches() == [batch_id]
        assert uploads(there) == 1


def test_the_span_is_for_all_files_of_a_wave(lab: Lab) -> None:
    for _ in range(3):
        lab.company(1)
    with playing(lab, "azure", **slowly(100)) as there:
        begun = time.monotonic()
        assert there.under(file_wait_seconds=0.5).submit().put_off == 3
        assert time.monotonic() - begun < 5


def test_a_run_whose_time_is_up_puts_off_what_is_not_processed(lab: Lab) -> None:
    lab.company(1)
    with playing(lab, "azure", **slowly(100)) as there:
        report = there.submit(Budget(seconds=1, rows=1_000))
        assert (report.put_off, report.released) == (1, 0)


def test_a_file_that_is_never_processed_is_given_up(lab: Lab) -> None:
    _, ids = lab.company(2)
    with playing(lab, "azure", **slowly(1_000)) as there:
        hasty = there.under(file_wait_seconds=0)
        assert hasty.submit().put_off == 1
        there.desk.do(
            "UPDATE batch_assets.batch SET file_pending_since = file_pending_since"
            " - interval '2 hours'"
        )
        report = hasty.submit()
        assert (report.released, report.put_off, report.batches) == (1, 0, 0)
        assert there.bucket_counts() == {"waiting": 2}
        (rest,) = there.desk.column("SELECT reason FROM batch_assets.model_cooldown")
        assert rest == "file_failed"
        assert there.remote_files() == []
        assert hasty.submit().requests == 0, "the model is in cooldown"
        assert there.times_billed(ids) == [0, 0]


def test_a_run_that_dies_after_it_took_a_batch_up_leaves_it_to_be_looked_up(lab: Lab) -> None:
    _, ids = lab.company(2)
    with playing(lab, "azure", **slowly(100)) as there:
        hasty = there.under(file_wait_seconds=0)
        hasty.submit()
        holder = there.pipeline.holder(there.desk.holder.installation_id)
        (taken,) = there.pipeline.pending_files.take(holder, 10)
        assert there.pipeline.pending_files.take(holder, 10) == []
        there.configure(plays="azure", **slowly(0))
        # Created, and killed before that was recorded.
        there.pipeline.api.create_batch(
            taken.input_file_id,
            metadata_of(there.desk.holder.installation_id, taken.batch.id),
            WEEK,
        )
        there.desk.do("UPDATE batch_assets.batch SET lease_expires_at = clock_timestamp()")
        assert there.recover().adopted == 1
        there.read_to_the_end()
        assert there.times_billed(ids) == [1, 1]


def test_whoever_lost_its_lease_puts_nothing_off(lab: Lab) -> None:
    lab.company(1)
    with playing(lab, "azure", **slowly(100)) as there:
        hasty = there.under(file_wait_seconds=0)
        hasty.submit()
        holder = there.pipeline.holder(there.desk.holder.installation_id)
        (taken,) = there.pipeline.pending_files.take(holder, 10)
        there.desk.do("UPDATE batch_assets.batch SET fence = fence + 1")
        there.pipeline.pending_files.put_off([(taken.batch.lease, taken.since)])
        (since,) = there.desk.column("SELECT file_pending_since FROM batch_assets.batch")
        assert since is None


def test_an_unknown_server_that_says_pending_only_when_asked_is_understood(lab: Lab) -> None:
    """The answer to the upload says nothing, the creation is refused, and the file is pending."""
    _, ids = lab.company(2)
    with playing(lab, "compatible", **slowly(100)) as there:
        there.pipeline.api._pending = Forgetful()
        assert there.submit().put_off == 1
        there.configure(plays="compatible", **slowly(0))
        assert there.submit().batches == 1
        there.read_to_the_end()
        assert there.times_billed(ids) == [1, 1]


class Forgetful(set[str]):
    """Keeps nothing of what an upload was answered with."""

    def add(self, _: str) -> None:
        pass
