"""Submitting: claim, commit, call, record."""

import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batch_assets.domain.errors import SubmissionHeldError
from batch_assets.domain.policy import Caps
from batch_assets.domain.records import Lease, RemoteBatch
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.pipeline import Budget
from batch_assets.stages.plan import preview
from batch_assets.stages.remote_ids import batch_of
from batch_assets.stages.submit import submit_due
from batch_assets.store.original import OriginalQueries
from batch_assets_tests.factories import make_company, make_external_batch
from batch_assets_tests.stages.support import API_KEY, Lab, call_rule, plenty, refusal


@dataclass
class Look:
    """What the database shows at the moment of a call."""

    call: str
    states: set[str]
    open_transactions: int
    waiting: int


@dataclass
class WatchedApi(BatchApi):
    """The real client, which looks into the database right before each creating call."""

    lab: Lab
    looks: list[Look] = field(default_factory=list)
    files: list[list[dict[str, object]]] = field(default_factory=list)
    modes: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__(API_KEY, self.lab.server.base_url)

    def upload(self, path: Path, name: str) -> str:
        self._look("upload")
        self.modes |= {stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)}
        self.files.append([json.loads(line) for line in path.read_text().splitlines()])
        return super().upload(path, name)

    def create_batch(
        self, input_file_id: str, metadata: Mapping[str, str], output_expires_after_seconds: int
    ) -> RemoteBatch:
        self._look("create")
        return super().create_batch(input_file_id, metadata, output_expires_after_seconds)

    def _look(self, call: str) -> None:
        states = set(self.lab.desk.column("SELECT DISTINCT state FROM batch_assets.batch"))
        waiting = self.lab.bucket_counts().get("waiting", 0)
        self.looks.append(Look(call, states, self.lab.open_transactions(), waiting))


def watched(lab: Lab) -> WatchedApi:
    return WatchedApi(lab)


def test_an_intent_is_committed_and_no_transaction_open_when_a_call_is_made(lab: Lab) -> None:
    lab.company(2)
    lab.company(2)
    with watched(lab) as api:
        assert lab.using(api).submit().batches == 2
    assert [(look.call, look.states) for look in api.looks] == [
        ("upload", {"claimed"}),
        ("upload", {"claimed"}),
        ("create", {"uploaded"}),
        ("create", {"uploaded"}),
    ]
    assert {(look.open_transactions, look.waiting) for look in api.looks} == {(0, 0)}


def test_the_file_holds_one_line_a_request_and_is_for_our_eyes_only(lab: Lab) -> None:
    _, ids = lab.company(3, messages=[("user", 'I said "no"\n'), ("assistant", "Fine.")])
    with watched(lab) as api:
        lab.using(api).submit()
    (lines,) = api.files
    assert [line["custom_id"] for line in lines] == ids
    assert {line["url"] for line in lines} == {"/v1/chat/completions"}
    assert api.modes == {0o600, 0o700}
    assert list(lab.pipeline.spool_dir.iterdir()) == []


def test_batch_and_file_carry_our_ids_and_the_output_expires(lab: Lab) -> None:
    lab.company(2)
    lab.submit()
    (batch_id,) = lab.batches("submitted")
    (remote,) = lab.remote_batches()
    (file,) = lab.remote_files()
    installation_id = lab.desk.holder.installation_id
    assert batch_of(remote, installation_id) == batch_id
    assert file.name == f"batch-assets_{installation_id}_{batch_id}.jsonl"
    assert (remote.input_file_id, remote.id) == (file.id, lab.desk.batch(batch_id).openai_batch_id)


def test_companies_and_models_are_never_in_one_file(lab: Lab) -> None:
    first, of_first = lab.company(2)
    large = lab.more(first, 2, model="gpt-4.1")
    _, of_second = lab.company(2)
    with watched(lab) as api:
        lab.using(api).submit()
    files = {frozenset(str(line["custom_id"]) for line in lines) for lines in api.files}
    assert files == {frozenset(of_first), frozenset(large), frozenset(of_second)}


