"""What a history has cost, from whichever side it is asked, is what the server has billed.

Two models, one of which reasons, and has several prices of LiveDash's in effect, and one that has
no price; six companies; answers that cannot be used, lines that are lost, broken or another's,
answers without usage, batches that expire or are cancelled, sessions that are deleted meanwhile,
synchronous requests, a second batch of one intent, and a run that is killed after it has written
some answers. What is right is calculated from the ledger.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batch_assets.domain.batches import BatchOutcomes, Written
from batch_assets.domain.money import read_price
from batch_assets.domain.policy import Policy
from batch_assets.stages.metrics import record_metrics
from batch_assets.stages.reports import Reports
from batch_assets.stages.run_state import RunState, StageState, values_of
from batch_assets.store.conservation import Conservation
from batch_assets.store.cost_audit import cost_differences
from batch_assets.store.daily_costs import CostReports, DailyCosts
from batch_assets.store.metrics import MetricHistory, Metrics, ReportData
from batch_assets.store.protocol import Queries
from batch_assets.store.retention import Measurements
from batch_assets_tests.stages.support import Lab, wait_until
from batch_assets_tests.stages.synchronous_support import ON, ask
from batch_assets_tests.stages.test_orphans import create, find, upload

PRICES = {"gpt-4o-mini": (2.0, 0.5, 8.0), "gpt-5-mini": (3.0, 0.3, 20.0)}
"""USD for a million tokens, at the full price; a batch costs half. The second is LiveDash's, which
says nothing of cached input: a tenth of the price, as is published."""
UNPRICED = "ours"
RATE = 0.8
DAYS = 20
"""Over so many days the history is spread once it is over."""
UNUSABLE = {"kind": "content", "content": "Fine."}
FAULTS = [
    {"lines": [1], "effect": UNUSABLE},
    {"lines": [2], "effect": {"kind": "missing"}},
    {"lines": [3], "effect": {"kind": "unknown_custom_id"}},
    {"lines": [4], "effect": {"kind": "invalid_json"}},
    {"lines": [5], "effect": {"kind": "without_usage"}},
    {"lines": [6], "effect": {"kind": "refusal"}},
    {"lines": [7], "effect": {"kind": "duplicate"}},
    {"lines": [8], "effect": {"kind": "http_error", "status": 500}},
]
"""All but the last are billed."""
ENDINGS = [
    {"end_as": "expired", "after_rows": 6, "count": 1},
    {"end_as": "cancelled", "after_rows": 4, "count": 1},
]


class Killed(BaseException):
    """The process is gone."""


class Dying:
    """The queries of a process that is killed once it has written its second set of answers."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._left = 2

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queries, name)

    def write_results(
        self, results: Sequence[BatchOutcomes], policy: Policy
    ) -> Mapping[str, Written]:
        written = self._queries.write_results(results, policy)
        self._left -= 1
        if not self._left:
            raise Killed
        return written


def run(lab: Lab, run_id: str, *, asks: bool = False) -> None:
    """A whole run: read what has ended, send synchronously, submit, and keep the metrics.

    Meanwhile somebody `asks` for three of the failed requests to be sent synchronously.
    """
    reports, began_at = Reports(), time.time()
    running = replace(lab, pipeline=replace(lab.pipeline, run_id=run_id, reports=reports))
    running.poll_to_the_end()
    running.ingest()
    if asks:
        put_off = "SELECT request_id FROM batch_assets.retry ORDER BY 1 LIMIT 3"
        ask(lab, lab.desk.column(put_off))
    running.retry_failed()
    running.submit()
    stage = StageState(
        op="all of them", began_at=began_at, run_id=run_id, reports=values_of(reports.all())
    )
    record_metrics(
        Metrics(lab.desk.engine),
        RunState([stage]),
        run_id=run_id,
        mode="optimized",
        account="",
        account_name="default",
    )


def serve(lab: Lab, **parts: Any) -> None:
    lab.configure(models=[{"id": UNPRICED}], **parts)


def priced_entries(lab: Lab) -> list[Any]:
    """What the server has billed whose price is known."""
    return [entry for entry in lab.server.ledger().entries() if entry.model != UNPRICED]


def full_price(entry: Any) -> float:
    (price,) = (price for model, price in PRICES.items() if entry.model.startswith(model))
    fresh = entry.prompt_tokens - entry.cached_tokens
    fresh_usd, cached_usd, completion_usd = price
    usd = fresh * fresh_usd + entry.cached_tokens * cached_usd
    return float(usd + entry.completion_tokens * completion_usd) / 1e6


