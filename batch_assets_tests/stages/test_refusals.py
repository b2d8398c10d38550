"""Batches that the server refuses in validation: wrong lines are found, the others are sent."""

from dataclasses import replace

import pytest

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.failures import FailureKind
from batch_assets.domain.records import BatchErrorLine
from batch_assets.stages.ingest import ingest_results
from batch_assets.stages.refusals import Verdict, judge
from batch_assets.store.suspects import RefusedRow, Split, Suspects
from batch_assets_tests.stages.support import Lab, plenty

ROWS = [RefusedRow(f"r{line}", line, is_open=True) for line in range(1, 6)]


def refuse(lab: Lab, *wrong: str, **rule: object) -> None:
    """Let the server refuse every batch that has one of these requests."""
    pattern = "|".join(f"^{request_id}$" for request_id in wrong)
    lab.configure(batches=[{"end_as": "failed", "custom_id": pattern, **rule}])


def run(lab: Lab) -> None:
    """Once through the job: what is due is sent, ends and is read."""
    lab.retry()
    lab.submit()
    lab.read_to_the_end()


def run_until_nothing_waits(lab: Lab, most: int = 12) -> None:
    for _ in range(most):
        run(lab)
        if not lab.bucket_counts().keys() & {"waiting", "in_batch", "retry"}:
            return
    raise AssertionError(f"something waits after {most} runs: {lab.bucket_counts()}")


def suspects(lab: Lab) -> list[str]:
    return lab.desk.column("SELECT request_id FROM batch_assets.suspect ORDER BY request_id")


def errors(*codes: str, line: int | None = None) -> list[BatchErrorLine]:
    return [BatchErrorLine(code, line) for code in codes]


@pytest.mark.parametrize("code", ["token_limit_exceeded", "insufficient_quota"])
def test_without_room_or_quota_nothing_is_wrong_with_the_rows(code: str) -> None:
    assert judge(errors(code, "invalid_request"), ROWS) == Verdict()


@pytest.mark.parametrize("code", ["model_not_found", "model_mismatch", "url_mismatch"])
def test_what_holds_for_every_row_condemns_them_all(code: str) -> None:
    whole = judge(errors("something_new", code), ROWS).all
    assert whole is not None
    assert (whole.kind, whole.code) == (FailureKind.PERMANENT, code)


@pytest.mark.parametrize("code", ["empty_file", "empty_batch", "server_error"])
def test_what_may_pass_is_tried_again(code: str) -> None:
    whole = judge(errors(code), ROWS).all
    assert whole is not None
    assert (whole.kind, whole.code) == (FailureKind.TRANSIENT, "batch_refused")


@pytest.mark.parametrize("code", ["invalid_request", "duplicate_custom_id", "something_new"])
def test_what_names_no_line_splits_the_rows_in_their_order(code: str) -> None:
    assert judge(errors(code), ROWS).halves == (["r1", "r2", "r3"], ["r4", "r5"])
    assert judge([], ROWS).halves is not None, "also without a code"


def test_rows_that_have_ended_are_not_suspected() -> None:
    rows = [*ROWS[:2], *(replace(row, is_open=False) for row in ROWS[2:])]
    assert judge([], rows).halves == (["r1"], ["r2"])
    assert judge([], rows[2:]) == Verdict()
    alone = judge(errors("something_new"), rows[1:]).all
    assert alone is not None
    assert (alone.kind, alone.code) == (FailureKind.PERMANENT, "refused_alone")
    assert "something_new" in alone.reason


def test_named_lines_are_refused_with_their_own_code() -> None:
    said = [BatchErrorLine("invalid_request", 4), BatchErrorLine("model_not_found", 2)]
    named = judge([*said, *errors("something_new"), BatchErrorLine("late", 4)], ROWS).named
    assert named is not None
    assert {row.request_id: failure.code for row, failure in named.items()} == {
        "r2": "model_not_found",
        "r4": "invalid_request",
    }
    assert named[ROWS[1]].reason == "The server refused this line (code model_not_found)."
    assert {failure.kind for failure in named.values()} == {FailureKind.PERMANENT}


