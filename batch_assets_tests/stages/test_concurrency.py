"""Companies are served side by side, and never more of them at a time than is set."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from batch_assets import analysis
from batch_assets.analysis import request_json
from batch_assets.domain.records import Conversation
from batch_assets.openai_batch import concurrency_limit
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.concurrency_limit import ConcurrencyLimit
from batch_assets.openai_batch.spool import Spool
from batch_assets.stages.concurrency import run_per_key
from batch_assets.stages.downloads import fetch_results
from batch_assets.stages.pipeline import Budget
from batch_assets.store.original import OriginalQueries
from batch_assets_tests.stages.support import API_KEY, Lab

PATIENCE_SECONDS = 120
MOMENT_SECONDS = 0.05
ITEMS = [(company, number) for number in range(3) for company in "abcdef"]


def company_of(item: tuple[str, int]) -> str:
    return item[0]


class Inside:
    """How many are at work at one time, at most."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


@pytest.mark.parametrize("at_a_time", [1, 4])
def test_no_more_companies_at_a_time_than_allowed_and_each_in_its_order(at_a_time: int) -> None:
    done: list[tuple[str, int]] = []
    inside = Inside()
    together = threading.Barrier(at_a_time)

    def work(item: tuple[str, int]) -> None:
        with inside:
            if item[1] == 0 and item[0] in "abcd":
                together.wait(timeout=PATIENCE_SECONDS)
            done.append(item)

    run_per_key(ITEMS, company_of, work, at_a_time=at_a_time, limit=ConcurrencyLimit(100))
    assert sorted(done) == sorted(ITEMS)
    assert inside.most == at_a_time
    for company in "abcdef":
        assert [number for one, number in done if one == company] == [0, 1, 2]


def test_what_fails_for_one_company_is_raised_when_the_others_are_done() -> None:
    done: Counter[str] = Counter()

    def work(item: tuple[str, int]) -> None:
        if item == ("b", 1):
            raise LookupError("b")
        done[item[0]] += 1

    with pytest.raises(LookupError):
        run_per_key(ITEMS, company_of, work, at_a_time=2, limit=ConcurrencyLimit(100))
    assert done == {"a": 3, "b": 1, "c": 3, "d": 3, "e": 3, "f": 3}


def test_nothing_more_is_begun_after_an_interruption() -> None:
    done: list[tuple[str, int]] = []
    all_wait = threading.Event()

    def items() -> Iterator[tuple[str, int]]:
        yield from ITEMS
        all_wait.set()

    def work(item: tuple[str, int]) -> None:
        all_wait.wait(timeout=PATIENCE_SECONDS)
        if item == ("b", 0):
            raise KeyboardInterrupt
        done.append(item)

    with pytest.raises(KeyboardInterrupt):
        run_per_key(items(), company_of, work, at_a_time=1, limit=ConcurrencyLimit(100))
    assert done == [("a", 0), ("a", 1), ("a", 2)]


def test_the_first_are_worked_on_while_the_others_are_made() -> None:
    done: list[tuple[str, int]] = []
    is_done = threading.Semaphore(0)

    def items() -> Iterator[tuple[str, int]]:
        for item in ITEMS:
            yield item
            assert is_done.acquire(timeout=PATIENCE_SECONDS)

    def work(item: tuple[str, int]) -> None:
        done.append(item)
        is_done.release()

    run_per_key(items(), company_of, work, at_a_time=2, limit=ConcurrencyLimit(100))
    assert done == ITEMS


def test_what_cannot_be_made_is_raised_when_what_was_begun_is_done() -> None:
    done: list[tuple[str, int]] = []

    def items() -> Iterator[tuple[str, int]]:
        yield from ITEMS[:3]
        raise LookupError("the fourth")

    with pytest.raises(LookupError, match="the fourth"):
        run_per_key(items(), company_of, done.append, at_a_time=3, limit=ConcurrencyLimit(100))
    assert set(done) <= set(ITEMS[:3])


def test_there_are_no_more_threads_than_slots_and_one_that_waits_for_the_next() -> None:
    limit = ConcurrencyLimit(100)
    together = threading.Barrier(limit.limit, timeout=PATIENCE_SECONDS)
    threads: set[int] = set()

    def work(number: int) -> None:
        threads.add(threading.get_ident())
        if number < limit.limit:
            together.wait()
        time.sleep(0.001)

    before = threading.active_count()
    run_per_key(range(200), str, work, at_a_time=100, limit=limit)
    assert limit.limit <= len(threads) <= limit.limit + 1
    assert threading.active_count() == before


def test_where_no_more_threads_can_be_begun_those_there_are_do_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def start_two(thread: threading.Thread) -> None:
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    done: list[tuple[str, int]] = []
    monkeypatch.setattr(threading.Thread, "start", start_two)
    run_per_key(ITEMS, company_of, done.append, at_a_time=6, limit=ConcurrencyLimit(100))
    assert sorted(done) == sorted(ITEMS)