def billed_by_batch(lab: Lab) -> Mapping[str | None, float]:
    """USD that the server has billed, by its id of the batch; `None`: synchronous requests."""
    usd: defaultdict[str | None, float] = defaultdict(float)
    for entry in priced_entries(lab):
        usd[entry.batch_id] += full_price(entry) / (1 if entry.kind == "live" else 2)
    return usd


def billed_by_company_and_model(lab: Lab) -> Mapping[tuple[str, str], float]:
    """The same by whom it was for; of a second batch that is the company of the first."""
    of_batch = {
        row.remote_id: row.company_id
        for row in lab.desk.rows(
            "SELECT b.openai_batch_id AS remote_id, b.company_id FROM batch_assets.batch AS b"
            " UNION ALL SELECT d.openai_batch_id, b.company_id"
            " FROM batch_assets.duplicate_batch AS d"
            " JOIN batch_assets.batch AS b ON b.id = d.batch_id"
        )
    }
    of_request = {
        row.request_id: row.company_id
        for row in lab.desk.rows("SELECT request_id, company_id FROM batch_assets.attempt")
    }
    usd: defaultdict[tuple[str, str], float] = defaultdict(float)
    for entry in priced_entries(lab):
        (model,) = (model for model in PRICES if entry.model.startswith(model))
        if entry.kind == "live":
            company_id = of_request[str(entry.custom_id).rpartition("/")[2]]
            usd[company_id, model] += full_price(entry)
        else:
            usd[of_batch[entry.batch_id], model] += full_price(entry) / 2
    return usd


@pytest.fixture
def history(lab: Lab) -> Lab:
    """A lab with such a history behind it, nothing of which is under way any more."""
    lab.desk.do(
        'INSERT INTO public."AIModel" (id, name, provider, "isActive", "updatedAt")'
        " VALUES ('model', 'gpt-5-mini', 'openai', true, now())"
    )
    lab.desk.do(
        'INSERT INTO public."AIModelPricing" (id, "aiModelId", "promptTokenCost",'
        ' "completionTokenCost", "effectiveFrom", "effectiveUntil") VALUES'
        " ('first', 'model', 1e-6, 1e-6, '2026-01-01 12:00+00', NULL),"
        " ('later', 'model', 3e-6, 20e-6, '2026-03-01 12:00+00', NULL),"
        " ('over', 'model', 5e-6, 5e-6, '2026-05-01 12:00+00', '2026-05-02 12:00+00')"
    )
    lab = lab.under(
        model_prices={"gpt-4o-mini": read_price("2/0.5/8")},
        usd_to_eur=RATE,
        synchronous=ON,
        max_attempts=5,
        rows_per_write=10,
    )
    serve(lab, rows=FAULTS, batches=ENDINGS)
    ids = []
    for number in range(6):
        model = list(PRICES)[number % 2]
        company_id, some = lab.company(12, model=model)
        ids += some
    lab.more(company_id, 3, model=UNPRICED)
    lab.submit()
    lab.poll_to_the_end()
    intent = lab.desk.column("SELECT id FROM batch_assets.batch WHERE model = 'gpt-4o-mini'")[0]
    second = create(lab, intent, upload(lab, "second.jsonl", "request-2"))
    wait_until(lambda: lab.pipeline.api.retrieve(second).status == "completed")
    for request_id in ids[::17]:
        lab.desk.delete_session(request_id)
    dying: Any = Dying(lab.pipeline.queries)
    killed = replace(lab, pipeline=replace(lab.pipeline, run_id="killed", queries=dying))
    with pytest.raises(Killed):
        killed.ingest()
    serve(lab, rows=[{"lines": [1], "effect": UNUSABLE}])
    run(lab, "run-1")
    serve(lab)
    run(lab, "run-2", asks=True)
    assert find(lab).duplicates == 1
    numbers = iter(range(3, 100))

    def is_done() -> bool:
        run(lab, f"run-{next(numbers)}")
        return not lab.bucket_counts().keys() & {"waiting", "in_batch", "retry"}

    wait_until(is_done)
    return lab


def spread(lab: Lab) -> None:
    """Let what was sent have been sent over some days before today."""
    lab.desk.do(
        "UPDATE batch_assets.batch AS b SET claimed_at = b.claimed_at - make_interval(days =>"
        " 1 + (SELECT count(*) FROM batch_assets.batch AS o WHERE o.id < b.id)::integer % :days)",
        days=DAYS,
    )


def runs_of(lab: Lab) -> list[Mapping[str, Any]]:
    """All runs, those that were killed as well; none once they are pruned."""
    history, now = MetricHistory(lab.desk.engine), datetime.now(UTC)
    span = (now - timedelta(days=365), now)
    return [*history.runs(*span), *history.killed_runs(*span)]