@pytest.mark.parametrize("line", [6, 50_000])
def test_a_line_that_is_not_in_the_file_counts_as_none(line: int) -> None:
    assert judge(errors("invalid_request", line=line), ROWS).halves is not None
    unknown = [replace(row, line=None) for row in ROWS]
    assert judge(errors("invalid_request", line=1), unknown).halves is not None


def test_a_batch_that_was_read_once_names_the_same_lines_again() -> None:
    rows = [ROWS[0], replace(ROWS[1], is_open=False), *ROWS[2:]]
    assert judge(errors("invalid_request", line=2), rows) == Verdict(named={})


def test_named_lines_cost_one_more_batch(lab: Lab) -> None:
    _, ids = lab.company(6)
    refuse(lab, ids[1], ids[4], name_lines=True, code="invalid_request")
    run(lab)
    assert lab.bucket_counts() == {"dead": 2, "waiting": 4}
    assert {lab.desk.attempt(row).counted for row in (ids[0], ids[5])} == {False}
    letter = lab.desk.dead_letter(ids[4])
    assert (letter.code, letter.attempts) == ("invalid_request", 1)
    assert letter.reason == "The server refused this line (code invalid_request)."
    run(lab)
    assert lab.bucket_counts() == {"dead": 2, "complete": 4}
    assert len(lab.batches()) == 2
    assert lab.times_billed(ids) == [1, 0, 1, 1, 0, 1]


def test_lines_are_those_of_the_file_when_a_row_was_left_out_of_it(lab: Lab) -> None:
    _, ids = lab.company(4)
    (batch,) = lab.claim()
    emptied = 'DELETE FROM public."Message" WHERE "sessionId" = :session'
    lab.desk.do(emptied, session=lab.desk.session_id(ids[0]))
    refuse(lab, ids[2], name_lines=True)
    lab.send([batch])
    lab.read_to_the_end()
    assert lab.desk.dead_letter(ids[2]).batch_id == batch.id
    assert lab.bucket_counts() == {"dead": 1, "waiting": 3}


def test_no_line_is_believed_when_a_session_was_deleted_on_the_way(lab: Lab) -> None:
    _, ids = lab.company(5)
    (batch,) = lab.claim()
    lab.desk.delete_session(ids[0])
    refuse(lab, ids[2], name_lines=True)
    lab.send([batch])
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"waiting": 4}
    run_until_nothing_waits(lab)
    assert lab.desk.dead_letter(ids[2]).code == "invalid_request"
    assert lab.bucket_counts() == {"dead": 1, "complete": 3}


def test_two_wrong_rows_of_many_are_found_without_their_lines(lab: Lab) -> None:
    _, ids = lab.company(64)
    refuse(lab, ids[5], ids[40], code="something_new")
    run_until_nothing_waits(lab)
    assert lab.bucket_counts() == {"complete": 62, "dead": 2}
    assert {lab.desk.dead_letter(ids[row]).code for row in (5, 40)} == {"refused_alone"}
    root, *others = lab.batches()
    assert len(others) <= lab.pipeline.policy.quarantine_submissions
    assert {lab.desk.batch(batch_id).suspect_of for batch_id in others} == {root}
    assert suspects(lab) == []
    assert [lab.times_billed([ids[row]]) for row in (5, 40)] == [[0], [0]]
    assert sum(lab.times_billed(ids)) == 62


def test_no_more_is_sent_than_is_allowed(lab: Lab) -> None:
    _, ids = lab.company(8)
    lab = lab.under(quarantine_submissions=4)
    refuse(lab, ids[0], ids[7])
    run_until_nothing_waits(lab)
    assert len(lab.batches()) == 1 + 4
    assert lab.bucket_counts() == {"complete": 2, "dead": 6}
    letter = lab.desk.dead_letter(ids[0])
    assert letter.code == "batch_refused"
    assert "within 4 more batches" in letter.reason
    assert suspects(lab) == []


def test_without_a_submission_to_spare_all_of_it_is_dead(lab: Lab) -> None:
    _, ids = lab.company(3)
    refuse(lab, ids[1])
    run(lab.under(quarantine_submissions=0))
    assert lab.bucket_counts() == {"dead": 3}
    assert suspects(lab) == []