@pytest.mark.parametrize("reason", ["a copy", "unconfirmed", "LiveDash beside us"])
def test_nothing_is_claimed_while_submission_is_held(lab: Lab, reason: str) -> None:
    lab.company(2)
    if reason == "a copy":
        lab.desk.do("UPDATE batch_assets.installation SET database_name = 'another'")
    elif reason == "unconfirmed":
        lab.desk.do("UPDATE batch_assets.installation SET confirmed_at = NULL")
    else:
        with lab.desk.engine.begin() as connection:
            make_external_batch(connection, make_company(connection))
    with pytest.raises(SubmissionHeldError) as held:
        lab.submit()
    assert str(held.value) == lab.pipeline.registry.installation().hold_reason
    assert lab.bucket_counts() == {"waiting": 2}
    assert lab.batches() == []
    assert lab.remote_files() == []
    assert submit_due(lab.pipeline, lab.pipeline.read_snapshot(), [], plenty()).batches == 0


def test_what_can_never_be_sent_is_given_up_and_not_sent(lab: Lab) -> None:
    company_id, _ = lab.company(1, messages=0)
    good = lab.more(company_id, 1)
    report = lab.submit()
    assert report.rejected == {"no_messages": 1}
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"dead": 1, "complete": 1}
    assert lab.server.ledger().totals().requests >= 1
    assert lab.times_billed(good) == [1]


def test_what_no_result_could_be_matched_to_is_given_up_before_it_is_bought(lab: Lab) -> None:
    company_id, good = lab.company(1)
    odd = [
        request_id
        for prefix in ("a\tb", "a\nb", "a\u2028b", "a" * 600)
        for request_id in lab.more(company_id, 1, prefix=prefix)
    ]
    assert lab.submit().rejected == {"unusable_id": 4}
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"dead": 4, "complete": 1}
    assert lab.times_billed([*odd, *good]) == [0, 0, 0, 0, 1]


def test_of_an_unknown_type_everything_is_asked_and_counted(lab: Lab) -> None:
    company_id, _ = lab.company(1)
    unknown = lab.more(company_id, 2, processing_type="horoscope")
    lab.more(company_id, 1, processing_type="line\nfeed")
    emptied = lab.more(company_id, 1, processing_type="horoscope")
    batches = lab.claim()
    session_id = lab.desk.session_id(emptied[0])
    lab.desk.do('DELETE FROM public."Message" WHERE "sessionId" = :id', id=session_id)
    submitter = lab.send(batches)
    assert submitter.unknown_types == {"horoscope": 2, "line feed": 1}
    lab.read_to_the_end()
    assert lab.statuses(unknown) == ["PROCESSING_COMPLETE"] * 2
    session = lab.desk.session(unknown[0])
    assert (session.sentiment, session.forwardedHr) == ("POSITIVE", True)


def test_only_what_was_sent_is_warned_of(lab: Lab) -> None:
    lab.company(2, processing_type="horoscope")
    lab.configure(calls=[call_rule("batches.create", refusal(429, "rate_limit_exceeded"), count=1)])
    assert lab.submit().unknown_types == {}
    lab.company(1)
    lab.configure()
    lab.desk.do("DELETE FROM batch_assets.model_cooldown")
    assert lab.submit().unknown_types == {"horoscope": 2}


def test_what_was_emptied_or_deleted_since_the_claim_is_not_sent(lab: Lab) -> None:
    _, (emptied, deleted, whole) = lab.company(3)
    batches = lab.claim()
    session_id = lab.desk.session_id(emptied)
    lab.desk.do('DELETE FROM public."Message" WHERE "sessionId" = :id', id=session_id)
    lab.desk.delete_session(deleted)
    with watched(lab) as api:
        submitter = lab.using(api).send(batches)
    assert [line["custom_id"] for (line,) in api.files] == [whole]
    assert len(submitter.submitted) == 1
    assert lab.desk.batch(batches[0].id).requests == 2, "the deleted one is found out at the end"
    assert lab.statuses([emptied, whole]) == ["PENDING_BATCHING", "BATCHING_IN_PROGRESS"]
    assert lab.submit().rejected == {"no_messages": 1}
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"dead": 1, "complete": 1}


def test_a_batch_of_which_nothing_is_left_is_not_sent(lab: Lab) -> None:
    _, ids = lab.company(2)
    batches = lab.claim()
    lab.desk.delete_session(ids[0])
    lab.desk.do('DELETE FROM public."Message"')
    submitter = lab.send(batches)
    assert (len(submitter.to_release), submitter.submitted, submitter.unresolved) == (1, [], [])
    assert lab.batches("released") == [batches[0].id]
    assert lab.remote_files() == []
    assert lab.bucket_counts() == {"waiting": 1}


