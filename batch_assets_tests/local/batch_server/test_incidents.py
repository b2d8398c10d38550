"""Validation that fails by the server's own fault, for a while, a number of batches or a model."""

import time
from typing import Any

import pytest

from batch_assets_tests.local.batch_server.support import Lab, row, rows


def fails(**parts: Any) -> dict[str, Any]:
    """A rule that fails batches in validation."""
    return {"end_as": "failed", **parts}


@pytest.mark.parametrize(
    "error",
    [
        {"code": "invalid_request", "param": "file_id"},
        {"code": "internal_error", "message": "Something went wrong."},
        {"code": "billing_hard_limit_reached"},
        {"code": "model_not_found", "param": "body.model", "line": 1},
        {"message": "no code at all"},
    ],
    ids=lambda error: error.get("code", "none"),
)
def test_the_listed_errors_are_shown_as_they_stand(lab: Lab, error: dict[str, Any]) -> None:
    lab.configure(batches=[fails(errors=[error])])
    done = lab.run(rows(3))
    assert done.status == "failed"
    shown = {"code": None, "message": None, "param": None, "line": None} | error
    assert done.to_dict()["errors"] == {"object": "list", "data": [shown]}
    assert lab.client.batches.list().data[0].to_dict()["errors"] == done.to_dict()["errors"]


def test_a_failed_batch_without_any_error(lab: Lab) -> None:
    lab.configure(batches=[fails(without_errors=True)])
    done = lab.run(rows(1))
    assert (done.status, done.errors) == ("failed", None)


def test_several_errors_keep_their_order(lab: Lab) -> None:
    listed = [{"code": "server_error"}, {"code": "runner_lost", "line": 2}]
    lab.configure(batches=[fails(errors=listed)])
    assert lab.errors(lab.run(rows(3))) == [("server_error", None), ("runner_lost", 2)]


def test_an_incident_of_an_hour_by_the_servers_clock(lab: Lab) -> None:
    began = time.time()
    incident = fails(code="internal_error", since=began, until=began + 3_600)
    outcomes = []
    for seconds in (-60, 1, 3_500, 3_601):
        lab.configure(timing={"clock_offset_seconds": seconds}, batches=[incident])
        outcomes.append(lab.run(rows(1)).status)
    assert outcomes == ["completed", "failed", "failed", "completed"]


def test_what_comes_outside_an_incident_is_not_counted(lab: Lab) -> None:
    began = time.time()
    rule = fails(since=began + 100, count=1)
    lab.configure(batches=[rule])
    assert [lab.run(rows(1)).status for _ in range(2)] == ["completed"] * 2
    lab.configure(timing={"clock_offset_seconds": 101}, batches=[rule])
    assert [lab.run(rows(1)).status for _ in range(2)] == ["failed", "completed"]


def test_only_the_batches_of_one_model(lab: Lab) -> None:
    gone = {"code": "model_not_found", "param": "body.model", "line": 1}
    lab.configure(batches=[fails(model="gpt-4.1", errors=[gone])])
    assert lab.run(rows(2)).status == "completed"
    refused = lab.run([row("r1", model="gpt-4.1"), row("r2", model="gpt-4.1")])
    assert lab.errors(refused) == [("model_not_found", 1)]


def test_nothing_of_an_incident_is_billed(fresh_lab: Lab) -> None:
    fresh_lab.configure(batches=[fails(code="batch_failed")])
    fresh_lab.run(rows(5))
    assert fresh_lab.server.ledger().totals().requests == 0