def test_a_lot_without_room_waits_and_stays_suspect(lab: Lab) -> None:
    _, ids = lab.company(4)
    refuse(lab, ids[0])
    run(lab)
    lab.configure(batches=[{"end_as": "failed", "code": "token_limit_exceeded"}])
    run(lab)
    assert suspects(lab) == sorted(ids)
    lab.desk.do("DELETE FROM batch_assets.model_pause")
    refuse(lab, ids[0])
    run_until_nothing_waits(lab)
    assert lab.bucket_counts() == {"complete": 3, "dead": 1}


def test_new_requests_never_go_with_suspects(lab: Lab) -> None:
    company_id, ids = lab.company(4)
    refuse(lab, ids[0])
    run(lab)
    more = lab.more(company_id, 2)
    lab.submit()
    first, *later = lab.batches()
    of_each = [
        set(
            lab.desk.column(
                "SELECT request_id FROM batch_assets.attempt WHERE batch_id = :id", id=batch_id
            )
        )
        for batch_id in later
    ]
    assert sorted(map(sorted, of_each)) == sorted(map(sorted, [ids[:2], ids[2:], more]))
    kept = {lab.desk.batch(batch_id).suspect_of for batch_id in later}
    assert kept == {first, None}


class _CrashError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["before the settling", "within the lots"])
def test_a_crash_leaves_the_same_lots(
    lab: Lab, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ids = lab.company(4)
    refuse(lab, ids[3])
    lab.submit()
    lab.poll_to_the_end()
    lab.pipeline.look_again()

    def crash(*_: object) -> object:
        raise _CrashError

    with monkeypatch.context() as patched:
        if moment == "before the settling":
            patched.setattr(type(lab.pipeline.queries), "settle", crash, raising=False)
        else:
            patched.setattr("batch_assets.store.suspects._suspect", crash)
        with pytest.raises(_CrashError):
            ingest_results(lab.pipeline, plenty())
    lots = "SELECT request_id, lot FROM batch_assets.suspect ORDER BY request_id"
    left = lab.desk.column_pairs(lots)
    assert len(left) == (4 if moment == "before the settling" else 0)
    lab.ingest()
    again = lab.desk.column_pairs(lots)
    assert len(again) == 4
    assert left in ([], again)
    run_until_nothing_waits(lab)
    assert lab.bucket_counts() == {"complete": 3, "dead": 1}
    assert lab.times_billed(ids) == [1, 1, 1, 0]


def test_whoever_lost_the_lease_splits_nothing(lab: Lab) -> None:
    _, ids = lab.company(4)
    refuse(lab, ids[3])
    lab.submit()
    lab.poll_to_the_end()
    (batch,) = lab.pipeline.queries.take_ended(lab.desk.holder, 10)
    lab.desk.lapse(batch.id)
    (taken,) = lab.pipeline.queries.take_ended(lab.desk.holder, 10)
    store = lab.pipeline.suspects
    assert store.split([split_of(batch, store)], most=2) == {}
    assert suspects(lab) == []
    assert store.split([split_of(taken, store)], most=2) == {taken.id: True}


def split_of(batch: EndedBatch, store: Suspects) -> Split:
    rows = [row.request_id for row in store.rows_of([batch.id])[batch.id]]
    return Split(batch.lease, (rows[:2], rows[2:]))


def test_the_last_submissions_are_given_away_once(lab: Lab) -> None:
    _, ids = lab.company(8)
    refuse(lab, ids[0], ids[7])
    run(lab)
    lab.submit()
    lab.poll_to_the_end()
    first, second = lab.pipeline.queries.take_ended(lab.desk.holder, 10)
    store = Suspects(lab.desk.engine)
    splits = [split_of(batch, store) for batch in (first, second)]
    assert store.split(splits, most=4) == {first.id: True, second.id: False}
    assert store.split([splits[1]], most=4) == {second.id: False}, "the other's lots count"
    assert store.split(splits, most=4) == {first.id: True, second.id: False}
    assert store.split(splits, most=6) == {first.id: True, second.id: True}