def test_what_does_not_fit_into_the_file_after_all_goes_with_the_next(lab: Lab) -> None:
    _, ids = lab.company(3, messages=[("user", '"' * 2_000)])
    tight = lab.under(max_batch_bytes=25_000)
    (batch,) = tight.claim()
    assert batch.requests == 3, "quotes are escaped twice, which the estimate does not foresee"
    tight.send([batch])
    assert lab.bucket_counts() == {"in_batch": 2, "waiting": 1}
    tight.submit()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 3}
    assert lab.times_billed(ids) == [1, 1, 1]


def test_a_batch_whose_lease_is_lost_before_the_upload_is_not_sent(lab: Lab) -> None:
    lab.company(2)
    (batch,) = lab.under(lease_seconds=0).claim()
    lab.desk.queries.take_unresolved(lab.desk.holder, 10)
    submitter = lab.under(lease_seconds=0).send([batch])
    assert (submitter.submitted, submitter.to_release, submitter.unresolved) == ([], [], [])
    assert lab.remote_files() == []
    assert lab.bucket_counts() == {"in_batch": 2}


class TickingApi(BatchApi):
    """The real client, for which each upload takes a second of `clock`."""

    seconds = 0.0

    def clock(self) -> float:
        return self.seconds

    def upload(self, path: Path, name: str) -> str:
        self.seconds += 1
        return super().upload(path, name)


def test_a_server_that_hangs_does_not_hold_up_the_run_beyond_its_time(lab: Lab) -> None:
    for _ in range(8):
        lab.company(1)
    lab.configure(calls=[call_rule("files.create", {"kind": "delay", "seconds": 0.5})])
    with TickingApi(API_KEY, lab.server.base_url, timeouts=Timeouts(create=0.1)) as api:
        report = lab.using(api).submit(Budget(seconds=3, rows=100_000, clock=api.clock))
    assert (report.batches, report.unresolved, report.released) == (0, 2, 6)
    assert len(lab.batches("claimed")) == 2
    assert len(lab.batches("released")) == 6
    lab.finish()
    assert lab.bucket_counts() == {"complete": 8}


def test_what_was_uploaded_when_time_ran_out_is_given_back_with_its_file(lab: Lab) -> None:
    lab.company(1)
    lab.company(1)
    with TickingApi(API_KEY, lab.server.base_url) as api:
        report = lab.using(api).submit(Budget(seconds=2, rows=100_000, clock=api.clock))
    assert (report.batches, report.released) == (0, 2)
    assert lab.remote_batches() == []
    assert len(lab.remote_files()) == 2
    assert lab.clean() == 2
    assert lab.remote_files() == []
    assert lab.bucket_counts() == {"waiting": 2}


def test_what_was_uploaded_is_created_in_the_time_that_is_kept_for_it(lab: Lab) -> None:
    ids = [lab.company(1)[1][0] for _ in range(8)]
    sent = []
    for _ in range(3):
        with TickingApi(API_KEY, lab.server.base_url) as api:
            report = lab.using(api).submit(Budget(seconds=8, rows=100_000, clock=api.clock))
        sent.append(report.batches)
        assert len(lab.remote_files()) == len(lab.remote_batches()), "no file is sent for nothing"
    assert sent[0] >= 4
    assert sum(sent) == 8, "each run goes on where the one before has ended"
    lab.finish()
    assert lab.times_billed(ids) == [1] * 8


def test_a_batch_that_was_taken_over_during_its_upload_is_not_created(lab: Lab) -> None:
    _, ids = lab.company(2)

    class Slow(BatchApi):
        def upload(self, path: Path, name: str) -> str:
            file_id = super().upload(path, name)
            (batch_id,) = lab.batches("claimed")
            lab.desk.lapse(batch_id)
            assert len(lab.desk.queries.take_unresolved(lab.desk.holder, 1)) == 1
            return file_id

    with Slow(API_KEY, lab.server.base_url, timeouts=lab.pipeline.api.timeouts) as api:
        report = lab.using(api).submit()
    assert (report.batches, report.released, report.unresolved) == (0, 0, 0)
    assert lab.remote_batches() == []
    (batch_id,) = lab.batches("claimed")
    lab.desk.lapse(batch_id)
    lab.finish()
    assert lab.times_billed(ids) == [1, 1]


