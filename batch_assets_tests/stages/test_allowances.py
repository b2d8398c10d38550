"""No work for nothing: what the server will refuse is not uploaded, and what it takes is learnt."""

from typing import Any

import pytest

from batch_assets.domain.packing import HOURLY_BATCHES, LONGER_THAN_ALLOWED
from batch_assets.settings import load_settings
from batch_assets.stages.plan import preview
from batch_assets_tests.stages.support import Lab, call_rule, wait_until

MODEL = "gpt-4o-mini"


def learnt(lab: Lab, model: str) -> list[tuple[Any, Any]]:
    return lab.desk.column_pairs(
        f"SELECT most, refusals FROM batch_assets.allowance WHERE model = '{model}'"
    )


def later(lab: Lab, minutes: int) -> None:
    """Let time go by for what was learnt and for cooldowns; the server's hour stays as it is."""
    lab.desk.do("DELETE FROM batch_assets.model_cooldown")
    lab.desk.do(
        "UPDATE batch_assets.allowance SET refused_at = refused_at - make_interval(mins => :n)",
        n=minutes,
    )


def uploads(lab: Lab) -> int:
    """Input files that were uploaded for batches, whatever became of them."""
    return int(
        lab.desk.value("SELECT count(*) FROM batch_assets.batch WHERE input_file_id IS NOT NULL")
    )


def companies(lab: Lab, count: int) -> list[str]:
    """Companies of one batch each."""
    return [lab.company(1)[0] for _ in range(count)]


def validate(lab: Lab, status: str, count: int) -> None:
    """Wait until the server has looked at so many batches, with this end."""
    wait_until(lambda: sum(one.status == status for one in lab.remote_batches()) == count)


def test_no_file_is_uploaded_for_a_batch_that_the_hour_has_no_room_for(lab: Lab) -> None:
    lab.configure(limits={"batches_per_hour": 5})
    lab = lab.under(least_hourly_batches=5)
    companies(lab, 12)
    assert lab.submit().batches == 5
    assert learnt(lab, "") == [(5, 1)]
    before = uploads(lab)
    for _ in range(3):
        later(lab, 0)
        report = lab.submit()
        assert (report.batches, report.released, report.held[HOURLY_BATCHES]) == (0, 0, 1)
    assert uploads(lab) == before
    later(lab, 11)
    assert lab.submit().released == 1
    assert (uploads(lab) - before, learnt(lab, "")) == (1, [(5, 2)])


def test_the_hour_that_settings_name_is_never_exceeded(lab: Lab) -> None:
    lab.configure(limits={"batches_per_hour": 4})
    lab = lab.under(hourly_batches=4)
    ids = companies(lab, 9)
    report = lab.submit()
    assert (report.batches, report.released, report.held[HOURLY_BATCHES]) == (4, 0, 1)
    assert uploads(lab) == 4
    assert preview(lab.pipeline, lab.pipeline.read_snapshot(), ids).held[HOURLY_BATCHES] == 1
    lab.desk.do(
        "UPDATE batch_assets.batch SET submitted_at = submitted_at - interval '61 minutes',"
        " claimed_at = claimed_at - interval '61 minutes'"
    )
    assert lab.submit().released == 4
    assert learnt(lab, "") == []


def test_a_fresh_installation_is_held_at_no_first_allowance(lab: Lab) -> None:
    as_installed = load_settings({}).policy()
    lab = lab.under(
        default_token_allowance=as_installed.default_token_allowance,
        token_allowances=as_installed.token_allowances,
        hourly_batches=as_installed.hourly_batches,
    )
    for _ in range(3):
        lab.company(8, messages=[("user", "word " * 60_000)])
    report = lab.submit()
    # More than most accounts may enqueue, which only the server knows.
    assert report.estimated_tokens > 2_000_000
    assert (report.requests, report.held, learnt(lab, MODEL)) == (24, {}, [])


def test_other_accounts_batches_do_not_count(lab: Lab) -> None:
    lab = lab.under(hourly_batches=2)
    companies(lab, 4)
    assert lab.submit().batches == 2
    lab.desk.do("UPDATE batch_assets.batch SET account = 'another'")
    assert lab.submit().batches == 2


def test_a_refusal_after_few_batches_says_nothing_of_the_hour(lab: Lab) -> None:
    lab.configure(limits={"batches_per_hour": 2})
    companies(lab, 4)
    assert lab.submit().batches == 2
    assert learnt(lab, "") == []


