"""No text of a conversation or an answer, and no key, comes where it does not belong."""

import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.errors import ApiError
from batch_assets.domain.records import Findings
from batch_assets_tests.stages.support import ANSWER, API_KEY, Lab, call_rule, refusal
from batch_assets_tests.store.queries.support import completed

SPOKEN = "canary-spoken-9c1f"
WRITTEN = "canary-written-4d7b"
CANARIES = (SPOKEN, WRITTEN, "canary-0123456789")
"""In a conversation, in an answer, and the end of the API key."""

LOGGERS = ("batch_assets", "openai", "httpx2", "httpcore2", "httpx", "httpcore")
QUOTING = f"Incorrect API key provided: {API_KEY}. Your input was: {SPOKEN} {WRITTEN}"
"""Messages of the API quote what they refuse."""


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for name in LOGGERS:
        caplog.set_level(logging.DEBUG, logger=name)


@pytest.fixture
def nothing_leaks(lab: Lab, caplog: pytest.LogCaptureFixture) -> Callable[..., None]:
    """Compares the log, the tables and whatever else is given with the canaries."""

    def check(*others: object) -> None:
        tables = dict(lab.desk.everything())
        # Where LiveDash itself keeps what an analysis says.
        del tables["session"], tables["question"]
        records = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
        assert caplog.records
        for canary in CANARIES:
            assert canary not in records
            assert canary not in caplog.text
            assert canary not in repr(tables)
            assert canary not in "\n".join(map(repr, others))

    return check


def talk(lab: Lab, count: int = 2) -> list[str]:
    return lab.company(count, messages=[("user", f"My name is {SPOKEN}."), ("bot", SPOKEN)])[1]


def told(error: BaseException) -> str:
    """All that a log or a run's failure shows of an error, its causes included."""
    return "".join(traceback.format_exception(error)) + repr(vars(error))


CONTENTS = {
    "good": json.dumps(ANSWER | {"summary": f"They said {WRITTEN}.", "questions": [WRITTEN]}),
    "not JSON": f"{WRITTEN} is my answer",
    "wrong category": json.dumps(ANSWER | {"category": WRITTEN}),
    "wrong keys": json.dumps({WRITTEN: WRITTEN, "language": [WRITTEN]}),
    "a bare text": json.dumps(WRITTEN),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_answers_of_every_kind(lab: Lab, nothing_leaks: Callable[..., None], content: str) -> None:
    lab.configure(rows=[{"effect": {"kind": "content", "content": CONTENTS[content]}}])
    ids = talk(lab)
    sent = lab.submit()
    read = lab.read_to_the_end()
    nothing_leaks(sent, read)
    assert (lab.bucket_counts() == {"complete": 2}) == (content == "good")
    if content == "good":
        assert WRITTEN in lab.desk.session(ids[0]).summary


@pytest.mark.parametrize("status", [400, 429, 500])
def test_rows_that_the_server_refuses(
    lab: Lab, nothing_leaks: Callable[..., None], status: int
) -> None:
    error = {"message": QUOTING, "param": f"messages {SPOKEN}", "code": f"Code {WRITTEN}"}
    lab.configure(rows=[{"effect": {"kind": "http_error", "status": status, "error": error}}])
    talk(lab)
    lab.submit()
    nothing_leaks(lab.read_to_the_end())


@pytest.mark.parametrize("call", ["files.create", "batches.create"])
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_calls_that_the_server_refuses(
    lab: Lab, nothing_leaks: Callable[..., None], call: str, status: int
) -> None:
    effect = refusal(status)
    effect["error"] = {"message": QUOTING, "type": QUOTING, "code": QUOTING, "param": QUOTING}
    lab.configure(calls=[call_rule(call, effect)])
    talk(lab)
    try:
        nothing_leaks(lab.submit())
    except ApiError as error:
        nothing_leaks(told(error))


@pytest.mark.parametrize("effect", [{"kind": "drop"}, {"kind": "drop", "work": "done"}])
def test_connections_that_are_lost(
    lab: Lab, nothing_leaks: Callable[..., None], effect: dict[str, Any]
) -> None:
    lab.configure(calls=[call_rule("files.create", effect)])
    talk(lab)
    nothing_leaks(lab.submit(), lab.recover())


def test_lines_that_cannot_be_read(lab: Lab, nothing_leaks: Callable[..., None]) -> None:
    lab.configure(
        rows=[
            {"lines": [1], "effect": {"kind": "invalid_json"}},
            {"lines": [2], "effect": {"kind": "unknown_custom_id"}},
        ]
    )
    talk(lab, 3)
    lab.submit()
    nothing_leaks(lab.read_to_the_end())


def test_batches_that_validation_refuses(lab: Lab, nothing_leaks: Callable[..., None]) -> None:
    lab.configure(batches=[{"end_as": "failed", "code": QUOTING, "message": QUOTING}])
    talk(lab)
    lab.submit()
    nothing_leaks(lab.read_to_the_end())


def test_what_the_database_refuses(lab: Lab, nothing_leaks: Callable[..., None]) -> None:
    ids = talk(lab)
    lab.submit()
    lab.poll_to_the_end()
    (batch,) = lab.desk.queries.take_ended(lab.desk.holder, 1)
    for findings in (Findings(language=f"{WRITTEN} too long"), Findings(summary=f"{WRITTEN}\0")):
        outcome = completed(ids[0], findings)
        try:
            written = lab.desk.write(batch.lease, [outcome], policy=lab.pipeline.policy)
        except (DBAPIError, psycopg.Error, ValueError) as refused:
            nothing_leaks("".join(traceback.format_exception(refused)))
        else:
            assert written is not None
            assert (written.completed, written.set_aside) == (0, 1)
            nothing_leaks(repr(written))


def test_records_do_not_show_what_they_hold(lab: Lab) -> None:
    talk(lab)
    (batch,) = lab.claim()
    (conversation, *_) = lab.desk.queries.conversations([batch.id])
    assert SPOKEN not in repr(conversation)
    assert SPOKEN in repr(asdict(conversation)), "it does hold it"
    assert API_KEY not in repr(lab.pipeline)