@pytest.mark.parametrize("kind", ["requests", "cost"])
def test_a_cap_of_a_run_counts_all_its_claims(lab: Lab, kind: str) -> None:
    for _ in range(4):
        lab.company(1)
    planned = preview(lab.pipeline, lab.pipeline.read_snapshot(), [lab.company(1)[0]])
    one = planned.batches[0].cost_eur or 0.0
    caps = Caps(run_requests=2) if kind == "requests" else Caps(run_cost_eur=2.5 * one)
    assert lab.under(batches_per_claim=1, caps=caps).submit().batches == 2


def test_leftover_input_files_of_dead_runs_are_swept(lab: Lab) -> None:
    spool = lab.pipeline.spool_dir
    spool.mkdir(mode=0o700)
    dead = spool / "batch-files-0"
    dead.mkdir(mode=0o700)
    (dead / "0.jsonl").write_text("a conversation")
    lab.company(1)
    lab.under(lease_seconds=0).submit()
    assert list(spool.iterdir()) == []


class InterruptedApi(BatchApi):
    """The real client, until somebody presses Ctrl-C after the first batch was created."""

    def create_batch(
        self, input_file_id: str, metadata: Mapping[str, str], output_expires_after_seconds: int
    ) -> RemoteBatch:
        super().create_batch(input_file_id, metadata, output_expires_after_seconds)
        raise KeyboardInterrupt


def test_what_an_interrupted_submission_held_is_recovered_at_once(lab: Lab) -> None:
    _, first = lab.company(2)
    _, second = lab.company(2)
    with (
        InterruptedApi(API_KEY, lab.server.base_url) as api,
        pytest.raises(KeyboardInterrupt),
    ):
        lab.using(api).submit()
    recovered = lab.recover()
    assert (recovered.taken_over, recovered.adopted) == (2, 1)
    lab.finish()
    assert lab.times_billed([*first, *second]) == [1, 1, 1, 1]


def test_an_interrupted_run_gives_its_leases_up(lab: Lab) -> None:
    _, ids = lab.company(2)

    class Interrupted(BatchApi):
        def create_batch(self, *arguments: Any) -> RemoteBatch:
            super().create_batch(*arguments)
            raise KeyboardInterrupt

    with (
        Interrupted(API_KEY, lab.server.base_url) as api,
        pytest.raises(KeyboardInterrupt),
    ):
        lab.using(api).submit()
    assert lab.recover().adopted == 1
    lab.read_to_the_end()
    assert lab.times_billed(ids) == [1, 1]


def test_no_call_is_made_with_less_left_of_a_lease_than_it_may_take(lab: Lab) -> None:
    renewed = []

    class Counting(OriginalQueries):
        def renew(self, leases: Sequence[Lease], seconds: float) -> set[str]:
            renewed.append(len(leases))
            return super().renew(leases, seconds)

    for _ in range(3):
        lab.company(1)
    counting = lab.asking(Counting(lab.desk.engine))
    longest = lab.pipeline.api.timeouts.longest_creating_call
    assert counting.under(lease_seconds=longest + 60).submit().batches == 3
    assert renewed == [], "a fresh lease is long enough"
    for _ in range(3):
        lab.company(1)
    assert counting.under(lease_seconds=longest).submit().batches == 3
    assert renewed == [3] * 6, "before each upload and each create"


def test_all_files_of_a_large_backlog_but_the_last_are_nearly_as_large_as_they_may_be(
    lab: Lab,
) -> None:
    most = 300_000
    lab = lab.under(max_batch_requests=50_000, max_batch_bytes=most)
    said = "On my payslip of week 12 the allowance for the late shift is missing. Can you check it?"
    lab.company(160, messages=[("user", said), ("assistant", said)] * 12)
    lab.submit()
    sizes = lab.desk.column("SELECT input_bytes FROM batch_assets.batch ORDER BY requests DESC")
    assert len(sizes) == 3
    assert all(0.95 * most < size <= most for size in sizes[:-1])