@pytest.mark.parametrize(
    "error",
    [
        {"code": "rate_limit_exceeded", "type": "requests", "message": "Limit 500 RPM, used 500."},
        {"code": "rate_limit_exceeded", "message": "You exceeded the 1000 request/min rate limit"},
        {"code": "rate_limit_exceeded", "message": "requests per day (RPD): Limit 200, Used 200"},
        {"code": "rate_limit_exceeded", "type": "tokens", "message": "Too many."},
        {"code": "spend_limit_reached", "message": "The project has spent its budget."},
        {"code": "batch_limit_exceeded", "message": "10 batches are open."},
    ],
)
def test_a_creation_that_is_refused_for_another_limit_says_nothing_of_the_hour(
    lab: Lab, error: dict[str, str]
) -> None:
    lab = lab.under(least_hourly_batches=2)
    companies(lab, 4)
    effect = {"kind": "answer", "status": 429, "error": error}
    lab.configure(calls=[call_rule("batches.create", effect, after=3)])
    report = lab.submit()
    assert (report.batches, report.released) == (3, 1)
    assert learnt(lab, "") == []


@pytest.mark.parametrize(
    "error",
    [
        {"code": "rate_limit_exceeded", "message": "Rate limit reached: 2000 batches per hour."},
        {"code": "rate_limit_exceeded", "type": "requests", "message": "Try again later."},
        {"code": None},
    ],
)
def test_one_that_may_be_of_the_hour_does(lab: Lab, error: dict[str, str | None]) -> None:
    lab = lab.under(least_hourly_batches=2)
    companies(lab, 4)
    effect = {"kind": "answer", "status": 429, "error": error}
    lab.configure(calls=[call_rule("batches.create", effect, after=3)])
    assert lab.submit().batches == 3
    assert learnt(lab, "") == [(3, 1)]


def test_a_request_that_is_longer_than_what_was_learnt_holds_no_other(lab: Lab) -> None:
    lab.company(1, messages=400)
    companies(lab, 2)
    lab.desk.do(
        "INSERT INTO batch_assets.allowance (account, model, most, refused_at)"
        " VALUES (:account, :model, 1000, clock_timestamp())",
        account=lab.pipeline.api.account,
        model=MODEL,
    )
    report = lab.submit()
    assert (report.batches, dict(report.held)) == (2, {LONGER_THAN_ALLOWED: 1})


def test_a_server_without_room_for_tokens_is_sent_what_it_takes(lab: Lab) -> None:
    lab.configure(timing={"validation_seconds": 0, "processing_seconds": 3_600})
    companies(lab, 3)
    assert lab.submit().batches == 3
    validate(lab, "in_progress", 3)
    lab.configure(limits={"enqueued_tokens": {"*": 1}}, timing={"processing_seconds": 3_600})
    companies(lab, 3)
    assert lab.submit().batches == 3
    validate(lab, "failed", 3)
    lab.poll()
    taken = lab.desk.value(
        "SELECT sum(estimated_tokens) FROM batch_assets.batch WHERE state = 'submitted'"
    )
    assert learnt(lab, MODEL) == [(taken, 1)]
    lab.ingest()
    before = uploads(lab)
    later(lab, 0)
    report = lab.submit()
    assert (report.batches, uploads(lab)) == (0, before)
    assert list(report.held) == [f"model {MODEL} is in cooldown: its token allowance is used up"]
    later(lab, 60)
    assert lab.submit().batches == 1


def test_what_is_uploaded_until_an_unknown_hour_is_met_is_a_part_of_what_was_taken(
    lab: Lab,
) -> None:
    lab.configure(limits={"batches_per_hour": 12})
    lab = lab.under(least_hourly_batches=6)
    companies(lab, 36)
    assert lab.submit().batches == 12
    assert learnt(lab, "") == [(12, 1)]
    # A third of what was sent before, twice: the part that is refused, and the one on its way then.
    assert uploads(lab) <= 12 + 12 // 3 + 16 // 3
    before = uploads(lab)
    later(lab, 0)
    assert lab.submit().batches == 0
    assert uploads(lab) == before


def test_a_full_hour_is_full_for_the_batches_of_all_models(lab: Lab) -> None:
    lab.configure(limits={"batches_per_hour": 4})
    lab = lab.under(least_hourly_batches=4)
    companies(lab, 4)
    for number in range(8):
        lab.company(1, model=f"gpt-4o-{number}")
    assert lab.submit().batches == 4
    assert uploads(lab) <= 4 + 2 * 2
