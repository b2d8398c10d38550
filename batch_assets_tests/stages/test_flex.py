"""Synchronous requests by flex: which go so, what they cost, how long they wait, and kills."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from batch_assets.domain.money import Rates
from batch_assets.domain.policy import Tier
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.flex import send_by_flex
from batch_assets.stages.result_writer import ResultWriter
from batch_assets.stages.synchronous_caller import INDETERMINATE
from batch_assets.stages.synchronous_requests import SynchronousReport
from batch_assets.store.conservation import Conservation
from batch_assets_local.batch_server.ledger import LedgerEntry
from batch_assets_tests.stages.support import API_KEY, Lab, call_rule, plenty
from batch_assets_tests.stages.synchronous_support import (
    ON,
    Killed,
    ask,
    calls,
    failed,
    waiting,
    watching,
)

MODEL = "gpt-5-mini"
FLEX = replace(ON, flex_models=frozenset({MODEL}), lead_seconds=7_200)
FLEX_ALONE = replace(FLEX, tiers=frozenset({Tier.FLEX}))
ONE = pytest.mark.parametrize("pipeline", ["optimized"], indirect=True)
NO_ROOM = {"kind": "http_error", "status": 429, "error": {"code": "resource_unavailable"}}


def on(lab: Lab, **changes: Any) -> Lab:
    """Flex allowed, then the full price, for the one model."""
    return lab.under(**{"synchronous": FLEX, "concurrent_companies": None, **changes})


def late(lab: Lab, count: int = 2, **options: Any) -> list[str]:
    return failed(lab, count, **{"model": MODEL, **options})


def flex(lab: Lab) -> SynchronousReport:
    """What a run of the job that sends by flex does."""
    return send_by_flex(lab.pipeline, lab.pipeline.read_snapshot(), plenty())


def no_room(lab: Lab) -> None:
    lab.configure(rows=[{"where": "live", "service_tier": "flex", "effect": NO_ROOM}])


def tiers(lab: Lab) -> list[str | None]:
    """By which tier each synchronous request was billed."""
    return [entry.service_tier for entry in lab.server.ledger().entries(kind="live")]


def billed(entry: LedgerEntry, rates: Rates) -> float:
    """USD of an answer at these rates."""
    fresh = entry.prompt_tokens - entry.cached_tokens
    return (
        fresh * rates.prompt
        + entry.cached_tokens * rates.cached_prompt
        + entry.completion_tokens * rates.completion
    )


def lead_has_gone_by(lab: Lab) -> None:
    """Time passes: what waits for room has done so for two hours and a minute."""
    for table, column in (
        ("attempt", "ended_at"),
        ("retry", "retry_at"),
        ("synchronous_request", "asked_at"),
    ):
        lab.desk.do(f"UPDATE batch_assets.{table} SET {column} = {column} - interval '121 minutes'")
    lab.desk.do(
        'UPDATE public."AIProcessingRequest"'
        ' SET "requestedAt" = "requestedAt" - interval \'121 minutes\''
    )


def test_what_is_late_goes_by_flex_and_costs_what_a_batch_does(lab: Lab) -> None:
    ids, others = late(lab), failed(lab, 1)
    main = on(lab).retry_failed()
    assert (main.requeued, main.synchronous.synchronous_calls) == (0, 1), "the model without flex"
    assert [calls(lab, one) for one in [*ids, *others]] == [0, 0, 1]
    report = flex(on(lab))
    assert (report.synchronous_calls, report.synchronous_completed) == (2, 2)
    assert lab.bucket_counts() == {"complete": 3}
    assert tiers(lab) == ["default", "flex", "flex"]

    price = on(lab).pipeline.price_of(MODEL)
    assert price is not None
    batch = lab.desk.rows(
        "SELECT * FROM batch_assets.batch WHERE kind = 'synchronous' AND model = :model",
        model=MODEL,
    )[0]
    entries = [one for one in lab.server.ledger().entries(kind="live") if one.model != MODEL][1:]
    usd = sum(billed(one, price.tiers["flex"]) for one in entries)
    assert batch.cost_usd == pytest.approx(usd)
    assert batch.cost_eur == pytest.approx(report.synchronous_cost_eur)
    assert batch.synchronous_cost_eur == pytest.approx(2 * batch.cost_eur)
    assert lab.desk.request(ids[0]).serviceTier == "flex"
    assert lab.desk.request(ids[0]).completionTokenCost == pytest.approx(
        price.synchronous.completion / 2
    )
    assert Conservation(lab.desk.engine).all_rows().is_clean


@ONE
@pytest.mark.parametrize("answered_by", ["default", "priority", "unheard-of"])
def test_what_is_booked_is_the_tier_that_the_answer_names(lab: Lab, answered_by: str) -> None:
    (request_id,) = late(lab, 1)
    effect = {"kind": "tier", "service_tier": answered_by}
    lab.configure(rows=[{"where": "live", "effect": effect}])
    flexible = on(lab)
    report = flex(flexible)
    price = flexible.pipeline.price_of(MODEL)
    assert price is not None
    rates = price.tiers.get(answered_by, price.synchronous)
    (entry,) = lab.server.ledger().entries(kind="live")
    assert entry.service_tier == answered_by
    row = lab.desk.request(request_id)
    assert (row.serviceTier, row.completionTokenCost) == (
        answered_by,
        pytest.approx(rates.completion),
    )
    batch = lab.desk.rows("SELECT * FROM batch_assets.batch WHERE kind = 'synchronous'")[0]
    assert batch.cost_eur == pytest.approx(report.synchronous_cost_eur)
    assert batch.cost_usd == pytest.approx(billed(entry, rates))
    today = lab.pipeline.synchronous_batches.outlook(0).day
    assert today.cost_eur == pytest.approx(batch.cost_eur), "the day counts what was billed"


def test_while_flex_has_no_room_nothing_counts_and_nobody_else_takes_it(lab: Lab) -> None:
    ids = late(lab)
    patient = on(lab)
    no_room(lab)
    report = flex(patient)
    assert (report.synchronous_without_room, report.synchronous_cost_eur) == (2, 0)
    assert lab.bucket_counts() == {"retry": 2}
    assert lab.desk.retry(ids[0]).attempts == 1, "the failure of the batch alone"
    assert lab.desk.retry(ids[0]).code == "resource_unavailable"
    main = patient.retry_failed()
    assert (main.requeued, main.synchronous.synchronous_calls) == (0, 0)
    lab.configure()
    assert flex(patient).synchronous_completed == 2
    assert tiers(lab) == ["flex", "flex"]


@pytest.mark.parametrize("has_asked", [False, True], ids=["flex had no room", "no run came"])
def test_after_the_lead_it_goes_at_the_full_price_where_that_is_allowed(
    lab: Lab, has_asked: bool
) -> None:
    ids = late(lab)
    no_room(lab)
    if not has_asked:
        flex(on(lab))
    lead_has_gone_by(lab)
    assert flex(on(lab)).synchronous_calls == 0
    assert on(lab).retry_failed().synchronous.synchronous_completed == 2
    assert (tiers(lab), [calls(lab, one) for one in ids]) == (["default", "default"], [1, 1])


@pytest.mark.parametrize("has_asked", [False, True], ids=["flex had no room", "no run came"])
def test_after_the_lead_it_goes_with_the_next_batch_where_it_is_not(
    lab: Lab, has_asked: bool
) -> None:
    late(lab)
    alone = on(lab, synchronous=FLEX_ALONE)
    no_room(lab)
    if not has_asked:
        flex(alone)
    assert alone.retry_failed().requeued == 0
    lead_has_gone_by(lab)
    assert flex(alone).synchronous_calls == 0
    report = alone.retry_failed()
    assert (report.requeued, report.synchronous.synchronous_calls) == (2, 0)
    assert lab.bucket_counts() == {"waiting": 2}


@ONE
class TestAsks:
    """What an operator asks for."""

    def test_a_dead_letter_goes_by_flex_and_waits_for_room(self, lab: Lab) -> None:
        dead = late(lab.under(max_attempts=1), 1, age=timedelta(0))
        strict = on(lab, max_attempts=1)
        ask(strict, dead)
        no_room(lab)
        assert flex(strict).synchronous_without_room == 1
        assert lab.bucket_counts() == {"dead": 1}
        assert strict.retry_failed().synchronous.synchronous_calls == 0
        lab.configure()
        assert flex(strict).synchronous_completed == 1
        assert (tiers(lab), lab.bucket_counts()) == (["flex"], {"complete": 1})
        assert lab.desk.value("SELECT count(*) FROM batch_assets.synchronous_request") == 0

    def test_what_finds_no_room_takes_turns_and_uses_up_nothing(self, lab: Lab) -> None:
        flexible = on(lab, synchronous=replace(FLEX, day_requests=20))
        first, then = waiting(lab, 12, model=MODEL), waiting(lab, 3, model=MODEL)
        ask(flexible, first)
        ask(flexible, then)
        no_room(lab)
        assert [flex(flexible).synchronous_without_room for _ in range(2)] == [10, 10]
        tried = lab.desk.column(
            "SELECT DISTINCT request_id FROM batch_assets.attempt WHERE called_at IS NOT NULL"
        )
        assert set(tried) == {*first, *then}
        assert flex(flexible).synchronous_without_room == 10
        assert lab.pipeline.synchronous_batches.outlook(0).day.requests == 0
        lab.configure()
        assert flex(flexible).synchronous_completed == 15

    def test_what_found_no_room_waits_for_its_retry_date(self, lab: Lab) -> None:
        patient = on(lab, retry_base_seconds=600, retry_max_seconds=600)
        (one,) = waiting(lab, 1, model=MODEL)
        ask(patient, [one])
        no_room(lab)
        assert flex(patient).synchronous_without_room == 1
        outlook = lab.pipeline.synchronous_batches.outlook(0)
        assert (outlook.models, outlook.models_now) == ((MODEL,), ())
        lab.configure()
        assert flex(patient).synchronous_calls == 0
        assert patient.retry_failed().synchronous.synchronous_calls == 0, "nor at the full price"
        # Who asks anew asks for a call now.
        lab.desk.do("UPDATE batch_assets.synchronous_request SET asked_at = now()")
        lab.desk.do("UPDATE batch_assets.retry SET retry_at = retry_at + interval '1 hour'")
        assert lab.pipeline.synchronous_batches.outlook(0).models_now == (MODEL,)
        lab.desk.do(
            "UPDATE batch_assets.synchronous_request SET asked_at = now() - interval '1 hour'"
        )
        assert lab.pipeline.synchronous_batches.outlook(0).models_now == ()
        lab.desk.do("UPDATE batch_assets.retry SET retry_at = now()")
        assert flex(patient).synchronous_completed == 1

    def test_it_is_asked_for_no_longer_than_the_lead(self, lab: Lab) -> None:
        dead = late(lab.under(max_attempts=1), 1, age=timedelta(0))
        ask(lab, dead)
        alone = on(lab, synchronous=FLEX_ALONE, max_attempts=1)
        no_room(lab)
        flex(alone)
        lead_has_gone_by(lab)
        assert flex(alone).synchronous_calls == 0
        assert lab.desk.value("SELECT count(*) FROM batch_assets.synchronous_request") == 0
        assert lab.bucket_counts() == {"dead": 1}

    def test_after_the_lead_it_goes_at_the_full_price(self, lab: Lab) -> None:
        dead = late(lab.under(max_attempts=1), 1, age=timedelta(0))
        ask(lab, dead)
        no_room(lab)
        flex(on(lab, max_attempts=1))
        lead_has_gone_by(lab)
        assert on(lab).retry_failed().synchronous.synchronous_completed == 1
        assert tiers(lab) == ["default"]

    def test_one_that_waits_for_its_first_batch_goes_by_flex(self, lab: Lab) -> None:
        ask(lab, waiting(lab, 1, model=MODEL))
        assert flex(on(lab)).synchronous_completed == 1


@ONE
def test_the_budgets_of_a_day_count_the_tier_and_leave_the_rest_to_the_batch(lab: Lab) -> None:
    late(lab, 3)
    estimate = lab.desk.value("SELECT max(estimated_cost_eur) FROM batch_assets.batch") / 3
    few = replace(FLEX, run_requests=2)
    assert flex(on(lab, synchronous=few)).synchronous_calls == 2
    spent = lab.desk.value(
        "SELECT sum(estimated_cost_eur) FROM batch_assets.batch WHERE kind = 'synchronous'"
    )
    assert spent == pytest.approx(2 * estimate), "at the price of a batch"
    used_up = on(lab, synchronous=replace(FLEX, day_requests=2))
    assert flex(used_up).synchronous_calls == 0
    assert used_up.retry_failed().requeued == 1, "nobody would send it by flex"


@ONE
def test_flex_is_used_only_where_it_is_allowed_and_known(lab: Lab) -> None:
    ids = late(lab)
    full = on(lab, synchronous=replace(FLEX, tiers=frozenset({Tier.FULL})))
    assert flex(full).synchronous_calls == 0
    assert full.retry_failed().synchronous.synchronous_completed == 2
    assert tiers(lab) == ["default", "default"]
    late(lab, 1)
    unknown = on(lab, synchronous=replace(FLEX, flex_models=frozenset()))
    assert flex(unknown).synchronous_calls == 0
    assert [calls(lab, one) for one in ids] == [1, 1]


@ONE
def test_a_model_that_the_server_has_no_flex_for_is_not_dead(lab: Lab) -> None:
    late(lab, 1, model="gpt-4o-mini")
    wrong = on(lab, synchronous=replace(FLEX, flex_models=frozenset({"gpt-4o-mini"})))
    assert flex(wrong).synchronous_without_room == 1
    assert lab.desk.value("SELECT code FROM batch_assets.retry") == "tier_refused"
    lead_has_gone_by(lab)
    assert wrong.retry_failed().synchronous.synchronous_completed == 1


@ONE
class TestInterrupted:
    """A call that takes long, and a run that ends in one."""

    def test_one_without_an_answer_is_unknown_and_not_sent_again(self, lab: Lab) -> None:
        (request_id,) = late(lab, 1)
        lab.configure(calls=[call_rule("chat", {"kind": "delay", "seconds": 0.6, "when": "after"})])
        timeouts = Timeouts(connect=5, read=5, create=5, upload=5, flex=0.3)
        with BatchApi(API_KEY, lab.server.base_url, timeouts=timeouts) as api:
            assert flex(on(lab).using(api)).synchronous_unknown == 1
        assert (lab.bucket_counts(), calls(lab, request_id)) == ({"dead": 1}, 1)
        assert lab.desk.value("SELECT code FROM batch_assets.dead_letter") == INDETERMINATE
        lab.configure()
        assert flex(on(lab)).synchronous_calls == 0
        unattributed = lab.desk.value(
            "SELECT unattributed_eur / estimated_cost_eur FROM batch_assets.batch"
            " WHERE kind = 'synchronous'"
        )
        assert unattributed == pytest.approx(1)

    def test_one_may_take_longer_than_a_call_at_the_full_price(self, lab: Lab) -> None:
        late(lab, 1)
        lab.configure(calls=[call_rule("chat", {"kind": "delay", "seconds": 0.6, "when": "after"})])
        timeouts = Timeouts(connect=5, read=0.3, create=0.3, upload=5, flex=5)
        with BatchApi(API_KEY, lab.server.base_url, timeouts=timeouts) as api:
            assert flex(on(lab).using(api)).synchronous_completed == 1

    def test_its_lease_outlasts_the_longest_call(self, lab: Lab) -> None:
        late(lab, 1)
        seen: list[float] = []
        longest = lab.pipeline.api.timeouts.longest_flex_call

        class Looking(BatchApi):
            def complete(self, *given: Any, **named: Any) -> Any:
                seen.append(
                    lab.desk.value(
                        "SELECT extract(epoch FROM lease_expires_at - clock_timestamp())"
                        " FROM batch_assets.batch WHERE kind = 'synchronous'"
                    )
                )
                return super().complete(*given, **named)

        with Looking(API_KEY, lab.server.base_url) as api:
            flex(on(lab).using(api))
        assert longest > 20 * 60
        assert [one > longest for one in seen] == [True]

    @pytest.mark.parametrize("is_marked", [False, True], ids=["before the mark", "after it"])
    def test_a_run_that_is_killed_loses_nothing_and_buys_nothing_twice(
        self, lab: Lab, *, is_marked: bool
    ) -> None:
        (request_id,) = late(lab, 1)

        def end(_rows: object = None) -> None:
            raise Killed

        running = watching(on(lab), end)
        if not is_marked:
            running.pipeline.synchronous_batches.__dict__["mark_called"] = end
        with pytest.raises(Killed):
            flex(running)
        assert lab.bucket_counts() == {"in_batch": 1}
        lab.ingest()
        assert lab.bucket_counts() == ({"dead": 1} if is_marked else {"waiting": 1})
        assert flex(on(lab)).synchronous_calls == 0
        assert calls(lab, request_id) == 0
        assert Conservation(lab.desk.engine).all_rows().is_clean

    @pytest.mark.parametrize("is_written", [False, True], ids=["before it", "after it"])
    def test_a_run_that_is_killed_around_the_writing_has_forgotten_no_ask(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch, *, is_written: bool
    ) -> None:
        ids = waiting(lab, 2, model=MODEL)
        ask(lab, ids)
        no_room(lab)
        flush = ResultWriter.flush

        def end(writer: ResultWriter) -> None:
            if is_written:
                flush(writer)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(ResultWriter, "flush", end)
            with pytest.raises(Killed):
                flex(on(lab))
        assert lab.desk.value("SELECT count(*) FROM batch_assets.synchronous_request") == 2
        lab.configure()
        lab.ingest()
        assert flex(on(lab)).synchronous_completed == 2
        assert [calls(lab, one) for one in ids] == [1, 1]
        assert Conservation(lab.desk.engine).all_rows().is_clean

    def test_two_runs_at_a_time_call_nothing_twice(self, lab: Lab) -> None:
        ids = late(lab, 3)
        beside: list[int] = []

        def run_another() -> None:
            beside.append(flex(on(lab)).synchronous_calls)
            beside.append(on(lab).retry_failed().requeued)
            assert lab.ingest().finalized == 0, "the lease is held"

        assert flex(watching(on(lab), run_another)).synchronous_completed == 3
        assert beside == [0, 0]
        assert [calls(lab, one) for one in ids] == [1, 1, 1]
