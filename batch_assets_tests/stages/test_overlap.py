"""Claiming goes on while batches are sent, and two sets of results are written at one time."""

import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from batch_assets.domain.batches import BatchOutcomes
from batch_assets.domain.errors import ApiError
from batch_assets.domain.records import Conversation, RemoteBatch
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages import result_writer
from batch_assets.stages.concurrency import LeaseKeeper
from batch_assets.stages.pipeline import RareCollections
from batch_assets.store.original import OriginalQueries
from batch_assets_tests.factories import make_request, make_session
from batch_assets_tests.stages.support import API_KEY, Lab, call_rule, refusal

WAIT_SECONDS = 20
MOMENT_SECONDS = 0.1


def comes_true(condition: Callable[[], bool]) -> bool:
    ends_at = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > ends_at:
            return False
        time.sleep(0.02)
    return True


class PatientApi(BatchApi):
    """The real client, which waits before it uploads the first file until `seen` comes true."""

    def __init__(self, lab: Lab, seen: Callable[[], bool]) -> None:
        super().__init__(API_KEY, lab.server.base_url)
        self.seen = seen
        self.has_seen: bool | None = None
        self.uploads = 0

    def upload(self, path: Path, name: str) -> str:
        self.uploads += 1
        if self.has_seen is None:
            self.has_seen = comes_true(self.seen)
        return super().upload(path, name)


def two_companies(lab: Lab) -> tuple[Lab, list[str]]:
    """Two claims of one batch each."""
    ids = [*lab.company(2)[1], *lab.company(2)[1]]
    return lab.under(batches_per_claim=1), ids


def test_the_next_batches_are_claimed_while_the_first_are_sent(lab: Lab) -> None:
    few, ids = two_companies(lab)
    with PatientApi(lab, lambda: len(lab.batches("claimed")) == 2) as api:
        assert few.using(api).submit().batches == 2
    assert api.has_seen
    lab.finish()
    assert lab.times_billed(ids) == [1] * 4


def test_what_was_claimed_meanwhile_waits_again_when_the_account_is_refused(lab: Lab) -> None:
    few, ids = two_companies(lab)
    lab.configure(calls=[call_rule("batches.create", refusal(401, "invalid_api_key"))])
    with PatientApi(lab, lambda: len(lab.batches("claimed")) == 2) as api:
        with pytest.raises(ApiError):
            few.using(api).submit()
        assert (api.has_seen, api.uploads) == (True, 1)
    assert lab.bucket_counts() == {"waiting": 4}
    assert len(lab.batches("released")) == 2
    lab.configure()
    lab.submit()
    lab.finish()
    assert lab.times_billed(ids) == [1] * 4


def test_a_refusal_is_heeded_by_what_was_claimed_meanwhile(lab: Lab) -> None:
    few, ids = two_companies(lab)
    lab.configure(calls=[call_rule("batches.create", refusal(429, "token_limit_exceeded"))])
    with PatientApi(lab, lambda: len(lab.batches("claimed")) == 2) as api:
        assert few.using(api).submit().batches == 0
        assert (api.has_seen, api.uploads) == (True, 1), "a file that nothing could come of"
    assert lab.bucket_counts() == {"waiting": 4}
    lab.desk.do("DELETE FROM batch_assets.model_cooldown")
    lab.desk.do("DELETE FROM batch_assets.allowance")
    lab.configure()
    lab.submit()
    lab.finish()
    assert lab.times_billed(ids) == [1] * 4


def test_a_claim_that_fails_while_others_are_sent_loses_none_of_those(lab: Lab) -> None:
    few, ids = two_companies(lab)
    claims: list[int] = []

    class Failing(OriginalQueries):
        def claim(self, *arguments: Any) -> Any:
            claims.append(1)
            if len(claims) == 2:
                raise RuntimeError("the second claim")
            return super().claim(*arguments)

    with pytest.raises(RuntimeError, match="the second claim"):
        few.asking(Failing(lab.desk.engine)).submit()
    assert len(lab.batches("submitted")) == 1
    lab.submit()
    lab.finish()
    assert lab.times_billed(ids) == [1] * 4


def test_an_interruption_gives_back_what_was_claimed_meanwhile(lab: Lab) -> None:
    few, ids = two_companies(lab)

    class Interrupted(PatientApi):
        def create_batch(self, *arguments: Any) -> RemoteBatch:
            super().create_batch(*arguments)
            raise KeyboardInterrupt

    with Interrupted(lab, lambda: len(lab.batches("claimed")) == 2) as api:
        with pytest.raises(KeyboardInterrupt):
            few.using(api).submit()
        assert api.has_seen
    assert len(lab.batches("released")) == 1
    assert lab.recover().adopted == 1
    lab.submit()
    lab.finish()
    assert lab.times_billed(ids) == [1] * 4


def test_files_are_written_on_while_others_are_created(lab: Lab) -> None:
    ids = [lab.company(1)[1][0] for _ in range(4)]
    is_read = threading.Event()

    class Reading(OriginalQueries):
        def conversations(self, batch_ids: Sequence[str]) -> Iterator[Conversation]:
            yield from super().conversations(batch_ids)
            is_read.set()

    class Waiting(BatchApi):
        def create_batch(self, *arguments: Any) -> RemoteBatch:
            assert is_read.wait(WAIT_SECONDS), "a call was waited for with the read half done"
            return super().create_batch(*arguments)

    one_by_one = lab.under(least_hourly_batches=1).asking(Reading(lab.desk.engine))
    with Waiting(API_KEY, lab.server.base_url) as api:
        assert one_by_one.using(api).submit().batches == 4
    lab.finish()
    assert lab.times_billed(ids) == [1] * 4


