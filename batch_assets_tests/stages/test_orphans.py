"""The daily look at the server: what is there under our name and without need, is cleared."""

from datetime import UTC, datetime

import pytest

from batch_assets.domain.errors import ApiError
from batch_assets.domain.json_text import value_as_json
from batch_assets.domain.metrics import RunMetrics
from batch_assets.domain.money import read_price
from batch_assets.openai_batch.spool import Spool
from batch_assets.stages.orphans import OrphanReport, find_orphans
from batch_assets.stages.remote_ids import file_name, metadata_of
from batch_assets.store.metrics import Metrics
from batch_assets_tests.stages.support import Lab, call_rule, refusal, wait_until

HELD = {"hold_after_rows": 0}


def find(lab: Lab) -> OrphanReport:
    return find_orphans(lab.pipeline, lab.pipeline.read_snapshot())


def upload(lab: Lab, name: str, request_id: str) -> str:
    """An input file with one request, uploaded by hand; its id."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
    with Spool(lab.pipeline.spool_dir) as spool:
        with spool.input_file() as file:
            file.add(request_id, value_as_json(body))
        return lab.pipeline.api.upload(file.path, name)


def create(lab: Lab, batch_id: str, file_id: str) -> str:
    metadata = metadata_of(lab.desk.holder.installation_id, batch_id)
    return lab.pipeline.api.create_batch(file_id, metadata, 3_600).id


def sent(lab: Lab) -> str:
    """A batch that the server has and does not finish; its id. Nothing is unresolved."""
    lab.company(2)
    lab.configure(timing=HELD)
    assert lab.submit().batches == 1
    (batch_id,) = lab.batches("submitted")
    return batch_id


def test_strays_are_cleared_though_nothing_is_unresolved(lab: Lab) -> None:
    batch_id = sent(lab)
    recorded = lab.desk.batch(batch_id)
    name = file_name(lab.desk.holder.installation_id, batch_id)
    unused = upload(lab, name, "request-1")
    second = create(lab, batch_id, upload(lab, "second.jsonl", "request-2"))
    assert lab.recover().orphans == OrphanReport(), "recovery does not look while nothing is open"

    assert find(lab) == OrphanReport(duplicates=1, duplicates_cancelled=1, orphans_deleted=1)

    wait_until(lambda: lab.pipeline.api.retrieve(second).status == "cancelled")
    assert lab.pipeline.api.retrieve(recorded.openai_batch_id).status == "in_progress"
    left = lab.all_file_ids()
    assert recorded.input_file_id in left
    assert unused not in left
    (kept,) = lab.desk.rows("SELECT * FROM batch_assets.duplicate_batch")
    assert (kept.openai_batch_id, kept.batch_id) == (second, batch_id)
    assert find(lab).duplicates_cancelled == 0


def test_a_late_batch_of_an_intent_that_was_given_up_is_cancelled(lab: Lab) -> None:
    lab.company(1)
    (given_up,) = lab.claim()
    lab.desk.queries.release([given_up.lease])
    lab.configure(timing=HELD)
    late = create(lab, given_up.id, upload(lab, "late.jsonl", "request-1"))
    assert find(lab) == OrphanReport(duplicates=1, duplicates_cancelled=1)
    wait_until(lambda: lab.pipeline.api.retrieve(late).status == "cancelled")


@pytest.mark.parametrize("omitted", [[], ["usage"]])
def test_what_a_second_batch_has_cost_replaces_its_estimate(lab: Lab, omitted: list[str]) -> None:
    lab = lab.under(model_prices={"gpt-4o-mini": read_price("2/0.5/8")}, usd_to_eur=0.5)
    batch_id = sent(lab)
    second = create(lab, batch_id, upload(lab, "second.jsonl", "request-2"))
    lab.configure(quirks={"omit_batch_fields": omitted})
    wait_until(lambda: lab.pipeline.api.retrieve(second).status == "completed")
    assert find(lab).duplicates == 1
    (entry,) = lab.server.ledger().entries(batch_id=second)
    fresh = entry.prompt_tokens - entry.cached_tokens
    usd = (fresh * 1 + entry.cached_tokens * 0.25 + entry.completion_tokens * 4) / 1e6
    (kept,) = lab.desk.rows("SELECT * FROM batch_assets.duplicate_batch")
    assert kept.estimated_cost_eur > 0
    if omitted:
        assert (kept.cost_usd, kept.cost_eur) == (None, None)
    else:
        assert kept.cost_usd == pytest.approx(usd, rel=1e-9)
        assert kept.cost_eur == pytest.approx(usd * 0.5, rel=1e-9)
    known = RunMetrics("run-2", datetime.now(UTC), "auto")
    end = Metrics(lab.desk.engine).record(known, None, 60, lab.pipeline.api.account)
    wasted = end.metrics.money.wasted_duplicates_eur
    assert wasted == (kept.estimated_cost_eur if omitted else kept.cost_eur)


def test_a_second_batch_that_was_cancelled_before_it_began_has_cost_nothing(lab: Lab) -> None:
    batch_id = sent(lab)
    second = create(lab, batch_id, upload(lab, "second.jsonl", "request-2"))
    assert find(lab).duplicates_cancelled == 1
    wait_until(lambda: lab.pipeline.api.retrieve(second).status == "cancelled")
    find(lab)
    (kept,) = lab.desk.rows("SELECT * FROM batch_assets.duplicate_batch")
    assert (kept.cost_usd, kept.cost_eur) == (0, 0)


def test_a_late_batch_that_carries_no_id_is_known_by_its_input_file(lab: Lab) -> None:
    """As after a recovery on a server that deletes no files and gives metadata back as null."""
    lab.company(1)
    (given_up,) = lab.claim()
    lab.desk.queries.release([given_up.lease])
    lab.configure(timing=HELD, quirks={"null_batch_fields": ["metadata"]})
    name = file_name(lab.desk.holder.installation_id, given_up.id)
    late = create(lab, given_up.id, upload(lab, name, "request-1"))
    others = lab.pipeline.api.create_batch(upload(lab, "others.jsonl", "request-2"), {}, 3_600)
    found = find(lab)
    assert (found.duplicates, found.duplicates_cancelled, found.unknown) == (1, 1, 0)
    wait_until(lambda: lab.pipeline.api.retrieve(late).status == "cancelled")
    assert lab.pipeline.api.retrieve(others.id).status == "in_progress"


def test_what_is_under_way_is_left_to_its_run(lab: Lab) -> None:
    lab.company(1)
    (claimed,) = lab.claim()
    lab.configure(timing=HELD)
    name = file_name(lab.desk.holder.installation_id, claimed.id)
    file_id = upload(lab, name, "request-1")
    remote = create(lab, claimed.id, file_id)
    assert find(lab) == OrphanReport()
    assert file_id in lab.all_file_ids()
    wait_until(lambda: lab.pipeline.api.retrieve(remote).status == "in_progress")


def test_what_nobody_knows_is_counted_and_left_alone(lab: Lab) -> None:
    lab.configure(timing=HELD)
    name = file_name(lab.desk.holder.installation_id, "an-intent-of-nobody")
    file_id = upload(lab, name, "request-1")
    remote = create(lab, "an-intent-of-nobody", file_id)
    assert find(lab) == OrphanReport(unknown=2)
    assert file_id in lab.all_file_ids()
    wait_until(lambda: lab.pipeline.api.retrieve(remote).status == "in_progress")


@pytest.mark.parametrize(
    "change", ["confirmed_at = NULL, confirmed_by = NULL", "database_name = 'other'"]
)
def test_nothing_is_asked_while_it_is_not_confirmed_or_from_a_copy(lab: Lab, change: str) -> None:
    batch_id = sent(lab)
    create(lab, batch_id, upload(lab, "second.jsonl", "request-2"))
    lab.configure(timing=HELD, calls=[call_rule("*", refusal(500))])
    lab.desk.do(f"UPDATE batch_assets.installation SET {change}")
    before = lab.desk.everything()
    assert find(lab) == OrphanReport()
    assert lab.desk.everything() == before


def test_lists_that_cannot_be_read_change_nothing(lab: Lab) -> None:
    batch_id = sent(lab)
    second = create(lab, batch_id, upload(lab, "second.jsonl", "request-2"))
    lab.configure(timing=HELD, calls=[call_rule("files.list", refusal(400))])
    with pytest.raises(ApiError):
        find(lab)
    assert lab.pipeline.api.retrieve(second).status in {"validating", "in_progress"}
