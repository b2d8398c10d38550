"""What is missing of results is looked at again; what is lost has to be said by the API."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.openai_batch.client import BatchApi
from batch_assets_tests.policies import a_policy
from batch_assets_tests.stages.support import Lab, call_rule, refusal

NOT_FOUND = refusal(404, "not_found")
BUSY: dict[str, Any] = {"kind": "body"}
PAGES: dict[str, dict[str, Any]] = {
    "a page": BUSY,
    "an error": {"kind": "body", "content": '{"error": {"message": "busy"}}'},
    "others' lines": {"kind": "other_lines"},
    "a page of 404": {"kind": "body", "status": 404},
    "a 404 without the API's shape": {"kind": "body", "status": 404, "content": '{"detail": "x"}'},
}
EARLY_END = {"after_rows": 3, "count": 1}


@pytest.fixture
def patient(lab: Lab) -> Lab:
    """Waits half an hour for what is missing, and looks again whenever it is asked to."""
    return lab.under(reading_grace_seconds=1_800)


def ended(lab: Lab, count: int = 10, **parts: Any) -> list[str]:
    """Requests of one batch that has ended on a server configured with `parts`, which stay."""
    _, ids = lab.company(count)
    lab.configure(**parts)
    lab.submit()
    lab.poll_to_the_end()
    return ids


def let_the_grace_go_by(lab: Lab) -> None:
    lab.desk.do(
        "UPDATE batch_assets.batch SET incomplete_since = incomplete_since - interval '31 minutes'"
    )


@pytest.mark.parametrize("counts", [False, True], ids=["counted", "not counted"])
@pytest.mark.parametrize("late", [("output",), ("error",), ("output", "error")], ids="-".join)
@pytest.mark.parametrize("end", ["completed", "expired", "cancelled"])
def test_files_whose_ids_come_late_are_waited_for(
    patient: Lab, end: str, late: tuple[str, ...], counts: bool
) -> None:
    rules = [] if end == "completed" else [{"end_as": end, **EARLY_END}]
    quirks: dict[str, Any] = {f"late_{which}_file": {"looks": 4} for which in late}
    ids = ended(patient, batches=rules, quirks=quirks | {"zero_request_counts": counts})
    for _ in range(8):
        patient.ingest()
    assert patient.batches("finalized"), patient.bucket_counts()
    assert patient.bucket_counts().get("dead") is None
    assert (
        patient.desk.value("SELECT count(*) FROM batch_assets.attempt WHERE outcome='failed'") == 0
    )
    patient.finish()
    assert patient.bucket_counts() == {"complete": 10}
    assert patient.times_billed(ids) == [1] * 10


@pytest.mark.parametrize("end", ["completed", "expired"])
@pytest.mark.parametrize(
    "answer",
    [NOT_FOUND, {"kind": "first_lines", "lines": 1}, {"kind": "body", "content": ""}],
    ids=["404", "one line", "nothing"],
)
@pytest.mark.parametrize("counts", [False, True], ids=["counted", "not counted"])
def test_files_that_are_not_all_there_are_waited_for(
    patient: Lab, end: str, answer: dict[str, Any], counts: bool
) -> None:
    rules = [] if end == "completed" else [{"end_as": end, **EARLY_END}]
    quirks = {"zero_request_counts": counts}
    ids = ended(
        patient,
        batches=rules,
        quirks=quirks,
        calls=[call_rule("files.content", answer, per_object=True, count=2)],
    )
    assert (patient.ingest().incomplete, patient.ingest().incomplete) == (1, 1)
    assert patient.bucket_counts().keys() <= {"complete", "in_batch", "waiting"}
    patient.ingest()
    patient.finish()
    assert patient.bucket_counts() == {"complete": 10}
    assert patient.times_billed(ids) == [1] * 10


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_no_result_however_long_it_is_shown(patient: Lab, page: str) -> None:
    ids = ended(patient)
    patient.configure(calls=[call_rule("files.content", PAGES[page])])
    for _ in range(3):
        report = patient.ingest()
        assert (report.finalized, report.postponed, report.rows.completed) == (0, 1, 0)
        let_the_grace_go_by(patient)
    assert patient.bucket_counts() == {"in_batch": 10}
    patient.configure()
    assert patient.ingest().finalized == 1
    assert patient.clean() == 1
    assert patient.bucket_counts() == {"complete": 10}
    assert patient.times_billed(ids) == [1] * 10


@pytest.mark.parametrize("requests", [1, 3])
def test_a_broken_file_that_is_all_there_is_has_to_do_after_the_grace(
    patient: Lab, requests: int
) -> None:
    ids = ended(patient, requests, rows=[{"effect": {"kind": "invalid_json"}}])
    assert patient.ingest().incomplete == 1
    let_the_grace_go_by(patient)
    assert patient.ingest().failures == {"missing_result": requests}
    assert patient.bucket_counts() == {"retry": requests}
    patient.finish()
    assert patient.times_billed(ids) == [2] * requests


def test_after_the_grace_what_there_is_has_to_do_and_no_file_is_deleted(patient: Lab) -> None:
    ids = ended(patient, 4, rows=[{"lines": [1], "effect": {"kind": "missing"}}])
    report = patient.ingest()
    assert (report.postponed, report.incomplete, report.rows.completed) == (1, 1, 3)
    assert patient.bucket_counts() == {"complete": 3, "in_batch": 1}
    let_the_grace_go_by(patient)
    assert patient.ingest().failures == {"missing_result": 1}
    assert patient.bucket_counts() == {"complete": 3, "retry": 1}
    (batch_id,) = patient.batches("finalized")
    output = patient.desk.batch(batch_id).output_file_id
    assert patient.clean() == 1
    assert patient.remote_files() == [], "the conversations are deleted"
    assert patient.pipeline.api.file_bytes(output) > 0, "and what was not accounted for stays"
    patient.finish()
    assert sorted(patient.times_billed(ids)) == [1, 1, 1, 2], "a lost line is bought again"


def test_what_has_not_changed_is_not_downloaded_again(
    patient: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(patient, rows=[{"lines": [1], "effect": {"kind": "missing"}}])
    downloads: list[str] = []
    download = BatchApi.download

    def noted(api: BatchApi, file_id: str) -> Generator[bytes, None, None]:
        downloads.append(file_id)
        return download(api, file_id)

    monkeypatch.setattr(BatchApi, "download", noted)
    for _ in range(3):
        assert patient.ingest().incomplete == 1
    assert len(downloads) == 1


def test_looks_are_farther_apart_each_time(lab: Lab) -> None:
    ended(lab, 2, rows=[{"lines": [1], "effect": {"kind": "missing"}}])
    lab = lab.under(reading_grace_seconds=1_800, first_look_seconds=60)
    rests = []
    for _ in range(4):
        assert lab.ingest().incomplete == 1
        assert lab.ingest().postponed == 0, "not before its time"
        left = (
            "SELECT extract(epoch FROM poll_at - clock_timestamp())::float8 FROM batch_assets.batch"
        )
        rests.append(lab.desk.value(left))
        lab.desk.do("UPDATE batch_assets.batch SET poll_at = now()")
    assert rests == pytest.approx([60, 120, 240, 480], abs=15)
    assert a_policy().look_again_seconds(5_000) == 3_600


def test_under_another_projects_key_nothing_is_lost(patient: Lab) -> None:
    ids = ended(patient)
    patient.configure(
        calls=[call_rule("files.content", NOT_FOUND), call_rule("batches.retrieve", NOT_FOUND)]
    )
    for _ in range(3):
        report = patient.ingest()
        assert (report.finalized, report.postponed) == (0, 1)
        let_the_grace_go_by(patient)
    assert patient.bucket_counts() == {"in_batch": 10}
    patient.configure()
    patient.finish()
    assert patient.bucket_counts() == {"complete": 10}
    assert patient.times_billed(ids) == [1] * 10


def test_results_are_lost_when_the_api_says_so_of_a_batch_that_it_knows(patient: Lab) -> None:
    ended(patient, 2, calls=[call_rule("files.content", NOT_FOUND)])
    assert patient.ingest().incomplete == 1
    let_the_grace_go_by(patient)
    assert patient.ingest().failures == {"results_lost": 2}
    assert patient.bucket_counts() == {"dead": 2}


@pytest.mark.parametrize("status", [410, 413, 451])
def test_some_refusals_of_a_file_are_for_good(patient: Lab, status: int) -> None:
    ended(patient, 2, calls=[call_rule("files.content", refusal(status))])
    assert patient.ingest().incomplete == 1, "an error file may still come"
    let_the_grace_go_by(patient)
    assert patient.ingest().failures == {"results_lost": 2}


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_what_is_gone_for_good_is_not_waited_for_once_all_else_is_read(
    patient: Lab, end: str
) -> None:
    gone = call_rule("files.content", refusal(410), filename="_output")
    ids = ended(
        patient,
        batches=[{"end_as": end, **EARLY_END}],
        quirks={"late_error_file": {"looks": 3}},
        calls=[gone],
    )
    while not (report := patient.ingest()).finalized:
        assert (report.incomplete, patient.bucket_counts()) == (1, {"in_batch": 10})
    patient.finish()
    assert patient.bucket_counts() == {"complete": 7, "dead": 3}, "what never ran was not lost"
    assert patient.times_billed(ids) == [1] * 10


@pytest.mark.parametrize("status", [410, 413, 451])
@pytest.mark.parametrize("late", [True, False], ids=["id late", "short"])
def test_paid_answers_are_waited_for_though_the_error_file_is_gone(
    patient: Lab, status: int, late: bool
) -> None:
    short = call_rule("files.content", {"kind": "first_lines", "lines": 1}, filename="_output")
    failed = {"kind": "http_error", "status": 500}
    ids = ended(
        patient,
        rows=[{"lines": [1, 2], "effect": failed}],
        quirks={"late_output_file": {"looks": 3}} if late else {},
        calls=[
            call_rule("files.content", refusal(status), filename="_error"),
            *([] if late else [short | {"count": 1}]),
        ],
    )
    while not (report := patient.ingest()).finalized:
        assert report.incomplete == 1
    assert patient.bucket_counts() == {"complete": 8, "retry": 2}
    patient.finish()
    assert patient.times_billed(ids) == [1] * 10


def test_counts_that_lag_behind_do_not_make_a_short_file_whole(patient: Lab) -> None:
    short = call_rule("files.content", {"kind": "first_lines", "lines": 3}, count=1)
    ids = ended(patient, calls=[short])
    patient.desk.do("UPDATE batch_assets.batch SET server_answered = 3")
    assert patient.ingest().incomplete == 1
    assert patient.ingest().finalized == 1
    assert patient.bucket_counts() == {"complete": 10}
    assert patient.times_billed(ids) == [1] * 10


@pytest.mark.parametrize("status", [400, 403])
def test_where_no_file_is_given_out_the_account_is_refused(patient: Lab, status: int) -> None:
    ids = ended(patient, calls=[call_rule("files.content", refusal(status))])
    for _ in range(3):
        with pytest.raises(ApiError) as refused:
            patient.ingest()
        assert refused.value.failure.kind is FailureKind.ACCOUNT
        let_the_grace_go_by(patient)
    assert patient.bucket_counts() == {"in_batch": 10}
    patient.configure()
    patient.finish()
    assert patient.times_billed(ids) == [1] * 10


@pytest.mark.parametrize("status", [400, 403])
def test_a_file_that_is_refused_while_others_are_given_out_is_lost_in_the_end(
    patient: Lab, status: int
) -> None:
    once = call_rule("files.content", refusal(status), count=1)
    ended(patient, 2, calls=[once])
    (batch_id,) = patient.batches("ended")
    assert patient.ingest().incomplete == 1, "the input file is given out"
    let_the_grace_go_by(patient)
    patient.configure(calls=[once])
    assert patient.ingest().failures == {"results_lost": 2}
    assert patient.desk.batch(batch_id).state == "finalized"


NO_ROOM = {"kind": "http_error", "status": 429, "error": {"code": "rate_limit_exceeded"}}


def test_a_request_that_alone_gets_no_room_is_dead_in_the_end(lab: Lab) -> None:
    _, ids = lab.company(3)
    lab.configure(rows=[{"custom_id": f"^{ids[1]}$", "effect": NO_ROOM}])
    for _ in range(8):
        lab.retry()
        lab.company(1)
        lab.submit()
        lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 2 + 8, "dead": 1}
    letter = lab.desk.dead_letter(ids[1])
    assert (letter.code, letter.attempts) == ("no_room_alone", 3)
    assert lab.times_billed(ids) == [1, 0, 1]


def test_while_there_is_no_room_for_any_nothing_counts_and_the_model_rests(lab: Lab) -> None:
    _, ids = lab.company(3)
    lab.configure(rows=[{"effect": NO_ROOM}])
    for _ in range(4):
        lab.retry()
        lab.submit()
        lab.read_to_the_end()
        assert lab.bucket_counts().keys() <= {"retry", "waiting"}
        assert (
            lab.desk.value("SELECT reason FROM batch_assets.model_cooldown")
            == "rate_limit_exceeded"
        )
    assert len(lab.batches()) == 1, "what is in cooldown is not sent"
    assert lab.desk.value("SELECT count(*) FROM batch_assets.attempt WHERE counted") == 0
    lab.desk.do("DELETE FROM batch_assets.model_cooldown")
    lab.finish()
    assert lab.times_billed(ids) == [1, 1, 1]


def test_no_model_rests_of_which_others_were_answered_before_the_error_file_came(
    patient: Lab,
) -> None:
    no_room = {"lines": [2, 3], "effect": NO_ROOM}
    ended(patient, 5, rows=[no_room], quirks={"late_error_file": {"looks": 3}})
    while not (report := patient.ingest()).finalized:
        assert report.incomplete == 1
    assert patient.bucket_counts() == {"complete": 3, "retry": 2}
    assert patient.desk.column("SELECT reason FROM batch_assets.model_cooldown") == []


def test_a_used_up_quota_in_each_row_rests_the_account(lab: Lab) -> None:
    _, ids = lab.company(3)
    effect = {"kind": "http_error", "status": 429, "error": {"code": "insufficient_quota"}}
    lab.configure(rows=[{"effect": effect}])
    lab.submit()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"retry": 3}
    assert (
        lab.desk.value("SELECT reason FROM batch_assets.account_cooldown") == "insufficient_quota"
    )
    lab.desk.do("DELETE FROM batch_assets.account_cooldown")
    lab.finish()
    assert lab.times_billed(ids) == [1, 1, 1]
    assert json.dumps(lab.bucket_counts()) == '{"complete": 3}'
