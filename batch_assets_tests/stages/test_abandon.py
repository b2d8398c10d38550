"""A batch that the server does not know is given up when an operator says so, and only then."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from batch_assets.domain.errors import ApiError, BatchAssetsError
from batch_assets.domain.metrics import RunMetrics
from batch_assets.domain.money import read_price
from batch_assets.stages.abandoned import AbandonedReport
from batch_assets.stages.controls.abandon import AbandonReport, abandon_batch
from batch_assets.stages.orphans import OrphanReport, find_orphans
from batch_assets.store.conservation import Conservation
from batch_assets.store.metrics import Metrics, ReportData
from batch_assets_tests.stages.support import AT_ONCE, Lab, call_rule, refusal, wait_until

HELD = {"hold_after_rows": 0}
UNKNOWN = call_rule("batches.retrieve", refusal(404))
UNLISTED = {"batch_list_lag_seconds": 3_600}


def sent(lab: Lab, *, hours_ago: int = 2) -> tuple[str, list[str]]:
    """A batch that the server has and does not finish; its id and its requests."""
    lab.configure(timing=HELD)
    _, ids = lab.company(2)
    lab.submit()
    (batch_id,) = lab.batches("submitted")
    lab.desk.do(
        "UPDATE batch_assets.batch AS b"
        " SET submitted_at = b.submitted_at - make_interval(hours => :hours)",
        hours=hours_ago,
    )
    return batch_id, ids


def lose(lab: Lab, **parts: Any) -> None:
    """From now on the server does not know any batch, whatever runs on it."""
    lab.configure(**{"timing": HELD, "calls": [UNKNOWN], "quirks": UNLISTED} | parts)


def abandon(lab: Lab, batch_id: str, older_than: str = "1h", **how: bool) -> AbandonReport:
    return abandon_batch(lab.pipeline, batch_id, older_than, str, **{"dry_run": False} | how)


def refused(lab: Lab, batch_id: str, older_than: str = "1h") -> str:
    """The sentence with which it is refused; nothing has changed then."""
    before = lab.desk.everything()
    with pytest.raises(BatchAssetsError) as caught:
        abandon(lab, batch_id, older_than)
    assert lab.desk.everything() == before
    return str(caught.value)


def turnarounds(lab: Lab) -> tuple[int, int | None]:
    """How many batches are taken for having ended, by the picture and by a run's metrics."""
    known = RunMetrics("run-2", datetime.now(UTC), "auto")
    end = Metrics(lab.desk.engine).record(known, None, 60, lab.pipeline.api.account)
    seen = end.metrics.batch_turnaround.turnaround_batches
    return ReportData(lab.desk.engine).turnaround(7).batches, seen


def test_what_is_paid_twice_is_not_known_without_a_price(lab: Lab) -> None:
    batch_id, _ = sent(lab)
    lose(lab)
    assert "paid for twice, for about 0.0" in abandon(lab, batch_id, dry_run=True).sentence
    lab.desk.do("UPDATE batch_assets.batch SET estimated_cost_eur = 0, price = NULL")
    for dry_run in (True, False):
        said = abandon(lab, batch_id, dry_run=dry_run).sentence
        assert "paid for twice, for an amount that is not known" in said
        assert "EUR" not in said


def test_what_is_paid_twice_is_nothing_where_the_model_is_free(lab: Lab) -> None:
    batch_id, _ = sent(lab.under(model_prices={"gpt-4o-mini": read_price("free")}))
    lose(lab)
    said = abandon(lab, batch_id, dry_run=True).sentence
    assert "paid for twice, for nothing, since their model is free" in said


def test_its_requests_wait_again_and_are_sent_again(lab: Lab) -> None:
    batch_id, ids = sent(lab)
    lose(lab)
    before = lab.desk.everything()
    assert lab.poll().unknown == 1
    foreseen = abandon(lab, batch_id, dry_run=True)
    assert "none of this installation: make sure that OPENAI_API_KEY" in foreseen.sentence
    assert "lets its 2 requests wait again; if it lives on" in foreseen.sentence
    assert lab.desk.everything() == before

    openai_id = lab.desk.batch(batch_id).openai_batch_id
    assert abandon(lab, openai_id).batch.state == "ended"
    row = lab.desk.batch(batch_id)
    assert (row.server_status, row.output_file_id, row.openai_batch_id) == ("lost", None, openai_id)
    assert lab.desk.livedash_batch(batch_id).status == "UPLOADING", "its rows are still in it"
    read = lab.ingest()
    assert (read.finalized, read.rows.returned, dict(read.finalized_as)) == (1, 2, {"lost": 1})
    assert lab.bucket_counts() == {"waiting": 2}
    assert not lab.desk.attempt(ids[0]).counted
    assert lab.desk.livedash_batch(batch_id).status == "CANCELLED"
    assert "is finalized: there is nothing to give up" in refused(lab, batch_id)
    assert Conservation(lab.desk.engine).all_rows().is_clean
    assert turnarounds(lab) == (0, 0), "when it ended, nobody knows"
    lab.finish()
    assert lab.bucket_counts() == {"complete": 2}
    assert turnarounds(lab) == (1, 1)


def test_nothing_of_it_is_waited_for(lab: Lab) -> None:
    batch_id, _ = sent(lab)
    lose(lab)
    abandon(lab, batch_id)
    lab.configure(timing=HELD, calls=[call_rule("*", refusal(500))])
    patient = lab.under(reading_grace_seconds=1_800, first_look_seconds=60)
    assert patient.ingest().rows.returned == 2


