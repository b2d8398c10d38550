"""What proves that the server does not have a batch: lists that show what must be there."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import batch_assets
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.records import RemoteBatch
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.objects import Page
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.remote_ids import account_of_anchor
from batch_assets_tests.stages.support import AT_ONCE, Lab, call_rule, refusal, wait_until
from batch_assets_tests.stages.test_recover import create_remotely, lost_create, lost_upload

LOST: dict[str, Any] = call_rule("batches.create", {"kind": "drop", "work": "never"})
"""The connection is lost before the server has done anything."""
OTHER_KEY = "sk-test-of-another-project"
FOREIGN = (
    {"id": "batch_of_others_1", "object": "batch", "status": "completed", "metadata": None},
    {"id": "batch_of_others_2", "status": "completed", "created_at": "2026-03-12T09:00:00Z"},
)


def _many(count: int) -> list[dict[str, Any]]:
    """Other people's batches, none of which says anything of use."""
    one = {"object": "batch", "status": "completed", "metadata": None, "created_at": None}
    return [one | {"id": f"batch_of_others_{number}"} for number in range(count)]


@pytest.fixture
def elsewhere(lab: Lab) -> Iterator[Lab]:
    """The same with the key of another project."""
    with BatchApi(OTHER_KEY, lab.server.base_url, timeouts=Timeouts(read=10)) as api:
        yield lab.using(api)


def never_created(lab: Lab, count: int = 2) -> tuple[str, list[str]]:
    """A batch whose create never came through; its id and its requests."""
    _, ids = lab.company(count)
    lab.configure(calls=[LOST])
    lab.submit()
    lab.configure()
    (batch_id,) = lab.batches("uploaded")
    return batch_id, ids


def anchors(lab: Lab) -> list[str]:
    """Files on the server that were uploaded only to be seen."""
    ours = lab.desk.holder.installation_id
    return [one.id for one in lab.pipeline.api.list_files() if account_of_anchor(one, ours)]


def finalized(lab: Lab) -> int:
    """How many searches it takes until nothing is unresolved."""
    for number in range(1, 8):
        lab.recover()
        if not lab.batches("uploaded") + lab.batches("claimed"):
            return number
    raise AssertionError("still unresolved")


@pytest.mark.parametrize(
    "quirks",
    [
        {"null_batch_fields": ["metadata"]},
        {"lists": {"oldest_first": True}},
        {"null_batch_fields": ["metadata"], "lists": {"foreign_batches": FOREIGN}},
        {"lists": {"most_files": 50}},
    ],
    ids=["no metadata", "oldest first", "others' items", "small pages"],
)
def test_a_lost_create_is_found_whatever_the_lists_are_like(
    lab: Lab, quirks: dict[str, Any]
) -> None:
    batch_id, ids = lost_create(lab)
    lab.configure(quirks=quirks)
    report = lab.recover()
    assert (report.adopted, report.absent, report.unproved) == (1, 0, 0)
    lab.configure()
    lab.finish()
    assert lab.desk.batch(batch_id).state == "finalized"
    assert lab.times_billed(ids) == [1, 1]


@pytest.mark.parametrize("seconds", [-900, 900])
def test_a_lost_create_is_found_whatever_the_servers_clock_says(lab: Lab, seconds: int) -> None:
    _, ids = lab.company(2)
    timing = {"clock_skew_seconds": seconds}
    done = {"kind": "drop", "work": "done"}
    lab.configure(timing=timing, calls=[call_rule("batches.create", done)])
    lab.submit()
    lab.configure(timing=timing)
    report = lab.recover()
    assert (report.adopted, report.absent) == (1, 0)
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 2}
    assert lab.times_billed(ids) == [1, 1]


def test_a_list_is_read_on_from_run_to_run(lab: Lab) -> None:
    batch_id, ids = lost_create(lab)
    lab.configure(quirks={"lists": {"foreign_batches": _many(450)}})
    bounded = lab.under(pages_per_search=2)
    reports = [bounded.recover() for _ in range(3)]
    assert [report.awaited for report in reports] == [1, 1, 0]
    assert [report.adopted for report in reports] == [0, 0, 1]
    lab.configure()
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]
    assert lab.desk.batch(batch_id).state == "finalized"


def test_an_absence_takes_two_whole_searches_however_many_runs_each_takes(lab: Lab) -> None:
    batch_id, ids = never_created(lab)
    lab.configure(quirks={"lists": {"foreign_batches": _many(250)}})
    bounded = lab.under(pages_per_search=2)
    reports = [bounded.recover() for _ in range(4)]
    assert [report.absent for report in reports] == [0, 1, 0, 0]
    assert [report.awaited for report in reports] == [1, 0, 1, 0]
    assert [report.released for report in reports] == [0, 0, 0, 1]
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]
    assert lab.desk.batch(batch_id).state == "released"


