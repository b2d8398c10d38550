"""Batches that do not end, whatever is asked of them, and a server whose clock is wrong."""

import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from batch_assets_local.batch_server import ServerConfig, running_server
from batch_assets_tests.local.batch_server.support import Lab, echo, row, rows, wait_until

DAY = 86_400


def stalled(lab: Lab, status: str, **rule: Any) -> openai.types.Batch:
    """A batch of five rows that has come to a status and stays there."""
    lab.configure(batches=[{"end_as": "stalled", "count": 1, "after_rows": 2, **rule}])
    return lab.until(lab.create(rows(5)), status)


def later(lab: Lab, seconds: float) -> None:
    """Let time pass on the server; the batches' fates were decided before."""
    lab.configure(timing={"clock_offset_seconds": seconds})


def stays(lab: Lab, batch: openai.types.Batch, status: str) -> bool:
    """Whether it is still there when another one has gone its whole way."""
    lab.until(lab.create(rows(1)), "completed")
    return lab.client.batches.retrieve(batch.id).status == status


def test_one_that_finalizes_for_ever_cannot_be_cancelled(lab: Lab) -> None:
    batch = stalled(lab, "finalizing", stalls_in="finalizing")
    later(lab, 5 * DAY)
    assert stays(lab, batch, "finalizing")
    with pytest.raises(openai.ConflictError):
        lab.client.batches.cancel(batch.id)
    assert len(list(lab.server.ledger().entries(batch_id=batch.id))) == 5, "all of it is paid"


@pytest.mark.parametrize(
    "rule", [{"stalls_in": "cancelling"}, {"survives": ["cancel"]}], ids=["cancelling", "survives"]
)
def test_one_that_is_cancelled_for_ever(lab: Lab, rule: dict[str, Any]) -> None:
    batch = stalled(lab, "in_progress", **rule)
    assert stays(lab, batch, "in_progress")
    lab.client.batches.cancel(batch.id)
    later(lab, 5 * DAY)
    assert stays(lab, batch, "cancelling")
    assert len(list(lab.server.ledger().entries(batch_id=batch.id))) == 2


@pytest.mark.parametrize(("survives", "status"), [([], "expired"), (["window"], "in_progress")])
def test_one_that_runs_for_ever(lab: Lab, survives: list[str], status: str) -> None:
    batch = stalled(lab, "in_progress", survives=survives)
    later(lab, 5 * DAY)
    assert lab.until(batch, status)
    assert stays(lab, batch, status)


@pytest.mark.parametrize("status", ["in_progress", "finalizing", "cancelling"])
def test_one_that_is_stuck_for_a_while_only(lab: Lab, status: str) -> None:
    batch = stalled(
        lab,
        "finalizing" if status == "finalizing" else "in_progress",
        stalls_in=status,
        stalled_seconds=3_600,
    )
    if status == "cancelling":
        lab.client.batches.cancel(batch.id)
    later(lab, 3_500)
    assert stays(lab, batch, status)
    later(lab, 3_601)
    done = lab.until(batch, "cancelled" if status == "cancelling" else "completed")
    assert len(lab.lines(done.output_file_id)) == (2 if status == "cancelling" else 5)


def test_a_restart_moves_nothing_that_is_stuck(tmp_path: Path) -> None:
    fate = {"end_as": "stalled", "stalls_in": "finalizing"}
    for config in (ServerConfig.instant(batches=[fate | {"count": 1}]), None):
        with (
            running_server(tmp_path / "state", config=config, answerer=echo) as server,
            OpenAI(api_key="k", base_url=server.base_url, max_retries=0) as client,
        ):
            lab = Lab(server, client)
            if config is not None:
                lab.until(lab.create([row("r1")]), "finalizing")
            batch = list(client.batches.list())[-1]
            assert batch.status == "finalizing"
            assert stays(lab, batch, "finalizing")


def test_what_is_stuck_can_be_let_go(lab: Lab) -> None:
    batch = stalled(lab, "finalizing", stalls_in="finalizing")
    assert lab.control("POST", f"batches/{batch.id}/release").status_code == 200
    assert len(lab.lines(lab.until(batch, "completed").output_file_id)) == 5
    assert lab.control("POST", f"batches/{batch.id}/release").status_code == 409


@pytest.mark.parametrize("skew", [-900, 900])
def test_a_clock_that_is_wrong_shows_in_dates_and_headers(lab: Lab, skew: float) -> None:
    lab.configure(timing={"clock_skew_seconds": skew})
    wanted = time.time() + skew
    made = lab.create(rows(1))
    answer = lab.client.batches.with_raw_response.retrieve(made.id)
    told = parsedate_to_datetime(answer.headers["date"]).timestamp()
    assert told == pytest.approx(wanted, abs=30)
    assert made.created_at == pytest.approx(wanted, abs=30)
    assert lab.client.files.retrieve(made.input_file_id).created_at == pytest.approx(wanted, abs=30)
    assert answer.headers.get_list("date") == [answer.headers["date"]]


def test_time_that_passes_on_the_server_leaves_its_header_alone(lab: Lab) -> None:
    lab.configure(timing={"clock_offset_seconds": DAY})
    answer = lab.client.batches.with_raw_response.list()
    told = parsedate_to_datetime(answer.headers["date"]).timestamp()
    assert told == pytest.approx(time.time(), abs=30)


def test_answers_without_a_date(lab: Lab) -> None:
    lab.configure(quirks={"without_date": True})
    assert "date" not in lab.client.batches.with_raw_response.list().headers


def test_a_stall_holds_nobody_up(lab: Lab) -> None:
    for status in ("finalizing", "in_progress"):
        stalled(lab, status, stalls_in=status)
    wait_until(lambda: lab.run(rows(2)).status == "completed")
