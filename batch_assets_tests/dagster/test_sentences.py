"""The one line of each op, from what its stage reports."""

from collections import Counter
from dataclasses import replace

from batch_assets.domain.batches import Written
from batch_assets.domain.records import Backlog
from batch_assets.ops import sentences
from batch_assets.stages.abandoned import AbandonedReport
from batch_assets.stages.overdue import OverdueReport
from batch_assets.stages.plan import DueReport
from batch_assets.stages.poll import PollReport
from batch_assets.stages.recover import RecoverReport
from batch_assets.stages.result_writer import IngestReport
from batch_assets.stages.retry import RetryReport
from batch_assets.stages.submit import SubmitReport
from batch_assets.stages.synchronous_requests import SynchronousReport
from batch_assets_tests.policies import a_policy


def test_of_polling() -> None:
    polled = PollReport(
        in_flight=2,
        oldest_batch_seconds=7_300,
        ended=1,
        unseen=1,
        unknown=1,
        late=OverdueReport(overdue=1, overdue_cancelled=1, stuck=1),
    )
    recovered = RecoverReport(taken_over=3, adopted=1, absent=1, released=1, external=2)
    assert sentences.of_polling(polled, recovered) == (
        "2 batches run on the server, the oldest for 2 h. Ended since the last look: 1. Of 1 the "
        "server told nothing: they stay as they are. It does not know 1 of them: `batch-assets "
        "abandon BATCH --dry-run` says whether one can be given up. Cancelled after "
        "BATCH_TIMEOUT_HOURS: 1. 1 batch does not end: `batch-assets abandon BATCH --force "
        "--dry-run` says what it costs to give one up. Of 3 batches that other runs left open, 1 "
        "were on the server, 1 are looked for again, and 1 were never made, so that their requests "
        "wait again. Newly watched batches of LiveDash: 2."
    )


def test_of_reading() -> None:
    report = IngestReport(
        finalized=1,
        postponed=2,
        rows=Written(completed=5, retry=2, dead=1, cost_eur=0.5, saved_eur=0.5),
        refused=Counter(not_in_batch=1),
        failures=Counter(server_error=2, refused=1),
    )
    assert sentences.of_reading(report, AbandonedReport()) == (
        "Read 1 batch to the end: 5 complete, 2 to be retried, 1 dead letters (failures: 2 "
        "server_error, 1 refused). They cost 0.5000 EUR, 0.5000 less than synchronous "
        "requests would have. Lines that were not applied: 1 not_in_batch. 2 batches are read "
        "again by a later run."
    )
    late = AbandonedReport(late_answers=3, wasted_abandoned_eur=0.25)
    assert sentences.of_reading(IngestReport(), late) == (
        "No ended batch waits to be read. Batches that were given up brought 3 answers that nobody "
        "needs any more: 0.2500 EUR are wasted."
    )


def test_of_due_and_retrying() -> None:
    due = DueReport(
        due=(Backlog("a", 12, 60),),
        waiting_requests=15,
        waiting_companies=3,
        oldest_wait_seconds=90,
    )
    assert sentences.of_due(due, a_policy()) == (
        "15 requests wait for 3 companies, the oldest for 1 min; due are 12 of 1 company. 2 other "
        "companies have fewer than 10 requests, none of them 30 min old."
    )
    assert sentences.of_due(DueReport(), a_policy()) == "Nothing waits to be sent."
    assert sentences.of_retrying(RetryReport(1)) == (
        "1 failed request waits again: the retry date had come."
    )


def test_of_what_is_sent_synchronously_and_what_is_held() -> None:
    held = SynchronousReport(synchronous_held=Counter({"cap on requests": 3}))
    assert sentences.of_retrying(RetryReport(0, held)) == (
        "Not sent synchronously: 3 (cap on requests)."
    )
    assert sentences.of_flex(held) == "Not sent by flex: 3 (cap on requests)."
    sent = replace(held, synchronous_calls=2, synchronous_completed=1, synchronous_cost_eur=0.5)
    assert sentences.of_retrying(RetryReport(1, sent)) == (
        "1 failed request waits again: the retry date had come. 2 requests sent synchronously, "
        "1 answered for 0.5000 EUR. Not sent synchronously: 3 (cap on requests)."
    )
    assert sentences.of_flex(SynchronousReport()) == "No request was to be sent by flex."


def test_of_sending() -> None:
    report = SubmitReport(
        released=1,
        unresolved=2,
        rejected=Counter(no_messages=3),
        held=Counter({"cap on requests": 4}),
    )
    assert sentences.of_sending(report, "") == (
        "Nothing was sent. Left waiting: 4 (cap on requests). Can never be sent: 3 no_messages. "
        "Batches that were not taken, their requests wait again: 1. Batches that a later run looks "
        "up: 2."
    )
    assert sentences.of_sending(SubmitReport(), "held") == (
        "Nothing is submitted now: the warning says why."
    )
