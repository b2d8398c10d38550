"""LiveDash one migration newer: a run says so in red, buys nothing, and loses no paid answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from batch_assets.domain.errors import LiveDashChangedError
from batch_assets.store.alerts import Alerts
from batch_assets.store.livedash_contract import NEEDS
from batch_assets.store.watching import Watching
from batch_assets_tests.stages.support import Lab

CHANGES = {
    'column "Session"."forwardedHr"': (
        'ALTER TABLE public."Session" RENAME "forwardedHr" TO "forwardedToHr"',
        'ALTER TABLE public."Session" RENAME "forwardedToHr" TO "forwardedHr"',
    ),
    'column "AIProcessingRequest"."requestedAt"': (
        'ALTER TABLE public."AIProcessingRequest" RENAME "requestedAt" TO "askedAt"',
        'ALTER TABLE public."AIProcessingRequest" RENAME "askedAt" TO "requestedAt"',
    ),
    'column "Message"."content"': (
        'ALTER TABLE public."Message" RENAME content TO body',
        'ALTER TABLE public."Message" RENAME body TO content',
    ),
    'table "SessionQuestion"': (
        'ALTER TABLE public."SessionQuestion" RENAME TO "QuestionOfSession"',
        'ALTER TABLE public."QuestionOfSession" RENAME TO "SessionQuestion"',
    ),
    'table "Company"': (
        'ALTER TABLE public."Company" RENAME TO "Tenant"',
        'ALTER TABLE public."Tenant" RENAME TO "Company"',
    ),
    'enum "SentimentCategory" lacks the value POSITIVE': (
        "ALTER TYPE public.\"SentimentCategory\" RENAME VALUE 'POSITIVE' TO 'GOOD'",
        "ALTER TYPE public.\"SentimentCategory\" RENAME VALUE 'GOOD' TO 'POSITIVE'",
    ),
    'column "Session"."sentiment" has the type Mood': (
        'ALTER TYPE public."SentimentCategory" RENAME TO "Mood"',
        'ALTER TYPE public."Mood" RENAME TO "SentimentCategory"',
    ),
    'computes the column "AIProcessingRequest"."totalTokens"': (
        'ALTER TABLE public."AIProcessingRequest" DROP COLUMN "totalTokens", ADD COLUMN'
        ' "totalTokens" integer GENERATED ALWAYS AS ("promptTokens" + "completionTokens") STORED',
        'ALTER TABLE public."AIProcessingRequest" DROP COLUMN "totalTokens", ADD COLUMN'
        ' "totalTokens" integer NOT NULL DEFAULT 0',
    ),
}


@contextmanager
def changed(lab: Lab, what: str) -> Iterator[None]:
    before, after = CHANGES[what]
    lab.desk.do(before)
    try:
        yield
    finally:
        lab.desk.do(after)


@pytest.mark.parametrize("what", CHANGES)
def test_paid_results_are_read_when_it_is_back(lab: Lab, what: str) -> None:
    _, ids = lab.company(2)
    lab.submit()
    lab.poll_to_the_end()
    files = lab.all_file_ids()
    with changed(lab, what), pytest.raises(LiveDashChangedError) as raised:
        lab.ingest()
    assert what.split(" lacks", maxsplit=1)[0] in str(raised.value)
    assert lab.statuses(ids) == ["BATCHING_IN_PROGRESS"] * 2
    assert lab.batches("ended") == lab.batches()
    assert lab.all_file_ids() == files
    lab.ingest()
    assert lab.bucket_counts() == {"complete": 2}
    assert lab.times_billed(ids) == [1, 1]


@pytest.mark.parametrize("what", list(CHANGES)[:5])
def test_nothing_is_bought_whose_answer_could_not_be_written(lab: Lab, what: str) -> None:
    _, ids = lab.company(2)
    with changed(lab, what), pytest.raises(LiveDashChangedError):
        lab.submit()
    assert lab.batches() == []
    assert lab.times_billed(ids) == [0, 0]


def test_a_new_column_that_must_not_be_empty_is_named(lab: Lab) -> None:
    lab.company(1)
    lab.desk.do(
        "ALTER TABLE public.\"AIBatchRequest\" ADD COLUMN region text NOT NULL DEFAULT 'eu'"
    )
    lab.desk.do('ALTER TABLE public."AIBatchRequest" ALTER COLUMN region DROP DEFAULT')
    try:
        with pytest.raises(LiveDashChangedError, match=r'"AIBatchRequest"\."region" is new'):
            lab.submit()
    finally:
        lab.desk.do('ALTER TABLE public."AIBatchRequest" DROP COLUMN region')
    assert lab.bucket_counts() == {"waiting": 1}


def test_the_alert_and_the_sensors_name_it(lab: Lab) -> None:
    assert Alerts(lab.desk.engine).recent(60).livedash_lacks == ()
    with changed(lab, 'column "Session"."forwardedHr"'):
        assert Alerts(lab.desk.engine).recent(60).livedash_lacks == (
            'the column "Session"."forwardedHr"',
        )
    with (
        changed(lab, 'column "AIProcessingRequest"."requestedAt"'),
        pytest.raises(LiveDashChangedError, match="requestedAt"),
    ):
        Watching(lab.desk.engine).newly_due(lab.pipeline.policy.due_rule, datetime.now(UTC))


def test_every_column_that_a_run_needs_is_there(lab: Lab) -> None:
    assert lab.pipeline.read_snapshot().livedash_lacks == ()
    assert len(NEEDS["needed_tables"]) == len(NEEDS["needed_columns"]) > 70