def test_nothing_to_do_is_done() -> None:
    run_per_key([], company_of, lambda _: None, at_a_time=3, limit=ConcurrencyLimit(100))


class CountingApi(BatchApi):
    """The real client; counts how many of its calls run at one time.

    Each waits, however long it takes, until as many are there as are expected, and then a moment
    for one too many.
    """

    def __init__(self, lab: Lab, expected: int) -> None:
        super().__init__(API_KEY, lab.server.base_url)
        self.uploads = Inside()
        self.downloads = Inside()
        self._all_upload = threading.Barrier(expected, timeout=PATIENCE_SECONDS)
        self._all_download = threading.Barrier(expected, timeout=PATIENCE_SECONDS)

    def upload(self, path: Path, name: str) -> str:
        with self.uploads:
            self._all_upload.wait()
            time.sleep(MOMENT_SECONDS)
            return super().upload(path, name)

    def download(self, file_id: str):  # type: ignore[no-untyped-def]  # as the real one is typed
        with self.downloads:
            self._all_download.wait()
            time.sleep(MOMENT_SECONDS)
            yield from super().download(file_id)


@pytest.mark.parametrize(("at_a_time", "most"), [(1, 1), (3, 3), (50, 6)])
def test_calls_for_companies_run_side_by_side(
    lab: Lab, at_a_time: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the server were far away: of one that answers at once so many would be of no use.
    monkeypatch.setattr(concurrency_limit, "_SECONDS_A_CALL", 1e-6)
    ids = [row for _ in range(6) for row in lab.company(2)[1]]
    with CountingApi(lab, most) as api:
        wide = lab.under(concurrent_companies=at_a_time).using(api)
        # Far longer than calls wait for one another: none is left out since its time is up.
        long = Budget(seconds=10 * PATIENCE_SECONDS, rows=100_000)
        assert wide.submit(long).batches == 6
        wide.poll_to_the_end()
        assert wide.ingest(long).rows.completed == 12
        assert (api.uploads.most, api.downloads.most) == (most, most)
    assert lab.times_billed(ids) == [1] * 12


def test_a_company_that_cannot_be_written_is_no_other_companys_failure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, (first, second) = lab.company(2)
    lab.company(2)
    batches = lab.claim()

    def body_of(conversation: Conversation, model: str) -> bytes:
        if conversation.request_id == second:
            raise ValueError("this one cannot be written")
        return request_json(conversation, model)

    with monkeypatch.context() as patch:
        patch.setattr(analysis, "request_json", body_of)
        submitter = lab.send(batches)
    assert [batch.company_id == broken for batch in submitter.submitted] == [False]
    assert submitter.inputs.broken == {broken: "ValueError"}
    assert lab.statuses([first, second]) == ["PENDING_BATCHING"] * 2
    lab.finish()
    assert lab.bucket_counts() == {"complete": 4}


def test_results_that_the_database_refuses_are_no_other_companys_failure(lab: Lab) -> None:
    broken, (row, _) = lab.company(2)
    lab.company(2)
    lab.submit()
    lab.poll_to_the_end()
    refuse = (
        'ALTER TABLE public."Session" ADD CONSTRAINT refused'
        f" CHECK (id <> '{lab.desk.session_id(row)}') NOT VALID"
    )
    lab.desk.do(refuse)
    by_batch = lab.asking(OriginalQueries(lab.desk.engine))
    report = by_batch.ingest()
    assert report.failed == {}, f"not even {broken} is left out"
    assert (report.finalized, report.postponed) == (1, 1)
    assert (report.rows.completed, report.rows.set_aside) == (3, 1)
    lab.desk.do('ALTER TABLE public."Session" DROP CONSTRAINT refused')
    assert by_batch.ingest().rows.completed == 1
    assert lab.bucket_counts() == {"complete": 4}


class ExhaustedApi(BatchApi):
    """The real client; the first download is told that the account has no call left for a while."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(API_KEY, lab.server.base_url)
        self.downloads = 0

    def download(self, file_id: str):  # type: ignore[no-untyped-def]  # as the real one is typed
        self.downloads += 1
        headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}
        self.in_flight.note_taken(headers, seconds=1.0)
        yield from super().download(file_id)


def test_who_stops_reading_lets_nothing_more_be_fetched(lab: Lab) -> None:
    for _ in range(3):
        lab.company(1)
    lab.submit()
    lab.poll_to_the_end()
    installation_id = lab.pipeline.registry.installation().id
    batches = lab.pipeline.queries.take_ended(lab.pipeline.holder(installation_id), 10)
    with ExhaustedApi(lab) as api, Spool(lab.pipeline.spool_dir) as spool:
        # But for one slot all are taken, and after the first download there is none for a minute.
        with ExitStack() as others:
            for _ in range(api.in_flight.limit - 1):
                others.enter_context(api.in_flight.slot())
            results = fetch_results(api, batches, spool, at_a_time=3)
            assert len(next(results).files) == 1
            results.close()
        assert api.downloads == 1
    lab.pipeline.queries.expire([batch.lease for batch in batches])
    assert lab.ingest().rows.completed == 3
