"""Faults of HTTP calls: what the client sees, and what was done all the same."""

import time
from typing import Any

import httpx2
import openai
import pytest

from batch_assets_tests.local.batch_server.support import ENDPOINT, Lab, row, wait_until


def rule(operation: str, **parts: Any) -> dict[str, Any]:
    """A rule that strikes once; the effect's fields may be given beside `kind`."""
    chance = {
        name: parts.pop(name) for name in ("after", "count", "probability", "seed") if name in parts
    }
    return {"operation": operation, "count": 1, "effect": parts} | chance


def create(lab: Lab, file_id: str) -> openai.types.Batch:
    return lab.client.batches.create(
        input_file_id=file_id, endpoint=ENDPOINT, completion_window="24h"
    )


def test_a_status_with_openais_error_and_headers(lab: Lab) -> None:
    lab.configure(
        calls=[
            rule(
                "batches.retrieve",
                kind="answer",
                status=429,
                error={"message": "Slow down.", "type": "tokens", "code": "rate_limit_exceeded"},
                headers={"Retry-After": "7"},
            )
        ]
    )
    with pytest.raises(openai.RateLimitError) as refused:
        lab.client.batches.retrieve("batch_x")
    assert (refused.value.type, refused.value.code) == ("tokens", "rate_limit_exceeded")
    assert refused.value.response.headers["retry-after"] == "7"
    assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.value.request_id is not None
    with pytest.raises(openai.NotFoundError):
        lab.client.batches.retrieve("batch_x")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_every_status_is_the_sdks_own_error(
    lab: Lab, status: int, error: type[openai.APIStatusError]
) -> None:
    lab.configure(calls=[rule("batches.list", kind="answer", status=status)])
    with pytest.raises(error) as refused:
        lab.client.batches.list()
    assert refused.value.type is not None


def test_an_error_after_the_work_was_done(fresh_lab: Lab) -> None:
    file = fresh_lab.upload([row("r1")])
    fresh_lab.configure(calls=[rule("batches.create", kind="answer", status=500, work_done=True)])
    with pytest.raises(openai.InternalServerError):
        create(fresh_lab, file.id)
    (batch,) = fresh_lab.client.batches.list()
    assert batch.input_file_id == file.id


def test_an_error_before_the_work(fresh_lab: Lab) -> None:
    file = fresh_lab.upload([row("r1")])
    fresh_lab.configure(calls=[rule("batches.create", kind="answer", status=500)])
    with pytest.raises(openai.InternalServerError):
        create(fresh_lab, file.id)
    assert fresh_lab.client.batches.list().data == []


@pytest.mark.parametrize(("work", "made"), [("never", 0), ("done", 1)])
def test_a_dropped_connection(fresh_lab: Lab, work: str, made: int) -> None:
    file = fresh_lab.upload([row("r1")])
    fresh_lab.configure(calls=[rule("batches.create", kind="drop", work=work)])
    with pytest.raises(openai.APIConnectionError):
        create(fresh_lab, file.id)
    assert len(fresh_lab.client.batches.list().data) == made


def test_a_dropped_upload_leaves_no_spooled_file(fresh_lab: Lab) -> None:
    fresh_lab.configure(calls=[rule("files.create", kind="drop", work="never")])
    with pytest.raises(openai.APIConnectionError):
        fresh_lab.upload(b"x" * 300_000)
    assert fresh_lab.client.files.list().data == []
    assert list((fresh_lab.server.state_dir / "spool").iterdir()) == []


def test_a_lost_answer_makes_the_sdk_buy_twice(fresh_lab: Lab) -> None:
    """What `max_retries=0` is for: the SDK's own retry creates a second batch."""
    file = fresh_lab.upload([row("r1")])
    fresh_lab.configure(calls=[rule("batches.create", kind="drop", work="done")])
    create(Lab(fresh_lab.server, fresh_lab.client.with_options(max_retries=2)), file.id)
    wait_until(lambda: fresh_lab.server.ledger().repeated() == {"r1": 2})


def test_work_that_happens_later(fresh_lab: Lab) -> None:
    file = fresh_lab.upload([row("r1")])
    fresh_lab.configure(
        calls=[rule("batches.create", kind="drop", work="later", later_seconds=1.0)]
    )
    with pytest.raises(openai.APIConnectionError):
        create(fresh_lab, file.id)
    assert fresh_lab.client.batches.list().data == []
    wait_until(lambda: len(fresh_lab.client.batches.list().data) == 1)


