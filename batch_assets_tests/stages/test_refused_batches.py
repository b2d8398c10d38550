"""Batches that the server refuses in validation: wrong lines are found, the others are sent."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.bisection import BisectionGroup, halves
from batch_assets.domain.errors import FailureKind, SubmissionHeldError
from batch_assets.domain.records import BatchErrorLine, Lease
from batch_assets.stages.ingest import ingest_results
from batch_assets.stages.refused_batches import Verdict, judge, weigh
from batch_assets.store.bisection import Bisection, Evidence, RefusedRow, Split
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
    return lab.desk.column(
        "SELECT request_id FROM batch_assets.bisection_request ORDER BY request_id"
    )


def errors(*codes: str, line: int | None = None) -> list[BatchErrorLine]:
    return [BatchErrorLine(code, line) for code in codes]


@pytest.mark.parametrize("code", ["token_limit_exceeded", "insufficient_quota"])
def test_without_room_or_quota_nothing_is_wrong_with_the_rows(code: str) -> None:
    assert judge(errors(code, "invalid_request"), ROWS) == Verdict()


@pytest.mark.parametrize("line", [None, 1])
def test_a_model_that_there_is_not_condemns_every_row(line: int | None) -> None:
    whole = judge(errors("model_not_found", line=line), ROWS).all
    assert whole is not None
    assert (whole.kind, whole.code) == (FailureKind.PERMANENT, "model_not_found")


@pytest.mark.parametrize("code", ["model_mismatch", "url_mismatch"])
def test_what_holds_for_every_row_condemns_them_all(code: str) -> None:
    whole = judge(errors("something_new", code), ROWS).all
    assert whole is not None
    assert (whole.kind, whole.code) == (FailureKind.PERMANENT, code)


SERVERS_OWN = (
    "batch_failed",
    "empty_batch",
    "empty_file",
    "input_file_not_found",
    "internal_error",
    "resource_not_found",
    "runner_lost",
    "server_error",
    "service_unavailable",
)


@pytest.mark.parametrize("code", [*SERVERS_OWN, "invalid_request", "something_new"])
def test_what_names_no_line_is_not_explained(code: str) -> None:
    assert judge(errors(code), ROWS) == Verdict(is_unexplained=True)
    assert judge([], ROWS) == Verdict(is_unexplained=True), "also without a code"
    assert judge(errors(code), [replace(row, is_open=False) for row in ROWS]) == Verdict()


@pytest.mark.parametrize("code", SERVERS_OWN)
def test_the_servers_own_failure_is_no_lines_whichever_it_names(code: str) -> None:
    assert judge(errors(code, line=2), ROWS) == Verdict(is_unexplained=True)


def an_ended(errors: Sequence[BatchErrorLine] = ()) -> EndedBatch:
    return EndedBatch(
        lease=Lease("b", 1),
        is_ours=True,
        company_id="c",
        company=None,
        run_id="",
        requests=5,
        model="m",
        openai_batch_id="batch_1",
        server_status="failed",
        server_errors=tuple(errors),
        server_answered=0,
        ended_seconds=0,
        input_file_id=None,
        output_file_id=None,
        error_file_id=None,
    )


def test_rows_rest_as_long_as_nothing_speaks_against_them() -> None:
    first = weigh(an_ended(errors("something_new")), ROWS, Evidence(), 32)
    assert first.groups == {"b.1/1": ["r1", "r2", "r3"], "b.1/2": ["r4", "r5"]}
    assert not first.is_suspected
    assert (first.failure.kind, first.failure.code) == (FailureKind.SERVER, "batch_refused")
    assert "something_new" in first.failure.reason
    assert weigh(an_ended(), ROWS[:1], Evidence(), 32).groups == {"b.1/1": ["r1"]}
    taken = weigh(an_ended(), ROWS, Evidence(was_taken=True), 32)
    assert taken.failure.kind is FailureKind.SERVER, "another batch says nothing of several rows"


def test_lots_that_fail_both_are_drawn_anew() -> None:
    group = BisectionGroup.read("a.7/2")
    assert (group.of_batch, group.draw, group.number, group.name) == ("a", 7, 2, "a.7/2")
    again = weigh(an_ended(), ROWS, Evidence(group), 32)
    assert again.groups is not None
    assert not again.is_suspected
    assert set(again.groups) <= {"a.8/1", "a.8/2"}
    ids = sorted(request_id for some in again.groups.values() for request_id in some)
    assert ids == [row.request_id for row in ROWS]
    assert weigh(an_ended(), ROWS, Evidence(group), 32) == again


@pytest.mark.parametrize(
    ("proof", "kind"),
    [("is_parted", FailureKind.PERMANENT), ("is_suspected", FailureKind.SERVER)],
)
def test_a_lot_is_split_at_once_when_some_of_it_are_wrong_for_certain(
    proof: str, kind: FailureKind
) -> None:
    parted = weigh(an_ended(), ROWS, Evidence(BisectionGroup.read("a.7/2"), **{proof: True}), 32)
    assert parted.is_suspected
    assert parted.groups == {"b.1/1": ["r1", "r2", "r3"], "b.1/2": ["r4", "r5"]}
    assert parted.failure.kind is kind, "where no more groups may be made"


def test_a_row_alone_is_the_cause_once_another_batch_was_taken() -> None:
    taken = Evidence(BisectionGroup.read("a.1/1"), was_taken=True)
    alone = weigh(an_ended(errors("something_new")), ROWS[:1], taken, 32)
    assert alone.groups is None
    assert (alone.failure.kind, alone.failure.code) == (FailureKind.PERMANENT, "refused_alone")
    assert "something_new" in alone.failure.reason
    suspected = weigh(
        an_ended(), ROWS[:1], Evidence(BisectionGroup.read("a.1/1"), is_suspected=True), 32
    )
    assert suspected.failure.kind is FailureKind.SERVER, "the server may be at fault meanwhile"
    parted = weigh(an_ended(), ROWS[:1], Evidence(BisectionGroup.read("a.1/1"), is_parted=True), 32)
    assert parted.failure.kind is FailureKind.SERVER, "its fault may have ended in between"


def test_a_row_whose_companions_have_ended_was_not_alone_in_its_batch() -> None:
    rows = [ROWS[0], *(replace(row, is_open=False) for row in ROWS[1:])]
    found = weigh(an_ended(), rows, Evidence(BisectionGroup.read("a.1/1"), was_taken=True), 32)
    assert found.failure.kind is FailureKind.SERVER


def test_named_lines_are_refused_with_their_own_code() -> None:
    said = [BatchErrorLine("invalid_request", 4), BatchErrorLine("invalid_json_line", 2)]
    named = judge([*said, *errors("something_new"), BatchErrorLine("late", 4)], ROWS).named
    assert named is not None
    assert {row.request_id: failure.code for row, failure in named.items()} == {
        "r2": "invalid_json_line",
        "r4": "invalid_request",
    }
    assert named[ROWS[1]].reason == "The server refused this line (code invalid_json_line)."
    assert {failure.kind for failure in named.values()} == {FailureKind.PERMANENT}


@pytest.mark.parametrize("line", [6, 50_000])
def test_a_line_that_is_not_in_the_file_counts_as_none(line: int) -> None:
    assert judge(errors("invalid_request", line=line), ROWS) == Verdict(is_unexplained=True)
    unknown = [replace(row, line=None) for row in ROWS]
    assert judge(errors("invalid_request", line=1), unknown) == Verdict(is_unexplained=True)


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
    assert lab.bucket_counts() == {"retry": 4}
    run_until_nothing_waits(lab)
    assert lab.desk.dead_letter(ids[2]).code in {"invalid_request", "refused_alone"}
    assert lab.bucket_counts() == {"dead": 1, "complete": 3}


@pytest.mark.parametrize("wrong", [[5], [5, 6], [5, 40]])
def test_wrong_rows_of_many_are_found_without_their_lines(lab: Lab, wrong: list[int]) -> None:
    _, ids = lab.company(64)
    refuse(lab, *(ids[row] for row in wrong), code="something_new")
    run_until_nothing_waits(lab, most=30)
    assert lab.bucket_counts() == {"complete": 64 - len(wrong), "dead": len(wrong)}
    assert {lab.desk.dead_letter(ids[row]).code for row in wrong} == {"refused_alone"}
    root, *others = lab.batches()
    assert {lab.desk.batch(batch_id).root_batch_id for batch_id in others} == {root}
    assert suspects(lab) == []
    assert lab.times_billed(ids) == [int(row not in wrong) for row in range(64)]


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("code", ["invalid_request", "internal_error"])
def test_while_the_server_refuses_all_batches_nobody_is_dead(
    lab: Lab, count: int, code: str
) -> None:
    _, ids = lab.company(count)
    lab.configure(batches=[{"end_as": "failed", "code": code}])
    for _ in range(6):
        run(lab)
        assert lab.bucket_counts() == {"retry": count}
    assert lab.desk.value("SELECT count(*) FROM batch_assets.attempt WHERE counted") == 0
    assert len(lab.batches()) <= 1 + 5 * 2, "two groups at most each time"
    lab.configure()
    run(lab)
    assert lab.bucket_counts() == {"complete": count}
    assert lab.times_billed(ids) == [1] * count
    assert suspects(lab) == []


def test_the_rests_of_a_batch_grow_and_are_the_same_for_all_its_rows(lab: Lab) -> None:
    patient = lab.under(retry_base_seconds=300, retry_max_seconds=21_600)
    _, ids = lab.company(12)
    lab.configure(batches=[{"end_as": "failed", "code": "batch_failed"}])
    least = 150.0
    for _ in range(3):
        run(patient)
        rests = lab.desk.column(
            "SELECT DISTINCT extract(epoch FROM retry_at - failed_at)::float8"
            " FROM batch_assets.retry"
        )
        assert len(rests) <= 2, "one for each batch"
        assert all(least <= rest <= 2 * least for rest in rests)
        least *= 2
        lab.desk.do("UPDATE batch_assets.retry SET retry_at = now()")
    assert lab.bucket_counts() == {"retry": 12}
    assert len(ids) == 12


def test_what_has_waited_uncounted_for_a_week_is_dead_and_says_so(lab: Lab) -> None:
    _, ids = lab.company(2)
    lab.configure(batches=[{"end_as": "failed", "code": "runner_lost"}])
    run(lab)
    lab.desk.do("UPDATE batch_assets.attempt SET ended_at = ended_at - interval '7 days'")
    run(lab)
    assert lab.bucket_counts() == {"dead": 2}
    letter = lab.desk.dead_letter(ids[0])
    assert (letter.code, letter.attempts) == ("waited_too_long", 0)
    assert "7 days" in letter.reason
    assert "runner_lost" in letter.reason


def test_a_row_alone_waits_until_another_batch_shows_that_it_is_the_cause(lab: Lab) -> None:
    _, (wrong,) = lab.company(1)
    refuse(lab, wrong)
    for _ in range(3):
        run(lab)
        assert lab.bucket_counts() == {"retry": 1}
    lab.company(1)
    run(lab)
    assert lab.bucket_counts() == {"complete": 1, "retry": 1}, "both were sent at once"
    run(lab)
    assert lab.bucket_counts() == {"complete": 1, "dead": 1}
    assert lab.desk.dead_letter(wrong).code == "refused_alone"


@pytest.mark.parametrize(("companies", "each"), [(1, 2), (1, 3), (3, 1)])
@pytest.mark.parametrize("refused", [2, 3, 4])
def test_nobody_is_dead_when_the_servers_fault_ends_between_two_batches(
    lab: Lab, companies: int, each: int, refused: int
) -> None:
    ids = [request_id for _ in range(companies) for request_id in lab.company(each)[1]]
    fault = {"end_as": "failed", "code": "internal_error", "count": refused}
    lab.configure(batches=[fault])
    run_until_nothing_waits(lab)
    assert lab.bucket_counts() == {"complete": len(ids)}
    assert lab.times_billed(ids) == [1] * len(ids)


def test_a_model_that_is_gone_costs_one_batch_and_rests(lab: Lab) -> None:
    _, ids = lab.company(20)
    lab.configure(
        batches=[
            {
                "end_as": "failed",
                "code": "model_not_found",
                "custom_id": f"^{ids[0]}$",
                "name_lines": True,
            }
        ]
    )
    run(lab)
    assert lab.bucket_counts() == {"dead": 20}
    assert lab.desk.dead_letter(ids[19]).code == "model_not_found"
    assert lab.desk.value("SELECT reason FROM batch_assets.model_cooldown") == "model_not_found"


@pytest.mark.parametrize("code", ["billing_hard_limit_reached", "insufficient_quota"])
def test_a_used_up_quota_rests_the_account(lab: Lab, code: str) -> None:
    lab.company(3)
    lab.configure(batches=[{"end_as": "failed", "code": code}])
    run(lab)
    assert lab.bucket_counts() == {"waiting": 3}
    with pytest.raises(SubmissionHeldError, match=code):
        lab.submit()
    assert len(lab.batches()) == 1
    lab.desk.do("UPDATE batch_assets.account_cooldown SET until = now()")
    lab.configure()
    run(lab)
    assert lab.bucket_counts() == {"complete": 3}


def test_no_more_is_sent_than_is_allowed(lab: Lab) -> None:
    _, ids = lab.company(8)
    lab = lab.under(bisection_submissions=2)
    refuse(lab, ids[0], code="something_new")
    run_until_nothing_waits(lab)
    assert len(lab.batches()) == 1 + 2 + 2
    assert lab.bucket_counts() == {"complete": 6, "dead": 2}
    letter = lab.desk.dead_letter(ids[0])
    assert letter.code == "batch_refused"
    assert "within 2 more batches" in letter.reason
    assert suspects(lab) == []


def test_without_a_submission_to_spare_the_refused_lot_is_dead(lab: Lab) -> None:
    _, ids = lab.company(4)
    refuse(lab, ids[1])
    run_until_nothing_waits(lab.under(bisection_submissions=0))
    assert lab.bucket_counts() == {"complete": 2, "dead": 2}
    assert suspects(lab) == []


def test_a_lot_without_room_waits_and_stays_suspect(lab: Lab) -> None:
    _, ids = lab.company(4)
    refuse(lab, ids[0])
    run(lab)
    lab.configure(batches=[{"end_as": "failed", "code": "token_limit_exceeded"}])
    run(lab)
    assert suspects(lab) == sorted(ids)
    lab.desk.do("DELETE FROM batch_assets.model_cooldown")
    lab.desk.do("DELETE FROM batch_assets.allowance")
    refuse(lab, ids[0])
    run_until_nothing_waits(lab)
    assert lab.bucket_counts() == {"complete": 3, "dead": 1}


def test_new_requests_never_go_with_suspects(lab: Lab) -> None:
    company_id, ids = lab.company(4)
    refuse(lab, ids[0])
    run(lab)
    more = lab.more(company_id, 2)
    lab.retry()
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
    kept = {lab.desk.batch(batch_id).root_batch_id for batch_id in later}
    assert kept == {first, None}


class _CrashError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["before it is finalized", "within the groups"])
def test_a_crash_leaves_the_same_lots(
    lab: Lab, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ids = lab.company(4)
    refuse(lab, ids[3])
    lab.submit()
    lab.poll_to_the_end()
    seen = lab.pipeline.read_snapshot()

    def crash(*_: object) -> object:
        raise _CrashError

    with monkeypatch.context() as patched:
        if moment == "before it is finalized":
            patched.setattr(type(lab.pipeline.queries), "finalize", crash, raising=False)
        else:
            patched.setattr("batch_assets.store.bisection._suspect", crash)
        with pytest.raises(_CrashError):
            ingest_results(lab.pipeline, seen, plenty())
    groups = (
        "SELECT request_id, bisection_group FROM batch_assets.bisection_request ORDER BY request_id"
    )
    left = lab.desk.column_pairs(groups)
    assert len(left) == (4 if moment == "before it is finalized" else 0)
    lab.ingest()
    again = lab.desk.column_pairs(groups)
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
    store = lab.pipeline.bisection
    assert store.split([split_of(batch, store)], most=2) == {}
    assert suspects(lab) == []
    assert store.split([split_of(taken, store)], most=2) == {taken.id: True}


def split_of(batch: EndedBatch, store: Bisection) -> Split:
    rows = [row.request_id for row in store.rows_of([batch.id])[batch.id]]
    return Split(batch.lease, halves(batch.id, rows), is_suspected=True)


def test_the_last_submissions_are_given_away_once(lab: Lab) -> None:
    _, ids = lab.company(8)
    refuse(lab, ids[0], ids[7])
    run(lab)
    lab.retry()
    lab.submit()
    lab.poll_to_the_end()
    first, second = lab.pipeline.queries.take_ended(lab.desk.holder, 10)
    store = Bisection(lab.desk.engine)
    splits = [split_of(batch, store) for batch in (first, second)]
    assert store.split(splits, most=2) == {first.id: True, second.id: False}
    assert store.split([splits[1]], most=2) == {second.id: False}, "the other's groups count"
    assert store.split(splits, most=2) == {first.id: True, second.id: False}
    assert store.split(splits, most=4) == {first.id: True, second.id: True}
    free = [replace(split, is_suspected=False) for split in splits]
    assert store.split(free, most=0) == {first.id: True, second.id: True}


@pytest.mark.parametrize("count", [1, 2, 12])
def test_a_fault_of_the_server_that_comes_and_goes_condemns_nobody(lab: Lab, count: int) -> None:
    """What else was taken in between proves nothing where the server says that it has failed."""
    lab = lab.under(bisection_submissions=4)
    _, ids = lab.company(count)
    refuse(lab, ids[0], code="internal_error")
    others = 0
    # Each drawing of groups parts half of the rows from the bad one: 30 leave none with it.
    while others < 30 and lab.bucket_counts().get("complete") != count + others - 1:
        lab.company(1)
        others += 1
        run(lab)
    assert others >= 1
    assert lab.bucket_counts() == {"complete": count + others - 1, "retry": 1}
    lab.configure()
    run(lab)
    assert lab.bucket_counts() == {"complete": count + others}
    assert lab.times_billed(ids) == [1] * count
