"""Batches that LiveDash itself has in flight: read to the end, never cancelled, never deleted."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batch_assets_tests.factories import make_company, make_external_batch, make_requests
from batch_assets_tests.stages.support import Lab

LIVEDASHS_ANSWER = {
    "sentiment": "positive",
    "category": "LEAVE_VACATION",
    "summary": "The employee asked about days off.",
    "language": "en",
}


def submit_as_livedash(lab: Lab, tmp_path: Path, ids: Sequence[str], **batch: Any) -> str:
    """Upload and create a batch as LiveDash's own code does; the server's id."""
    path = tmp_path / "livedash.jsonl"
    lines = (
        {
            "custom_id": request_id,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "gpt-4o-mini",
                "messages": [{"role": "user", "content": "user: Hoi"}],
                "temperature": 0.1,
                "max_tokens": 1_000,
            },
        }
        for request_id in ids
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file_id = lab.pipeline.api.upload(path, "batch.jsonl")
    return lab.pipeline.api.create_batch(file_id, batch, 3_600).id


def in_flight(lab: Lab, tmp_path: Path, answer: dict[str, Any]) -> tuple[str, list[str], str]:
    """LiveDash's row of a batch that runs, its requests, and the server's id."""
    lab.configure(rows=[{"effect": {"kind": "content", "content": json.dumps(answer)}}])
    with lab.desk.engine.begin() as connection:
        company_id = make_company(connection)
        ids = make_requests(connection, company_id, 2, processing_type="session_analysis")
    remote = submit_as_livedash(lab, tmp_path, ids)
    with lab.desk.engine.begin() as connection:
        batch_id = make_external_batch(
            connection,
            company_id,
            request_ids=ids,
            openai_batch_id=remote,
            age=timedelta(hours=1),
        )
    return batch_id, ids, remote


def test_what_livedash_asked_for_is_taken_over_in_its_own_words(lab: Lab, tmp_path: Path) -> None:
    batch_id, ids, _ = in_flight(lab, tmp_path, LIVEDASHS_ANSWER)
    assert lab.recover().external == 1
    report = lab.read_to_the_end()
    assert (report.finalized, report.rows.completed) == (1, 2)
    session = lab.desk.session(ids[0])
    assert (session.sentiment, session.category) == ("POSITIVE", "LEAVE_VACATION")
    assert (session.language, session.escalated) == ("en", None)
    assert lab.desk.livedash_batch(batch_id).status == "PROCESSED"
    assert lab.desk.attempt(ids[0]).cost_eur > 0, "priced by the model that answered"
    assert lab.recover().external == 0


def test_a_part_of_an_answer_is_better_than_none(lab: Lab, tmp_path: Path) -> None:
    _, ids, _ = in_flight(lab, tmp_path, {"sentiment": "NEGATIVE", "category": "LUNCH"})
    lab.recover()
    assert lab.read_to_the_end().rows.completed == 2
    session = lab.desk.session(ids[0])
    assert (session.sentiment, session.category) == ("NEGATIVE", None)


def test_what_cannot_be_used_is_tried_again_in_a_batch_of_ours(lab: Lab, tmp_path: Path) -> None:
    batch_id, ids, remote = in_flight(lab, tmp_path, {"nothing": "known"})
    lab.recover()
    assert lab.read_to_the_end().rows.retry == 2
    lab.finish()
    assert lab.bucket_counts() == {"complete": 2}
    assert lab.times_billed(ids) == [2, 2]
    (ours,) = [one for one in lab.batches() if one != batch_id]
    assert lab.desk.batch(ours).installation_id is not None
    assert lab.pipeline.api.retrieve(remote).status == "completed"


@pytest.mark.parametrize("hours", [0, 1])
def test_submission_waits_while_livedash_makes_batches(lab: Lab, hours: int) -> None:
    with lab.desk.engine.begin() as connection:
        make_external_batch(connection, make_company(connection), age=timedelta(hours=hours))
    held = lab.pipeline.registry.installation().hold_reason
    assert (held is None) == (hours == 1)