def test_a_late_create_without_its_file_fails_in_validation(fresh_lab: Lab) -> None:
    file = fresh_lab.upload([row("r1")])
    fresh_lab.configure(
        calls=[rule("batches.create", kind="drop", work="later", later_seconds=1.0)]
    )
    with pytest.raises(openai.APIConnectionError):
        create(fresh_lab, file.id)
    fresh_lab.client.files.delete(file.id)
    wait_until(lambda: [one.status for one in fresh_lab.client.batches.list()] == ["failed"])
    assert fresh_lab.server.ledger().totals().requests == 0


def test_work_after_the_client_gave_up(fresh_lab: Lab) -> None:
    file = fresh_lab.upload([row("r1")])
    fresh_lab.configure(calls=[rule("batches.create", kind="delay", seconds=1.0)])
    with pytest.raises(openai.APITimeoutError):
        create(Lab(fresh_lab.server, fresh_lab.client.with_options(timeout=0.1)), file.id)
    assert fresh_lab.client.batches.list().data == []
    wait_until(lambda: len(fresh_lab.client.batches.list().data) == 1)


def test_an_upload_that_acts_after_the_client_gave_up(fresh_lab: Lab) -> None:
    fresh_lab.configure(calls=[rule("files.create", kind="delay", seconds=0.3)])
    with pytest.raises(openai.APITimeoutError):
        Lab(fresh_lab.server, fresh_lab.client.with_options(timeout=0.1)).upload([row("r1")])
    wait_until(lambda: len(fresh_lab.client.files.list().data) == 1)


def test_a_delay_between_work_and_answer(fresh_lab: Lab) -> None:
    file = fresh_lab.upload([row("r1")])
    fresh_lab.configure(calls=[rule("batches.create", kind="delay", seconds=0.3, when="after")])
    with pytest.raises(openai.APITimeoutError):
        create(Lab(fresh_lab.server, fresh_lab.client.with_options(timeout=0.1)), file.id)
    assert len(fresh_lab.client.batches.list().data) == 1


@pytest.mark.parametrize("framing", ["content_length", "chunked"])
def test_a_download_that_breaks_off(lab: Lab, framing: str) -> None:
    file = lab.upload(b"0123456789" * 100_000)
    lab.configure(
        calls=[rule("files.content", kind="truncate", after_bytes=400_000, framing=framing)]
    )
    received: list[bytes] = []
    with lab.client.files.with_streaming_response.content(file.id) as response:
        blocks = response.iter_bytes()
        with pytest.raises(httpx2.RemoteProtocolError):
            received.extend(blocks)
    assert sum(map(len, received)) == 400_000
    assert len(lab.client.files.content(file.id).read()) == 1_000_000


def test_a_download_that_is_short_without_a_sign(lab: Lab) -> None:
    file = lab.upload(b"0123456789" * 100_000)
    lab.configure(
        calls=[rule("files.content", kind="truncate", after_bytes=300_001, framing="silent")]
    )
    assert len(lab.client.files.content(file.id).read()) == 300_001


def test_a_truncated_json_answer(lab: Lab) -> None:
    lab.configure(calls=[rule("batches.list", kind="truncate", after_bytes=10)])
    with pytest.raises(openai.APIConnectionError):
        lab.client.batches.list()


def test_which_calls_are_struck(lab: Lab) -> None:
    lab.configure(calls=[rule("models.list", after=2, count=3, kind="answer", status=500)])
    assert outcomes(lab, 8) == "..xxx..."


def test_chances_are_drawn_by_seed(lab: Lab) -> None:
    def with_seed(seed: int) -> str:
        chance = {"count": None, "probability": 0.5, "seed": seed}
        lab.configure(calls=[rule("models.list", **chance, kind="answer", status=500)])
        return outcomes(lab, 40)

    first = with_seed(1)
    assert first == with_seed(1)
    assert first != with_seed(2)
    assert 8 < first.count("x") < 32


def test_a_star_matches_every_call_and_rules_add_up(lab: Lab) -> None:
    lab.configure(
        calls=[
            rule("*", kind="delay", seconds=0.05),
            rule("models.list", kind="delay", seconds=0.05),
            rule("models.list", kind="answer", status=503),
        ]
    )
    begun = time.monotonic()
    assert outcomes(lab, 2) == "x."
    assert time.monotonic() - begun >= 0.1


def outcomes(lab: Lab, calls: int) -> str:
    """A letter a call: a dot for an answer, an x for a failure."""
    letters = []
    for _ in range(calls):
        try:
            lab.client.models.list()
            letters.append(".")
        except openai.APIStatusError:
            letters.append("x")
    return "".join(letters)
