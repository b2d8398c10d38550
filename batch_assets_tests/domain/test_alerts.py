"""When an alert is raised and resolved, what it says, and what to do about it."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main

from batch_assets.cli.app import app
from batch_assets.domain.alerts.advice import advise, behind
from batch_assets.domain.alerts.records import (
    AlertState,
    CheckOutcome,
    Fault,
    Limits,
    Recent,
    Severity,
    Verdict,
)
from batch_assets.domain.alerts.rules import RULES, blame, changes, judge, judge_outcome
from batch_assets.domain.metrics import GROUPS, metric_types
from batch_assets.receivers.receiver import Sender, notification_of
from batch_assets.receivers.webhook import body_of
from batch_assets.settings import setting_names
from batch_assets_tests.policies import some_limits

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
LIMITS = some_limits(day_cost_eur=10)
UNKNOWN = Recent(judged_at=NOW, installation_id="i", database="d")
WELL = replace(
    UNKNOWN,
    runs=30,
    completed_requests=1_000,
    failed_requests=0,
    moved_requests=1_000,
    moving_seconds=10.0,
    failed_batches=0,
    query_operations=200,
    query_fallbacks=0,
    open_breakers=0,
    day_lookups=720,
    lookup_hit_rate_percent=99.0,
    oldest_wait_seconds=60.0,
    waiting_requests=5,
    dead_letters=3,
    oldest_in_flight_seconds=600.0,
    batches_in_flight=2,
    turnaround_batches=50,
    turnaround_p99_seconds=900.0,
    day_cost_eur=1.0,
    account_refused=False,
)
HOUR = 3_600.0
COUNTED = {
    "schedule_paused",
    "livedash_timers",
    "livedash_changed",
    "unknown_batches",
    "unresolved_submission",
    "budgets",
}
"""What they measure is always known."""


def verdict_of(name: str, recent: Recent, limits: Limits = LIMITS) -> Verdict:
    (verdict,) = [verdict for verdict in judge(recent, limits) if verdict.name == name]
    return verdict


def raised(recent: Recent, limits: Limits = LIMITS) -> dict[str, Severity]:
    """The raised alerts, with their severities."""
    return {one.name: one.severity for one in judge(recent, limits) if one.is_raised}


def after(name: str, recent: Recent, *, severity: Severity = Severity.WARN) -> Recent:
    """The same, but the alert was raised an hour ago."""
    state = AlertState(name, True, severity, "Something was.", NOW - timedelta(hours=1))
    return replace(recent, states={name: state})


def test_a_days_cost_says_of_how_many_answers_it_knows_nothing() -> None:
    limits = replace(LIMITS, day_cost_eur=5.0)
    known = replace(WELL, day_cost_eur=1.0)
    assert "not known" not in verdict_of("cost_above_budget", known, limits).summary
    some = verdict_of("cost_above_budget", replace(known, day_unpriced_answers=3), limits)
    assert "What 3 more answers cost is not known" in some.summary


def test_a_pipeline_that_is_well_raises_none() -> None:
    assert raised(WELL) == {}
    assert all(verdict.is_known for verdict in judge(WELL, LIMITS))


def test_what_nobody_knows_raises_none_and_says_so() -> None:
    verdicts = judge(UNKNOWN, LIMITS)
    assert raised(UNKNOWN) == {}
    unknown = {one.name for one in verdicts if "Not enough to say" in one.summary}
    # These are counted where they are kept, whatever was recorded.
    assert unknown == set(RULES) - {"dead_letters"} - COUNTED
    assert {one.name for one in verdicts if not one.is_known} == unknown | {"dead_letters"}


@pytest.mark.parametrize(
    ("name", "severity", "change"),
    [
        ("error_rate", "ERROR", {"failed_requests": 112}),
        ("batch_age", "WARN", {"oldest_in_flight_seconds": 1.1 * HOUR}),
        ("batch_age", "ERROR", {"oldest_in_flight_seconds": 24.1 * HOUR}),
        ("failed_batch", "ERROR", {"failed_batches": 1}),
        ("throughput_too_low", "WARN", {"moving_seconds": 1_001.0}),
        ("lookup_hit_rate", "WARN", {"lookup_hit_rate_percent": 94.9}),
        ("fallback_rate", "WARN", {"query_fallbacks": 11}),
        ("dead_letters", "WARN", {"new_dead_letters": 11}),
        ("dead_letters", "WARN", {"dead_letters": 1_001}),
        ("dead_letters", "WARN", {"new_dead_letters": 11, "dead_letters": None}),
        ("cost_above_budget", "ERROR", {"day_cost_eur": 10.01}),
        ("livedash_timers", "ERROR", {"livedash_acts": {"create": 1}}),
        ("livedash_changed", "ERROR", {"livedash_lacks": ['the column "Session"."forwardedHr"']}),
        ("unknown_batches", "ERROR", {"unknown_batches": 1}),
        ("unknown_batches", "ERROR", {"doubt": "nameless"}),
        ("unresolved_submission", "WARN", {"unresolved_seconds": 2.1 * HOUR}),
        ("open_breaker", "ERROR", {"open_breakers": 1}),
        ("backlog_age", "ERROR", {"oldest_wait_seconds": 1.51 * HOUR}),
        ("account_refused", "ERROR", {"account_refused": True}),
        ("schedule_paused", "ERROR", {"in_cooldown_after_failed_runs": 5}),
    ],
)
def test_each_alert_is_raised_beyond_its_limit(
    name: str, severity: str, change: dict[str, Any]
) -> None:
    assert raised(replace(WELL, **change)) == {name: Severity(severity)}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("error_rate", {"completed_requests": 90, "failed_requests": 10}),
        ("error_rate", {"completed_requests": 0, "failed_requests": 19}),
        ("batch_age", {"oldest_in_flight_seconds": HOUR}),
        ("throughput_too_low", {"moving_seconds": 1_000.0}),
        ("throughput_too_low", {"moved_requests": 19, "moving_seconds": 1_000.0}),
        ("throughput_too_low", {"moved_requests": 0, "moving_seconds": None}),
        ("lookup_hit_rate", {"lookup_hit_rate_percent": 95.0}),
        ("lookup_hit_rate", {"lookup_hit_rate_percent": 0.0, "day_lookups": 19}),
        ("fallback_rate", {"query_fallbacks": 10}),
        ("fallback_rate", {"query_fallbacks": 19, "query_operations": 19}),
        ("dead_letters", {"new_dead_letters": 10, "dead_letters": 1_000}),
        ("cost_above_budget", {"day_cost_eur": 10.0}),
        ("backlog_age", {"oldest_wait_seconds": 1.5 * HOUR}),
    ],
)
def test_none_is_raised_at_its_limit_or_over_too_few(name: str, change: dict[str, Any]) -> None:
    assert raised(replace(WELL, **change)) == {}


@pytest.mark.parametrize(
    ("name", "still", "over"),
    [
        ("error_rate", {"failed_requests": 100}, {"failed_requests": 85}),
        (
            "batch_age",
            {"oldest_in_flight_seconds": 0.9 * HOUR},
            {"oldest_in_flight_seconds": 0.8 * HOUR},
        ),
        ("throughput_too_low", {"moving_seconds": 900.0}, {"moving_seconds": 800.0}),
        ("lookup_hit_rate", {"lookup_hit_rate_percent": 95.5}, {"lookup_hit_rate_percent": 96.0}),
        ("fallback_rate", {"query_fallbacks": 9}, {"query_fallbacks": 8}),
        ("dead_letters", {"dead_letters": 801}, {"dead_letters": 800}),
        ("cost_above_budget", {"day_cost_eur": 9.0}, {"day_cost_eur": 0.2}),
        ("backlog_age", {"oldest_wait_seconds": 1.3 * HOUR}, {"oldest_wait_seconds": 1.2 * HOUR}),
    ],
)
def test_a_raised_one_is_resolved_only_well_within_its_limit(
    name: str, still: dict[str, Any], over: dict[str, Any]
) -> None:
    held = verdict_of(name, after(name, replace(WELL, **still)))
    assert held.is_raised
    assert held.summary.endswith("Raised at 2026-03-04 11:00 UTC, it is not well over yet.")
    assert not verdict_of(name, replace(WELL, **still)).is_raised
    assert not verdict_of(name, after(name, replace(WELL, **over))).is_raised


@pytest.mark.parametrize("name", sorted(set(RULES) - COUNTED))
def test_a_raised_one_stays_so_while_there_is_not_enough_to_say(name: str) -> None:
    verdict = verdict_of(name, after(name, UNKNOWN))
    assert verdict.is_raised
    assert not verdict.is_known


def test_that_the_account_is_refused_ends_with_what_the_api_has_taken() -> None:
    refused = after("account_refused", WELL, severity=Severity.ERROR)
    assert not verdict_of("account_refused", refused).is_raised
    idle = replace(refused, account_refused=None)
    assert verdict_of("account_refused", idle).is_raised


def test_a_batch_may_take_as_long_as_nearly_all_others_do() -> None:
    slow = replace(WELL, turnaround_p99_seconds=5 * HOUR, oldest_in_flight_seconds=4.9 * HOUR)
    assert raised(slow) == {}
    assert raised(replace(slow, oldest_in_flight_seconds=5.1 * HOUR)) != {}
    assert raised(replace(slow, turnaround_batches=19)) != {}, "too few to say what is usual"
    never = replace(slow, turnaround_p99_seconds=99 * HOUR, oldest_in_flight_seconds=24.1 * HOUR)
    assert raised(never) == {"batch_age": Severity.ERROR}


def test_without_a_batch_or_a_request_there_is_nothing_old() -> None:
    nothing = replace(
        WELL,
        oldest_in_flight_seconds=None,
        batches_in_flight=0,
        oldest_wait_seconds=None,
        waiting_requests=0,
    )
    assert verdict_of("batch_age", nothing).summary == "No batch is on the server."
    assert verdict_of("backlog_age", nothing).summary == "No request waits."
    assert verdict_of("batch_age", after("batch_age", nothing)).is_raised is False


def test_what_is_switched_off_is_never_raised_and_ends() -> None:
    off = some_limits(has_company_cache=False)
    recent = replace(WELL, day_cost_eur=1e6, lookup_hit_rate_percent=0.0)
    assert raised(recent, off) == {}
    assert not verdict_of("cost_above_budget", after("cost_above_budget", recent), off).is_raised
    assert "No budget is set" in verdict_of("cost_above_budget", recent, off).summary


def test_a_sentence_has_the_numbers_and_the_limit() -> None:
    verdict = verdict_of("error_rate", replace(WELL, failed_requests=250))
    assert verdict.summary == (
        "Of the 1,250 requests that were answered within the last 60 minutes, 250 have failed: "
        "20.0 % (at most 10 %)."
    )
    assert verdict.numbers == {
        "error_rate_percent": 20.0,
        "failed_requests": 250,
        "answered_requests": 1_250,
        "threshold_percent": 10,
    }


def test_every_number_is_there_every_time() -> None:
    for well, unknown in zip(judge(WELL, LIMITS), judge(UNKNOWN, some_limits()), strict=True):
        assert well.numbers.keys() == unknown.numbers.keys(), well.name


def test_a_change_is_reported_once_and_so_is_that_it_became_worse() -> None:
    late = replace(WELL, oldest_in_flight_seconds=2 * HOUR)
    overdue = replace(WELL, oldest_in_flight_seconds=25 * HOUR)
    (first,) = changes(judge(late, LIMITS), {})
    assert (first.name, first.is_raised, first.severity) == ("batch_age", True, Severity.WARN)
    warned = after("batch_age", late).states
    assert changes(judge(replace(late, states=warned), LIMITS), warned) == []
    (worse,) = changes(judge(replace(overdue, states=warned), LIMITS), warned)
    assert (worse.is_raised, worse.severity) == (True, Severity.ERROR)
    alarmed = after("batch_age", late, severity=Severity.ERROR).states
    assert changes(judge(replace(late, states=alarmed), LIMITS), alarmed) == []
    (over,) = changes(judge(replace(WELL, states=alarmed), LIMITS), alarmed)
    assert (over.is_raised, over.severity) == (False, Severity.ERROR)
    assert over.summary.endswith("It was raised at 2026-03-04 11:00 UTC.")


def test_a_check_that_is_evaluated_elsewhere_is_reported_like_an_alert() -> None:
    broken = CheckOutcome("open_rows_conserved", False, Severity.ERROR, "batch_counters: 1.")
    verdict = judge_outcome(broken)
    assert "`batch-assets audit`" in verdict.advice
    (change,) = changes([verdict], {})
    assert (change.name, change.is_raised, change.summary) == (
        "open_rows_conserved",
        True,
        "batch_counters: 1.",
    )
    assert changes([judge_outcome(replace(broken, passed=True))], {}) == []


FAULTS = [
    Fault("error_rate", "c 1", "Zorg", amount=12, total=20),
    Fault("failed_batch", "c1", "Zorg", "b1", "model_not_found"),
    Fault("failed_batch", "c1", "Zorg", "b1"),
    Fault("batch_age", "c1", "Zorg", "b1", "batch_9", 2 * HOUR),
    Fault("dead_letters", "c1", "Zorg", "no_messages", amount=12),
    Fault("cost_above_budget", "c1", "Zorg", amount=12.5),
    Fault("open_breaker", subject="upload", label="timeout", amount=5),
    Fault("fallback_rate", subject="finalize", amount=3, total=9),
    Fault("backlog_age", "c1", "Zorg", amount=3 * HOUR, total=40),
]


def test_who_is_behind_an_alert_is_named_in_a_sentence() -> None:
    assert [behind(fault) for fault in FAULTS] == [
        "12 of 20 requests of company Zorg (c 1).",
        "Batch b1 of company Zorg (c1): model_not_found.",
        "Batch b1 of company Zorg (c1): no code was given.",
        "Batch b1 (batch_9) of company Zorg (c1), submitted 2.0 hours ago.",
        "12 with the code no_messages of company Zorg (c1).",
        "12.50 EUR of company Zorg (c1).",
        "upload: 5 calls in a row have failed (timeout).",
        "Operation finalize: 3 of 9 calls.",
        "40 requests of company Zorg (c1), the oldest for 3.0 hours.",
    ]


def test_only_what_is_raised_is_blamed_and_advised_on() -> None:
    verdicts = blame(judge(replace(WELL, failed_requests=500), LIMITS), FAULTS)
    advised = [verdict for verdict in verdicts if verdict.advice]
    assert [verdict.name for verdict in advised] == ["error_rate"]
    assert advised[0].faults == ("12 of 20 requests of company Zorg (c 1).",)
    assert "dead-letters list --company 'c 1' --newer-than 2h`" in advised[0].advice


def test_every_command_and_setting_that_is_advised_exists() -> None:
    names = [*RULES, "open_rows_conserved", "all_rows_conserved"]
    texts = [advise(name, own) for name in names for own in ([], with_fault(name))]
    texts += [rule.description for rule in RULES.values()]
    said = "\n".join(texts)
    assert "`batch-assets abandon b1 --dry-run`" in said
    commands = set(re.findall(r"`batch-assets ([a-z-]+)", said))
    assert commands <= set(typer.main.get_group(app).commands)
    settings = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", said))
    assert {"BATCH_TIMEOUT_HOURS", "BATCH_DAY_MAX_COST_EUR"} <= settings
    assert settings <= set(setting_names())
    figures = set(re.findall(r"\b\w+_seconds\b", said))
    assert figures <= set(metric_types())


def with_fault(name: str) -> list[Fault]:
    return [fault for fault in FAULTS if fault.alert == name][:1]


def test_every_alert_is_a_check_of_a_group_of_metrics() -> None:
    assert {rule.asset for rule in RULES.values()} == set(GROUPS)
    assert all(rule.description for rule in RULES.values())


def test_the_documentation_has_every_alert_with_its_asset_and_what_to_do() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|.*\| (.+) \|$", page, re.MULTILINE)
    assert {name: asset for name, asset, _ in rows if name in RULES} == {
        name: rule.asset for name, rule in RULES.items()
    }
    documented = {name: said.split(";")[0] for name, _, said in rows if name in RULES}
    assert documented.keys() == RULES.keys()
    worst = replace(WELL, oldest_in_flight_seconds=2 * HOUR)
    assert documented == {one.name: str(one.severity) for one in judge(worst, LIMITS)}
    advised = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    assert set(RULES) <= set(advised)


def test_the_tour_has_a_case_for_every_alert() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text("utf-8")
    table = page.partition("## What the checks mean\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .+ \| \[.+\]\(#([\w-]+)\) \|$", table, re.MULTILINE)
    assert {name: asset for name, asset, _ in rows} == {
        **{name: rule.asset for name, rule in RULES.items()},
        "open_rows_conserved": "row_conservation",
        "all_rows_conserved": "row_conservation",
    }
    headings = re.findall(r"^### (.+)$", page, re.MULTILINE)
    cases = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}
    assert {case for _, _, case in rows} <= cases


def test_the_documentation_has_every_key_of_the_webhooks_body() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.+?)```", page, re.DOTALL)
    state = AlertState("error_rate", True, Severity.ERROR, "Too many.", NOW)
    sender = Sender("i", "livedash", "5b1e", "https://dagster.example")
    body = body_of(notification_of(state, what_to_do="Look.", behind=(), sender=sender))
    assert list(json.loads(example)) == list(body)
    assert set(re.findall(r"`(\w+)`", page)) >= body.keys() - {
        "installation_id",
        "database",
        "run_id",
    }