def test_leases_that_were_taken_long_ago_are_asked_for_before_a_call(lab: Lab) -> None:
    lab.company(1)
    (batch,) = lab.claim()
    long_ago = time.monotonic() - 40
    kept = LeaseKeeper(lab.desk.queries, [batch.lease], 60, taken_at=long_ago)
    lab.desk.lapse(batch.id)
    assert lab.recover().taken_over == 1
    assert not kept.holds(batch.lease), "somebody else has taken it over"
    assert LeaseKeeper(lab.desk.queries, [batch.lease], 60).holds(batch.lease), "as it was taken"


def written_at_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, expected: int
) -> tuple[int, Counter[str]]:
    """Read what has ended; how many sets at most, and of each batch, were written at one time.

    Each set waits, however long it takes, until as many were there as are expected, and then a
    moment for one too many.
    """
    lock, all_there = threading.Lock(), threading.Event()
    writing: Counter[str] = Counter()
    sets, most_sets, most_of = 0, 0, Counter[str]()
    queries = type(lab.pipeline.queries)
    write = queries.write_results

    def slow_write(self: Any, results: list[BatchOutcomes], *more: Any) -> Mapping[str, Any]:
        nonlocal sets, most_sets
        ids = [result.lease.batch_id for result in results]
        with lock:
            sets += 1
            writing.update(ids)
            most_sets = max(most_sets, sets)
            most_of.update({one: max(0, writing[one] - most_of[one]) for one in ids})
            if sets == expected:
                all_there.set()
        assert all_there.wait(WAIT_SECONDS)
        time.sleep(MOMENT_SECONDS)
        try:
            return write(self, results, *more)
        finally:
            with lock:
                sets -= 1
                writing.subtract(ids)

    with monkeypatch.context() as patch:
        patch.setattr(result_writer, "_WRITERS", 2)
        patch.setattr(queries, "write_results", slow_write)
        lab.ingest()
    return most_sets, most_of


def in_flight(lab: Lab, *counts: int) -> list[str]:
    """Ended batches of so many requests, all of one model and of a company each."""
    ids = [request for count in counts for request in lab.company(count)[1]]
    lab.submit()
    lab.poll_to_the_end()
    return ids


def test_two_sets_are_written_at_one_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = in_flight(lab, 3, 3, 3, 3)
    most_sets, most_of = written_at_once(lab.under(rows_per_write=4), monkeypatch, 2)
    assert most_sets == 2
    assert set(most_of.values()) == {1}
    assert lab.bucket_counts() == {"complete": 12}
    assert lab.times_billed(ids) == [1] * 12


def test_of_one_batch_no_two_sets_are_written_at_one_time(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = in_flight(lab, 9)
    most_sets, most_of = written_at_once(lab.under(rows_per_write=2), monkeypatch, 1)
    assert (most_sets, set(most_of.values())) == (1, {1})
    assert lab.bucket_counts() == {"complete": 9}
    assert lab.times_billed(ids) == [1] * 9


def test_sets_that_share_sessions_and_questions_are_written_at_one_time(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.desk.engine.begin() as connection:
        company_id, _ = lab.company(0)
        session_ids = [make_session(connection, company_id) for _ in range(4)]
        for model in ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini"):
            for session_id in reversed(session_ids):
                make_request(connection, session_id, model=model)
    lab.submit()
    lab.poll_to_the_end()
    most_sets, _ = written_at_once(lab.under(rows_per_write=4), monkeypatch, 2)
    assert most_sets == 2
    assert lab.bucket_counts() == {"complete": 16}
    linked = lab.desk.column('SELECT count(*) FROM public."SessionQuestion"')
    assert linked == [len(session_ids)], "the one question of each"


def test_python_looks_for_cycles_less_often_while_rows_are_moved(lab: Lab) -> None:
    before = gc.get_threshold()
    during = []

    class Looking(OriginalQueries):
        def claim(self, *arguments: Any) -> Any:
            during.append(gc.get_threshold())
            return super().claim(*arguments)

        def take_ended(self, *arguments: Any) -> Any:
            during.append(gc.get_threshold())
            raise RuntimeError("also when it fails")

    lab.company(1)
    looking = lab.asking(Looking(lab.desk.engine))
    assert looking.submit().batches == 1
    lab.poll_to_the_end()
    with pytest.raises(RuntimeError):
        looking.ingest()
    assert [threshold[0] > before[0] for threshold in during] == [True, True]
    assert gc.get_threshold() == before


def test_a_row_that_the_database_refuses_holds_up_no_other_set_of_its_batch(lab: Lab) -> None:
    ids = in_flight(lab, 9)
    lab.desk.do(
        'ALTER TABLE public."Session" ADD CONSTRAINT refused'
        f" CHECK (id <> '{lab.desk.session_id(ids[0])}') NOT VALID"
    )
    few = lab.under(rows_per_write=2)
    report = few.ingest()
    assert (report.rows.completed, report.rows.set_aside) == (8, 1)
    assert (report.finalized, report.postponed) == (0, 1)
    lab.desk.do('ALTER TABLE public."Session" DROP CONSTRAINT refused')
    assert few.ingest().rows.completed == 1
    assert lab.bucket_counts() == {"complete": 9}
    assert lab.times_billed(ids) == [1] * 9


def test_stages_that_run_at_once_leave_the_looks_for_cycles_as_they_were() -> None:
    before = gc.get_threshold()
    collections = RareCollections()
    first, second = threading.Event(), threading.Event()

    def one() -> None:
        with collections:
            first.set()
            assert second.wait(WAIT_SECONDS)

    thread = threading.Thread(target=one)
    thread.start()
    assert first.wait(WAIT_SECONDS)
    with collections:
        second.set()
        thread.join()
        assert gc.get_threshold()[0] > before[0], "the other one has ended, and this one has not"
    assert gc.get_threshold() == before