def test_a_late_answer_changes_nothing(lab: Lab) -> None:
    batch_id, _ = sent(lab)
    (asked,) = lab.pipeline.queries.batches_in_flight(10)
    answer = replace(lab.pipeline.api.retrieve(asked.openai_batch_id), status="expired")
    lose(lab)
    abandon(lab, batch_id)
    before = lab.desk.everything()
    changed = lab.pipeline.queries.record_statuses([(asked, answer)], frozenset({batch_id}))
    assert (changed, lab.desk.everything()) == (0, before)


def test_an_end_that_comes_first_is_kept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    batch_id, _ = sent(lab)
    (asked,) = lab.pipeline.queries.batches_in_flight(10)
    answer = replace(lab.pipeline.api.retrieve(asked.openai_batch_id), status="expired")
    lose(lab)
    registry = lab.pipeline.registry
    act = type(registry).abandon

    def after_another_run(self: Any, *which: Any, word: str) -> None:
        lab.pipeline.queries.record_statuses([(asked, answer)], frozenset({batch_id}))
        act(self, *which, word=word)

    monkeypatch.setattr(type(registry), "abandon", after_another_run)
    with pytest.raises(BatchAssetsError, match=r"moved meanwhile, .*\(it is ended, expired\)"):
        abandon(lab, batch_id)
    assert lab.desk.batch(batch_id).server_status == "expired"


def test_one_that_turns_up_again_is_cancelled_and_what_it_has_cost_is_booked(lab: Lab) -> None:
    batch_id, ids = sent(lab)
    recorded = lab.desk.batch(batch_id)
    lose(lab)
    abandon(lab, batch_id)
    lab.ingest()
    assert lab.read_abandoned() == AbandonedReport(abandoned_looked_at=1), "not known as yet"
    lab.configure(timing={"hold_after_rows": 1})
    assert lab.read_abandoned() == AbandonedReport(), "it was looked at a moment ago"
    orphans = find_orphans(lab.pipeline, lab.pipeline.read_snapshot())
    assert orphans == OrphanReport(), "it is not a second batch of its intent"
    found = lab.read_abandoned(whenever=True)
    assert found == AbandonedReport(abandoned_looked_at=1, abandoned_cancelled=1)
    api = lab.pipeline.api
    wait_until(lambda: api.retrieve(recorded.openai_batch_id).status == "cancelled")
    read = lab.read_abandoned(whenever=True)
    assert (read.abandoned_read, read.late_answers) == (1, lab.times_billed(ids).count(1))
    lab.clean()
    assert recorded.input_file_id not in lab.all_file_ids()
    lab.finish()
    assert lab.bucket_counts() == {"complete": 2}
    assert sum(lab.times_billed(ids)) == 2 + read.late_answers
    outcomes = lab.desk.column_pairs(
        "SELECT outcome, count(*) FROM batch_assets.attempt GROUP BY outcome ORDER BY outcome"
    )
    assert outcomes == [("completed", 2), ("unanswered", 2)]


def test_nothing_is_given_up_unless_the_server_is_certain(lab: Lab) -> None:
    batch_id, _ = sent(lab)
    assert "The server knows batch" in refused(lab, batch_id)
    lose(lab, quirks={})
    assert "The server lists batch" in refused(lab, batch_id)
    unwell = refusal(500, "not_found", headers=AT_ONCE)
    for operation in ("batches.retrieve", "batches.list"):
        lose(lab, calls=[call_rule(operation, unwell), UNKNOWN])
        assert "is not certain, and nothing was changed" in refused(lab, batch_id)
        lose(lab, calls=[call_rule(operation, refusal(403)), UNKNOWN])
        with pytest.raises(ApiError, match="refuses the account"):
            abandon(lab, batch_id)
    lose(lab, calls=[call_rule("*", refusal(404))])
    assert "is not certain" in refused(lab, batch_id), "it is no Batch API"
    lab.desk.do("UPDATE batch_assets.batch SET openai_batch_id = 'batch_of_another_key'")
    lab.configure(timing=HELD)
    listed = abandon(lab, batch_id, dry_run=True)
    assert (listed.listed_ours, listed.listed >= 1) == (1, True)
    assert ", 1 of this installation." in listed.sentence


def test_what_is_young_or_anothers_is_left_alone(lab: Lab) -> None:
    lab.company(1)
    (claimed,) = lab.claim()
    assert "is not on the server yet, as far as is known (claimed)" in refused(lab, claimed.id)
    lab.send([claimed])
    lose(lab)
    assert "too short a time ago to be sure: wait, or give a shorter older_than." in refused(
        lab, claimed.id
    )
    for change in ("confirmed_at = NULL, confirmed_by = NULL", "database_name = 'original'"):
        lab.desk.do(f"UPDATE batch_assets.installation SET {change}")
        assert "run `batch-assets confirm` first" in refused(lab, claimed.id, "0m")
        lab.desk.do(
            "UPDATE batch_assets.installation"
            " SET confirmed_at = clock_timestamp(), database_name = current_database()"
        )
    assert abandon(lab, claimed.id, "0m").batch.server_status == "lost"


def test_one_of_livedash_can_be_given_up_and_is_not_watched_again(lab: Lab) -> None:
    batch_id, _ = sent(lab)
    lab.desk.do("UPDATE batch_assets.batch SET installation_id = NULL")
    lose(lab)
    abandon(lab, batch_id)
    assert lab.ingest().rows.returned == 2
    assert lab.recover().external == 0
    assert lab.desk.livedash_batch(batch_id).status == "CANCELLED"
    assert lab.bucket_counts() == {"waiting": 2}