def sides(lab: Lab, figure: str) -> dict[str, float]:
    """A sum from each side that knows it."""
    now, year = datetime.now(UTC), timedelta(days=365)
    reports, history = CostReports(lab.desk.engine), MetricHistory(lab.desk.engine)
    by_all = reports.sums(period="month", by_company=True, by_model=True)
    found = {
        "status": sum(getattr(one, figure) for one in lab.pipeline.queries.statistics()),
        "export by company": sum(one[figure] for one in history.companies(now - year, now)),
        "export by month, company and model": sum(one[figure] for one in by_all),
        "export by day": sum(one[figure] for one in reports.sums(period="day")),
        "export in all": reports.sums()[0][figure],
        "chart": getattr(ReportData(lab.desk.engine).cost_by_day(30, 4), figure),
    }
    if runs := runs_of(lab):
        found["export of runs"] = sum(one[figure] for one in runs)
    return found


def assert_every_side_says_the_same(lab: Lab) -> None:
    attempts = "FROM batch_assets.attempt"
    cost = lab.desk.value(f"SELECT sum(cost_eur) {attempts}")
    for side, said in sides(lab, "cost_eur").items():
        assert said == pytest.approx(cost, rel=1e-9), side
    saved = lab.desk.value(
        f"SELECT sum(synchronous_cost_eur - cost_eur) {attempts} WHERE outcome = 'completed'"
    )
    assert saved > 0
    for side, said in sides(lab, "saved_eur").items():
        assert said == pytest.approx(saved, rel=1e-9), side
    if runs := runs_of(lab):
        unattributed = lab.desk.value("SELECT sum(unattributed_eur) FROM batch_assets.batch")
        by_run = sum(one["wasted_unattributed_eur"] for one in runs)
        assert by_run == pytest.approx(unattributed, rel=1e-9)
    reports = CostReports(lab.desk.engine)
    (total,) = reports.sums()
    in_all = sum(billed_by_batch(lab).values())
    assert total["billed_usd"] == pytest.approx(in_all, rel=1e-3)
    assert total["billed_eur"] == pytest.approx(in_all * RATE, rel=1e-3)
    parts = reports.sums(by_company=True, by_model=True)
    by_part = {(one["company_id"], one["model"]): one["billed_usd"] for one in parts}
    (unpriced,) = (one for one in parts if one["model"] == UNPRICED)
    assert (unpriced["unpriced_answers"] > 0, unpriced["cost_eur"]) == (True, 0)
    assert by_part.pop((unpriced["company_id"], UNPRICED)) == 0
    assert by_part == pytest.approx(dict(billed_by_company_and_model(lab)), rel=1e-3)
    with lab.desk.engine.connect() as connection:
        assert cost_differences(connection) == []


def test_every_figure_agrees_with_the_ledger(history: Lab) -> None:
    billed = billed_by_batch(history)
    in_all = sum(billed.values())
    assert billed[None] > 0, "something was sent synchronously"
    batches = history.desk.rows("SELECT * FROM batch_assets.batch")
    assert {one.state for one in batches} <= {"finalized", "released"}
    for batch in batches:
        if batch.kind == "batch" and batch.state == "finalized":
            known = batch.cost_usd + batch.unattributed_usd
            assert known == pytest.approx(billed[batch.openai_batch_id], rel=1e-9)
            assert not batch.unattributed_is_estimated
    synchronous = sum(one.cost_usd for one in batches if one.kind == "synchronous")
    assert synchronous == pytest.approx(billed[None], rel=1e-9)

    (second,) = history.desk.rows("SELECT * FROM batch_assets.duplicate_batch")
    assert second.cost_usd == pytest.approx(billed[second.openai_batch_id], rel=1e-9)
    cost = sum(one.cost_eur for one in batches)
    unattributed = sum(one.unattributed_eur for one in batches)
    assert unattributed > 0.02 * cost, "a good part cannot be read"
    assert cost + unattributed + second.cost_eur == pytest.approx(in_all * RATE, rel=1e-9)
    companies = history.pipeline.queries.statistics()
    assert sum(one.unattributed_eur for one in companies) == pytest.approx(unattributed, rel=1e-9)
    now, day = datetime.now(UTC), timedelta(days=1)
    exported = MetricHistory(history.desk.engine).companies(now - day, now + day)
    assert sum(one["unattributed_eur"] for one in exported) == pytest.approx(unattributed, rel=1e-9)


