"""Polling: the server's word is kept; a call that fails changes nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.records import RemoteBatch
from batch_assets.openai_batch import objects
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages import poll
from batch_assets.stages.controls.cancel import find_batch
from batch_assets.stages.pipeline import Budget
from batch_assets.stages.poll import check_statuses
from batch_assets.store.lookups import Lookups
from batch_assets_tests.stages.support import API_KEY, AT_ONCE, Lab, call_rule, refusal, wait_until

HELD = {"hold_after_rows": 0}


def remote_status(lab: Lab, status: str) -> None:
    """Wait for all batches of ours to have a status on the server."""
    wait_until(lambda: {one.status for one in lab.remote_batches()} == {status})


def test_nothing_in_flight_asks_nothing(lab: Lab) -> None:
    lab.configure(calls=[call_rule("*", refusal(500))])
    report = lab.poll()
    assert (report.in_flight, report.ended, report.changed, report.unseen) == (0, 0, 0, 0)


@pytest.mark.parametrize("batches", [2, 6], ids=["one by one", "by the list"])
def test_every_batch_is_followed_to_its_end(lab: Lab, batches: int) -> None:
    lab.configure(timing=HELD)
    for _ in range(batches):
        lab.company(1)
    lab.submit()
    remote_status(lab, "in_progress")
    report = lab.poll()
    assert (report.in_flight, report.ended, report.changed) == (batches, 0, batches)
    again = lab.poll()
    assert (again.in_flight, again.changed) == (batches, 0)
    lab.configure()
    remote_status(lab, "completed")
    done = lab.poll()
    assert (done.in_flight, done.ended, done.unseen) == (0, batches, 0)
    assert len(lab.batches("ended")) == batches


def test_many_batches_are_asked_for_by_the_list_alone(lab: Lab) -> None:
    for _ in range(6):
        lab.company(1)
    lab.submit()
    remote_status(lab, "completed")
    lab.configure(calls=[call_rule("batches.retrieve", refusal(500, headers=AT_ONCE))])
    assert lab.poll().ended == 6


def test_what_the_list_does_not_show_yet_is_asked_for_alone(lab: Lab) -> None:
    for _ in range(6):
        lab.company(1)
    lab.submit()
    remote_status(lab, "completed")
    lab.configure(quirks={"batch_list_lag_seconds": 3_600})
    assert lab.poll().ended == 6


@pytest.mark.parametrize("batches", [1, 5], ids=["one by one", "by the list"])
@pytest.mark.parametrize("status", [429, 500, 503, 400])
def test_a_failed_call_changes_nothing_about_a_batch(lab: Lab, batches: int, status: int) -> None:
    for _ in range(batches):
        lab.company(1)
    lab.submit()
    failing = refusal(status, headers=AT_ONCE)
    lab.configure(
        calls=[call_rule("batches.retrieve", failing), call_rule("batches.list", failing)]
    )
    before = lab.desk.everything()
    with pytest.raises(ApiError):
        lab.poll()
    assert lab.desk.everything() == before
    lab.configure()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": batches}


@pytest.mark.parametrize("batches", [1, 5], ids=["one by one", "by the list"])
def test_a_batch_that_the_server_does_not_know_keeps_no_other_from_its_end(
    lab: Lab, batches: int
) -> None:
    lab.company(1)
    lab.submit()
    (unknown,) = lab.batches("submitted")
    lab.desk.do("UPDATE batch_assets.batch SET openai_batch_id = 'batch_of_another_key'")
    before = lab.desk.everything()
    report = lab.poll()
    assert (report.in_flight, report.unseen) == (1, 1)
    assert lab.desk.everything() == before
    for _ in range(batches):
        lab.company(1)
    lab.submit()
    wait_until(lambda: lab.poll().in_flight == 1)
    assert len(lab.batches("ended")) == batches
    assert lab.batches("submitted") == [unknown]


def test_a_listing_that_breaks_off_keeps_what_it_showed(lab: Lab) -> None:
    for _ in range(3):
        lab.company(1)
    lab.submit()
    remote_status(lab, "completed")
    lab.configure(calls=[call_rule("batches.retrieve", refusal(400, headers=AT_ONCE), after=1)])
    report = lab.poll()
    assert (report.ended, report.unseen, report.in_flight) == (1, 2, 2)
    assert len(lab.batches("ended")) == 1


@pytest.mark.parametrize("batches", [2, 5])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_account_is_raised_with_nothing_changed(
    lab: Lab, batches: int, status: int
) -> None:
    for _ in range(batches):
        lab.company(1)
    lab.submit()
    lab.configure(calls=[call_rule("*", refusal(status))])
    before = lab.desk.everything()
    with pytest.raises(ApiError) as refused:
        lab.poll()
    assert refused.value.failure.kind is FailureKind.ACCOUNT
    assert lab.desk.everything() == before


def test_a_connection_that_is_dropped_changes_nothing(lab: Lab) -> None:
    lab.company(1)
    lab.submit()
    lab.configure(calls=[call_rule("*", {"kind": "drop"})])
    before = lab.desk.everything()
    with pytest.raises(ApiError):
        lab.poll()
    assert lab.desk.everything() == before


@pytest.mark.parametrize(
    ("ending", "after_rows"), [("expired", 0), ("expired", 1), ("cancelled", 1), ("failed", 0)]
)
def test_other_ends_are_ends(lab: Lab, ending: str, after_rows: int) -> None:
    lab.company(2)
    lab.configure(batches=[{"end_as": ending, "after_rows": after_rows}])
    lab.submit()
    assert lab.poll_to_the_end().ended == 1
    (batch_id,) = lab.batches("ended")
    assert lab.desk.batch(batch_id).server_status == ending
    assert lab.desk.livedash_batch(batch_id).status == "UPLOADING", "its rows are still in it"


def test_a_batch_that_validation_refused_is_rested_for_when_there_was_no_room(lab: Lab) -> None:
    lab.company(2)
    lab.configure(limits={"enqueued_tokens": {"gpt-4o-mini": 10}})
    lab.submit()
    lab.poll_to_the_end()
    (batch_id,) = lab.batches("ended")
    assert lab.desk.batch(batch_id).server_errors == ["token_limit_exceeded"]
    pauses = lab.desk.column_pairs("SELECT model, reason FROM batch_assets.model_cooldown")
    assert pauses == [("gpt-4o-mini", "token_limit_exceeded")]
    read = lab.ingest()
    assert (read.finalized, read.rows.returned, read.rows.retry) == (1, 2, 0)
    assert lab.bucket_counts() == {"waiting": 2}
    assert lab.submit().requests == 0


@pytest.mark.parametrize("batches", [1, 5], ids=["one by one", "by the list"])
def test_what_nobody_can_read_touches_its_own_batch_only(lab: Lab, batches: int) -> None:
    for _ in range(batches):
        lab.company(1)
    lab.configure(timing=HELD, quirks={"rename_status": {"in_progress": "in\x00progress"}})
    lab.submit()
    wait_until(lambda: lab.poll().unseen == batches)
    report = lab.poll()
    assert (report.in_flight, report.unseen, report.unknown) == (batches, batches, 0)
    lab.configure()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": batches}


@pytest.mark.parametrize("word", ["lost", "abandoned", "finalized"])
def test_a_word_of_ours_in_the_servers_mouth_ends_and_loses_nothing(lab: Lab, word: str) -> None:
    lab.company(1)
    lab.configure(quirks={"rename_status": {"completed": word}})
    lab.submit()
    remote_status(lab, word)
    assert lab.poll().in_flight == 1
    assert lab.ingest().finalized == 0
    (batch_id,) = lab.batches("submitted")
    found = find_batch(Lookups(lab.desk.engine), batch_id)
    assert (found.server_status, found.abandoned_at) == (word, None)
    lab.configure()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 1}


def test_a_word_that_nobody_knows_means_that_it_still_runs(lab: Lab) -> None:
    lab.company(1)
    lab.configure(quirks={"rename_status": {"completed": "hibernating"}})
    lab.submit()
    remote_status(lab, "hibernating")
    assert lab.poll().in_flight == 1
    (batch_id,) = lab.batches("submitted")
    assert lab.desk.batch(batch_id).server_status == "hibernating"
    assert lab.desk.livedash_batch(batch_id).status == "UPLOADING"
    lab.configure()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 1}


@pytest.mark.parametrize("batches", [1, 5], ids=["one by one", "by the list"])
def test_ended_is_ended_though_its_files_are_not_there_yet(lab: Lab, batches: int) -> None:
    patient = lab.under(reading_grace_seconds=1_800)
    for _ in range(batches):
        lab.company(1)
    lab.configure(quirks={"output_file_lag_seconds": 3_600})
    lab.submit()
    remote_status(lab, "completed")
    assert patient.poll().ended == batches
    for batch_id in lab.batches("ended"):
        assert lab.desk.livedash_batch(batch_id).status == "UPLOADING"
    patient.ingest()
    assert len(lab.batches("ended")) == batches, "whoever reads them waits for the files"
    lab.configure()
    patient.ingest()
    assert lab.bucket_counts() == {"complete": batches}


def test_empty_file_ids_and_missing_fields_are_understood(lab: Lab) -> None:
    lab.company(1)
    quirks: dict[str, Any] = {
        "empty_string_file_ids": True,
        "empty_error_file": True,
        "omit_batch_fields": ["request_counts", "usage", "model", "errors", "expires_at"],
    }
    lab.configure(quirks=quirks)
    lab.submit()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 1}


def test_polling_ends_when_its_time_is_up(lab: Lab) -> None:
    for _ in range(3):
        lab.company(1)
    lab.submit()
    remote_status(lab, "completed")
    with Listing(lab) as api:
        pipeline = lab.using(api).pipeline
        # Each call takes a second of this clock.
        brief = Budget(seconds=1, rows=1, clock=lambda: float(len(api.retrieved)))
        report, _ = check_statuses(pipeline, pipeline.read_snapshot(), brief)
    assert (report.ended, report.unseen, len(api.retrieved)) == (1, 2, 1)


class Listing(BatchApi):
    """The same server, with a list of its own: what it says of each batch."""

    def __init__(self, lab: Lab, **said: Any) -> None:
        super().__init__(API_KEY, lab.server.base_url)
        self.said = said
        self.retrieved: list[str] = []

    def list_batches(self, *, created_after: datetime | None = None) -> Iterator[RemoteBatch]:
        for batch in super().list_batches(created_after=created_after):
            yield replace(batch, **self.said)

    def retrieve(self, batch_id: str) -> RemoteBatch:
        self.retrieved.append(batch_id)
        return super().retrieve(batch_id)


def five(lab: Lab) -> None:
    """Five batches in flight, so that a page of the list is asked for."""
    for _ in range(5):
        lab.company(1)
    lab.submit()


def unchanged_for(lab: Lab, minutes: int) -> None:
    lab.desk.do(
        "UPDATE batch_assets.batch AS b"
        " SET server_status_since = b.server_status_since - make_interval(mins => :minutes),"
        " retrieved_at = b.retrieved_at - make_interval(mins => :minutes)",
        minutes=minutes,
    )


def test_ids_that_only_a_single_call_shows_are_asked_for(lab: Lab) -> None:
    five(lab)
    remote_status(lab, "completed")
    with Listing(lab, output_file_id=None, completed=0) as api:
        assert lab.using(api).poll().ended == 5
        assert len(api.retrieved) == 5
    assert all(lab.desk.batch(one).output_file_id for one in lab.batches("ended"))
    lab.ingest()
    assert lab.bucket_counts() == {"complete": 5}


def test_an_end_without_its_files_is_not_believed_while_nobody_can_be_asked(lab: Lab) -> None:
    five(lab)
    remote_status(lab, "completed")
    lab.configure(calls=[call_rule("batches.retrieve", refusal(500, headers=AT_ONCE))])
    with Listing(lab, output_file_id=None) as api, pytest.raises(ApiError):
        lab.using(api).poll()
    assert len(lab.batches("submitted")) == 5
    lab.configure(calls=[call_rule("batches.retrieve", refusal(404))])
    with Listing(lab, output_file_id=None) as api:
        assert lab.using(api).poll().ended == 5, "the list alone knows them"


def test_what_moves_only_when_it_is_asked_for_alone_is_asked_for_now_and_then(lab: Lab) -> None:
    five(lab)
    remote_status(lab, "completed")
    with Listing(lab, status="in_progress", output_file_id=None) as api:
        stale = lab.using(api)
        assert (stale.poll().ended, api.retrieved) == (0, [])
        unchanged_for(lab, 9)
        assert (stale.poll().ended, api.retrieved) == (0, [])
        unchanged_for(lab, 2)
        assert (stale.poll().ended, len(api.retrieved)) == (5, 5)


def test_the_pauses_between_looks_grow_and_an_idle_poll_writes_nothing(lab: Lab) -> None:
    lab.configure(timing=HELD)
    five(lab)
    remote_status(lab, "in_progress")
    with Listing(lab) as api:
        asker = lab.using(api)
        asker.poll()
        unchanged_for(lab, 5)
        looked_after = []
        for minutes in range(15, 400, 10):
            unchanged_for(lab, 10)
            api.retrieved.clear()
            asker.poll()
            looked_after += [minutes] * (len(api.retrieved) // 5)
            before = lab.desk.everything()
            asker.poll()
            assert lab.desk.everything() == before
        assert looked_after == [15, 35, 75, 155, 275, 395]


def test_looks_of_one_run_are_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "_LOOKS_A_RUN", 2)
    lab.configure(timing=HELD)
    five(lab)
    remote_status(lab, "in_progress")
    with Listing(lab) as api:
        lab.using(api).poll()
        unchanged_for(lab, 15)
        for looked in (2, 4, 5, 5):
            lab.using(api).poll()
            assert len(set(api.retrieved)) == len(api.retrieved) == looked


@pytest.mark.parametrize("status", [500, 404, 405])
def test_single_calls_do_where_the_list_fails(lab: Lab, status: int) -> None:
    five(lab)
    remote_status(lab, "completed")
    lab.configure(calls=[call_rule("batches.list", refusal(status, headers=AT_ONCE))])
    assert lab.poll().ended == 5


def test_single_calls_do_where_the_list_has_another_order(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    five(lab)
    remote_status(lab, "completed")
    items = objects.items
    monkeypatch.setattr(objects, "items", lambda data: items(data)[::-1])
    lab.desk.do(
        "UPDATE batch_assets.batch AS b SET submitted_at = clock_timestamp() + interval '1 hour'"
    )
    assert lab.poll().ended == 5


class Failing(Listing):
    """It lists one batch alone, and fails at the first ones that it is asked for."""

    at: tuple[str, ...] = ()

    def list_batches(self, *, created_after: datetime | None = None) -> Iterator[RemoteBatch]:
        yield next(super().list_batches(created_after=created_after))

    def retrieve(self, batch_id: str) -> RemoteBatch:
        self.at = (*self.at, batch_id)[:4]
        if batch_id not in self.at[:3]:
            return super().retrieve(batch_id)
        raise ApiError("retrieve_batch", Failure(FailureKind.TRANSIENT, "http_500", "it failed"))


def test_batches_that_a_gateway_fails_at_keep_no_other_from_being_asked_for(lab: Lab) -> None:
    """LiteLLM without its database answers 500 to a batch that the server behind it lacks."""
    five(lab)
    remote_status(lab, "completed")
    with Failing(lab) as api:
        assert lab.using(api).poll().ended == 1
        assert lab.using(api).poll().ended == 1
        assert len(lab.batches("submitted")) == 3


def test_a_server_that_is_not_well_is_soon_left_alone(lab: Lab) -> None:
    five(lab)
    lab.configure(
        calls=[
            call_rule("batches.list", refusal(400)),
            call_rule("batches.retrieve", refusal(400)),
        ]
    )
    with Listing(lab) as api:
        with pytest.raises(ApiError):
            lab.using(api).poll()
        assert len(api.retrieved) == 3