def test_empty_lists_prove_nothing(lab: Lab) -> None:
    batch_id, ids = lost_create(lab)
    lab.configure(quirks={"lists": {"are_empty": True}})
    for _ in range(4):
        report = lab.recover()
        assert (report.unproved, report.absent, report.released) == (1, 0, 0)
    row = lab.desk.batch(batch_id)
    assert (row.state, row.absences, row.lease_owner) == ("uploaded", 0, None)
    lab.submit()
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_another_projects_key_proves_nothing(
    lab: Lab, elsewhere: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id, ids = lost_create(lab)
    keys = {"of_another_project": [OTHER_KEY]}
    lab.configure(keys=keys)
    for _ in range(4):
        report = elsewhere.recover()
        assert (report.unproved, report.released, report.files_deleted) == (1, 0, 0)
    assert "OPENAI_API_KEY or OPENAI_BASE_URL was another one" in caplog.text
    assert anchors(lab) == []
    assert lab.desk.batch(batch_id).absences == 0
    lab.configure()
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_with_another_projects_key_what_was_never_created_is_released(
    lab: Lab, elsewhere: Lab
) -> None:
    _, ids = lost_upload(lab)
    lab.configure(keys={"of_another_project": [OTHER_KEY]})
    assert elsewhere.recover().released == 1
    lab.configure()
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_what_the_other_project_shows_of_ours_proves_nothing_for_the_first(
    lab: Lab, elsewhere: Lab
) -> None:
    """The key was changed with a create lost: what the new project lists is of no help."""
    batch_id, ids = lost_create(lab)
    lab.company(1)
    lab.configure(keys={"of_another_project": [OTHER_KEY]})
    elsewhere.submit()
    for _ in range(4):
        elsewhere.recover()
    assert lab.desk.batch(batch_id).state == "uploaded"
    lab.configure()
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_a_new_key_of_the_same_project_is_known_by_what_it_shows(lab: Lab, elsewhere: Lab) -> None:
    batch_id, ids = never_created(lab)
    before = lab.desk.batch(batch_id).account
    assert elsewhere.recover().absent == 1, "the input file is listed under the new key as well"
    assert lab.desk.batch(batch_id).account != before
    assert finalized(elsewhere) <= 2
    assert anchors(lab) == []
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


@pytest.mark.parametrize("lose", [never_created, lost_upload])
def test_the_very_first_batch_does_not_wait_for_ever(lab: Lab, lose: Any) -> None:
    _, ids = lose(lab)
    assert lab.recover().absent == 1
    assert len(anchors(lab)) == 1
    assert finalized(lab) <= 2
    assert anchors(lab) == []
    lab.configure(calls=[call_rule("*", refusal(500))])
    lab.recover()
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_a_file_that_was_only_to_be_seen_is_deleted_after_a_crash(lab: Lab) -> None:
    """The run that found the batch absent was killed before it deleted the file."""
    never_created(lab)
    lab.configure(calls=[call_rule("files.delete", refusal(400), after=2)])
    assert finalized(lab) == 2
    assert len(anchors(lab)) == 1
    lab.configure()
    lab.recover()
    assert anchors(lab) == []
    lab.configure(calls=[call_rule("*", refusal(500))])
    assert lab.recover().taken_over == 0, "nothing is asked once it is gone"


def test_a_file_to_be_seen_that_cannot_be_uploaded_is_tried_again(lab: Lab) -> None:
    _, ids = never_created(lab)
    refused = call_rule("files.create", refusal(503, headers=AT_ONCE))
    lab.configure(calls=[refused])
    assert [lab.recover().absent, lab.recover().unproved] == [1, 1]
    assert anchors(lab) == []
    lab.configure()
    assert finalized(lab) <= 3
    assert anchors(lab) == []
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


@pytest.mark.parametrize("work", ["never", "done"])
@pytest.mark.parametrize(
    "world",
    [
        {},
        {"calls": [call_rule("files.list", refusal(405))]},
        {"quirks": {"lists": {"ignore_after": True, "foreign_batches": _many(150)}}},
    ],
    ids=["lists that show nothing", "no list of files", "a list that does not end"],
)
def test_what_no_creation_was_called_for_is_released_whatever_the_lists_show(
    lab: Lab, work: str, world: Mapping[str, Any]
) -> None:
    """The first batch ever was cut short before its input file was recorded."""
    _, ids = lab.company(2)
    lab.configure(calls=[call_rule("files.create", {"kind": "drop", "work": work})])
    lab.submit()
    lab.configure(**world)
    assert finalized(lab) <= 2
    lab.configure()
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_a_batch_of_ours_that_is_listed_is_proof_enough(lab: Lab) -> None:
    lab.company(1)
    lab.configure(timing={"hold_after_rows": 0})
    lab.submit()
    _, ids = lab.company(2)
    lab.configure(timing={"hold_after_rows": 0}, calls=[LOST])
    lab.submit()
    lab.configure(timing={"hold_after_rows": 0})
    assert finalized(lab) == 2
    assert anchors(lab) == []
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_a_list_without_a_batch_that_runs_for_long_proves_nothing(lab: Lab) -> None:
    lab.company(1)
    lab.configure(timing={"hold_after_rows": 0})
    lab.submit()
    lab.desk.do("UPDATE batch_assets.batch SET submitted_at = submitted_at - interval '1 hour'")
    never_created(lab)
    lab.configure(timing={"hold_after_rows": 0}, quirks={"batch_list_lag_seconds": 3_600})
    assert [lab.recover().unproved for _ in range(3)] == [1, 1, 1]
    lab.configure(timing={"hold_after_rows": 0})
    assert finalized(lab) == 2


def test_a_server_without_a_list_of_files_is_recovered_by_what_there_is(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    found, ids = lost_create(lab)
    lab.configure(calls=[call_rule("files.list", refusal(405))])
    assert lab.recover().adopted == 1
    lab.read_to_the_end()
    _, more = never_created(lab)
    lab.configure(calls=[call_rule("files.list", refusal(405))])
    assert finalized(lab) == 2, "the first batch is listed"
    lab.finish()
    assert lab.times_billed(ids + more) == [1, 1, 1, 1]
    assert lab.desk.batch(found).state == "finalized"


def test_without_files_and_batches_of_ours_it_is_said_what_is_not_known(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    _, ids = never_created(lab)
    lab.configure(calls=[call_rule("files.list", refusal(405))])
    assert [lab.recover().unproved for _ in range(3)] == [1, 1, 1]
    assert "The server lists no files" in caplog.text
    lab.company(1)
    lab.submit()
    assert finalized(lab) == 2
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_a_server_that_deletes_nothing_is_recovered_and_told_of(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    _, ids = never_created(lab)
    lab.configure(calls=[call_rule("files.delete", refusal(501, headers={"retry-after-ms": "1"}))])
    assert finalized(lab) == 2
    assert "The server deletes no files" in caplog.text
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_a_file_that_cannot_be_deleted_keeps_no_other_batch_waiting(lab: Lab) -> None:
    for _ in range(2):
        lab.company(1)
    lab.configure(calls=[LOST])
    lab.submit()
    lab.configure(calls=[call_rule("files.delete", refusal(400), count=1)])
    with pytest.raises(ApiError):
        lab.recover()
    absences = lab.desk.column("SELECT absences FROM batch_assets.batch ORDER BY absences")
    assert absences == [0, 1]
    assert lab.desk.column("SELECT lease_owner FROM batch_assets.batch") == [None, None]


def test_a_list_that_does_not_end_proves_nothing(lab: Lab) -> None:
    batch_id, ids = never_created(lab)
    lab.configure(quirks={"lists": {"ignore_after": True, "foreign_batches": _many(150)}})
    assert [lab.recover().unproved for _ in range(3)] == [1, 1, 1]
    assert lab.desk.batch(batch_id).absences == 0
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_a_create_that_comes_after_its_file_was_deleted_releases_the_requests(lab: Lab) -> None:
    """It is taken, and fails in validation for want of its file: nobody's rows are to blame."""
    batch_id, ids = never_created(lab)
    row = lab.desk.batch(batch_id)
    assert lab.recover().absent == 1
    lab.configure(timing={"validation_seconds": 1})
    remote = create_remotely(lab, batch_id, row.input_file_id)
    report = lab.recover()
    assert (report.awaited, report.adopted, report.released) == (1, 0, 0)
    lab.configure()
    wait_until(lambda: lab.pipeline.api.retrieve(remote).status == "failed")
    report = lab.recover()
    assert (report.released, report.released_requests, report.adopted) == (1, 2, 0)
    assert lab.bucket_counts() == {"waiting": 2}
    assert lab.desk.value("SELECT count(*) FROM batch_assets.attempt WHERE counted") == 0
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


def test_what_the_list_says_late_of_such_a_create_is_asked_for_alone(lab: Lab) -> None:
    batch_id, _ = never_created(lab)
    row = lab.desk.batch(batch_id)
    assert lab.recover().absent == 1
    remote = create_remotely(lab, batch_id, row.input_file_id)
    wait_until(lambda: lab.pipeline.api.retrieve(remote).status == "failed")
    stale = {"id": remote, "status": "validating", "input_file_id": row.input_file_id}
    lab.configure(quirks={"lists": {"foreign_batches": [stale | {"object": "batch"}]}})
    assert lab.recover().released == 1
    assert lab.bucket_counts() == {"waiting": 2}


def test_such_a_create_that_is_validated_for_ever_goes_on_like_any_other_batch(lab: Lab) -> None:
    """What goes on can be cancelled and given up; what is looked for cannot."""
    batch_id, _ = never_created(lab)
    row = lab.desk.batch(batch_id)
    assert lab.recover().absent == 1
    lab.configure(timing={"validation_seconds": 1_000_000})
    create_remotely(lab, batch_id, row.input_file_id)
    assert (lab.recover().awaited, lab.batches("uploaded")) == (1, [batch_id])
    lab.desk.do("UPDATE batch_assets.batch SET absent_since = absent_since - interval '61 minutes'")
    assert (lab.recover().adopted, lab.batches("submitted")) == (1, [batch_id])


def test_a_search_begins_anew_under_another_key(lab: Lab, elsewhere: Lab) -> None:
    batch_id, _ = lost_create(lab)
    many = {"lists": {"foreign_batches": _many(450)}}
    lab.configure(quirks=many)
    assert lab.under(pages_per_search=2).recover().awaited == 1
    first = lab.desk.value("SELECT began_at FROM batch_assets.search")
    elsewhere.under(pages_per_search=2).recover()
    assert lab.desk.value("SELECT began_at FROM batch_assets.search") > first
    lab.configure()
    assert lab.recover().adopted == 1
    assert lab.desk.batch(batch_id).state == "submitted"


def test_a_search_begins_anew_if_the_server_has_forgotten_its_place(lab: Lab) -> None:
    batch_id, ids = lost_create(lab)
    lab.configure(quirks={"lists": {"foreign_batches": _many(450)}})
    assert lab.under(pages_per_search=2).recover().awaited == 1
    assert lab.desk.value("SELECT after FROM batch_assets.search") is not None
    lab.configure()
    report = lab.recover()
    assert (report.awaited, report.absent, report.released) == (1, 0, 0)
    assert lab.recover().adopted == 1
    lab.finish()
    assert lab.desk.batch(batch_id).state == "finalized"
    assert lab.times_billed(ids) == [1, 1]


def test_a_search_begins_anew_if_a_gateway_fails_at_its_place(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM without its database answers 500 where the server behind it refuses the place."""
    lost_create(lab)
    lab.configure(quirks={"lists": {"foreign_batches": _many(450)}})
    bounded = lab.under(pages_per_search=2)
    assert bounded.recover().awaited == 1
    failure = Failure(FailureKind.TRANSIENT, "http_500", "it failed")
    page = BatchApi.batches_page

    def fails_after(api: BatchApi, after: str | None = None) -> Page[RemoteBatch]:
        if after is not None or is_down:
            raise ApiError("list_batches", failure)
        return page(api, after)

    monkeypatch.setattr(BatchApi, "batches_page", fails_after)
    is_down = True
    with pytest.raises(ApiError, match="it failed"):
        bounded.recover()
    assert lab.desk.value("SELECT after FROM batch_assets.search") is not None
    is_down = False
    assert bounded.recover().awaited == 1
    assert lab.desk.value("SELECT after FROM batch_assets.search") is None
    monkeypatch.undo()
    lab.configure()
    assert lab.recover().adopted == 1


def test_what_is_taken_over_in_the_middle_of_a_search_is_not_judged_by_it(lab: Lab) -> None:
    never_created(lab)
    lab.configure(quirks={"lists": {"foreign_batches": _many(150)}})
    bounded = lab.under(pages_per_search=2)
    assert bounded.recover().awaited == 1
    lab.company(1)
    (late,) = lab.claim()
    lab.desk.lapse(late.id)
    report = bounded.recover()
    assert (report.absent, report.awaited) == (1, 1)
    assert lab.desk.batch(late.id).absences == 0


def test_ids_of_batches_are_never_pruned() -> None:
    """The server may list them for ever: one that is not known holds everything.

    One that is withdrawn was never committed.
    """
    files = [path.read_text() for path in Path(batch_assets.__file__).parent.rglob("*.sql")]
    statements = [
        statement
        for text in files
        for statement in text.split("-- name: ")
        if not statement.startswith("withdraw\n")
    ]
    assert statements
    deleting = re.compile(r"(DELETE FROM|TRUNCATE)\s+batch_assets\.batch\b")
    assert not [text for text in statements if deleting.search(text)]