def test_sums_agree_from_every_side_after_a_kill_and_once_days_are_kept_and_pruned(
    history: Lab,
) -> None:
    killed = "SELECT sum(cost_eur) FROM batch_assets.run_reading WHERE run_id = 'killed'"
    assert history.desk.value(killed) > 0, "and it has kept no metrics"
    assert_every_side_says_the_same(history)

    spread(history)
    assert_every_side_says_the_same(history)
    days = len(history.desk.column("SELECT DISTINCT claimed_at::date FROM batch_assets.batch"))
    assert DailyCosts(history.desk.engine).keep() == days > 7
    assert history.desk.value("SELECT count(*) FROM batch_assets.batch WHERE NOT is_kept") == 0
    assert_every_side_says_the_same(history)

    kept = history.desk.rows("SELECT * FROM batch_assets.daily_cost ORDER BY 1, 2, 3")
    assert DailyCosts(history.desk.engine).keep() == 0
    measurements, now = Measurements(history.desk.engine), datetime.now(UTC)
    assert measurements.delete_metrics(now, 1_000) > 0
    assert measurements.readings_before(now) == measurements.delete_readings(now, 1_000) > 0
    assert history.desk.rows("SELECT * FROM batch_assets.daily_cost ORDER BY 1, 2, 3") == kept
    assert_every_side_says_the_same(history)


CHANGES = {
    "batches_and_attempts": "UPDATE batch_assets.attempt SET cost_usd = 2 * cost_usd",
    "batches_and_runs": "UPDATE batch_assets.run_reading SET saved_eur = saved_eur + 1",
    "batches_and_server": "UPDATE batch_assets.batch SET unattributed_usd = unattributed_usd + 1",
    "metrics_and_runs": "UPDATE batch_assets.run_metric SET cost_eur = cost_eur + 1",
    "days_and_batches": "UPDATE batch_assets.daily_cost SET duplicates_eur = duplicates_eur + 1",
    "livedash_and_attempts": (
        'UPDATE public."AIProcessingRequest" SET "totalCostEur" = 2 * "totalCostEur"'
    ),
}


@pytest.mark.parametrize("pipeline", ["optimized"], indirect=True)
def test_the_audit_names_what_differs_if_one_side_is_changed_by_hand(history: Lab) -> None:
    spread(history)
    DailyCosts(history.desk.engine).keep()
    assert Conservation(history.desk.engine).all_rows().costs == []
    companies = set(history.desk.column('SELECT id FROM public."Company"'))
    for comparison, change in CHANGES.items():
        with history.desk.engine.connect() as connection:
            connection.exec_driver_sql(change)
            found = cost_differences(connection)
            connection.rollback()
        assert comparison in {one.comparison for one in found}, comparison
        for one in found:
            assert one.day or one.comparison == "livedash_and_attempts"
            assert one.company_id in companies or one.run_id
            assert one.figure in one.sentence
            assert one.first != one.second
        assert Conservation(history.desk.engine).all_rows().costs == []


def test_livedashs_report_says_all_but_what_was_deleted_and_what_was_not_read(history: Lab) -> None:
    """As LiveDash's `getAIProcessingCosts` adds it up, and its admin page by company."""
    gone = history.desk.value(
        "SELECT sum(a.cost_eur) FROM batch_assets.attempt AS a WHERE NOT EXISTS"
        ' (SELECT FROM public."AIProcessingRequest" AS r WHERE r.id = a.request_id)'
    )
    assert gone > 0, "what was deleted is kept here"
    paid = history.desk.value("SELECT sum(cost_eur) FROM batch_assets.attempt")
    (report,) = history.desk.rows(
        'SELECT sum(CAST("totalCostEur" AS float8)) AS eur, sum("promptTokens") AS prompt,'
        ' sum("completionTokens") AS completion, sum("totalTokens") AS total'
        ' FROM public."AIProcessingRequest"'
    )
    assert report.eur == pytest.approx(paid - gone, rel=1e-6)
    (kept,) = history.desk.rows(
        "SELECT sum(a.prompt_tokens) AS prompt, sum(a.completion_tokens) AS completion"
        ' FROM batch_assets.attempt AS a JOIN public."AIProcessingRequest" AS r'
        " ON r.id = a.request_id"
    )
    assert (report.prompt, report.completion) == (kept.prompt, kept.completion)
    assert report.total == report.prompt + report.completion
    by_company = history.desk.rows(
        'SELECT s."companyId" AS id, sum(CAST(r."totalCostEur" AS float8)) AS eur'
        ' FROM public."AIProcessingRequest" AS r JOIN public."Session" AS s'
        ' ON s.id = r."sessionId" GROUP BY s."companyId"'
    )
    for company in by_company:
        ours = history.desk.value(
            "SELECT sum(a.cost_eur) FROM batch_assets.attempt AS a"
            ' JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id'
            " WHERE a.company_id = :id",
            id=company.id,
        )
        assert company.eur == pytest.approx(ours, rel=1e-6)
