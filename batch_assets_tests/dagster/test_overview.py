"""The page of the asset `overview`, of a healthy and of a sick system."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from urllib.parse import unquote
from xml.etree import ElementTree

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from batch_assets.domain.alerts.records import Severity, Verdict
from batch_assets.domain.health import Health
from batch_assets.domain.report_data import PeriodMoney
from batch_assets.ops.overview import Overview
from batch_assets.store.drains import Drain

DAY = PeriodMoney(1.5, 1.0, 0.25, 2, 0)
DAYS: Mapping[date, PeriodMoney] = {
    date(2026, 11, 2): PeriodMoney(3.0, 3.0, 0.0, 0, 1),
    date(2026, 11, 4): DAY,
}
WELL = Overview({}, [], [], DAYS, date(2026, 11, 4))
RAISED = Verdict(
    *("backlog_age", True, True, Severity.WARN, "The oldest request has waited for 9 h.", {}),
    advice="See `batch-assets status`.",
)


def page(seen: Overview) -> str:
    """All of its Markdown, entry by entry."""
    entries = seen.entries().values()
    return "\n\n".join(
        one.md_str or "" for one in entries if isinstance(one, dg.MarkdownMetadataValue)
    )


def rows(seen: Overview) -> list[list[str]]:
    """The cells of its table, without the head."""
    html = MarkdownIt("commonmark").enable("table").render(page(seen))
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    found = ElementTree.fromstring(f"<table>{body}</table>")
    return [[cell.text or "" for cell in row] for row in found]


def test_a_healthy_system_says_so_first() -> None:
    assert page(WELL).startswith("## Well\n")
    entries = WELL.entries()
    assert (entries["health"], entries["findings"]) == (Health.WELL, 0)
    assert "Nothing waits." in page(WELL)


def test_money_of_the_day_and_of_the_month() -> None:
    assert rows(WELL) == [
        ["Today (and the cost of 2 open batches to come)", "1.50", "1.00", "0.2500"],
        [
            "This month (and the cost of 2 open batches to come and of 1 answer not known)",
            *("4.50", "4.00", "0.2500"),
        ],
    ]
    assert WELL.entries()["month_spent_eur"] == 4.5


def test_a_day_on_which_nothing_was_sent_has_cost_nothing() -> None:
    assert rows(replace(WELL, today=date(2026, 11, 5)))[0] == [
        "Today",
        *("0.0000", "0.0000", "0.0000"),
    ]


@pytest.mark.parametrize("severity", Severity)
def test_what_is_raised_is_said_with_what_to_do(severity: Severity) -> None:
    seen = replace(WELL, verdicts=[replace(RAISED, severity=severity)])
    is_error = severity is Severity.ERROR
    verdict = "Not well" if is_error else "Attention"
    assert page(seen).startswith(f"## {verdict}: 1 thing to look at\n")
    said = (
        "- backlog_age: The oldest request has waited for 9 h. *To do:* See `batch-assets status`."
    )
    assert said in page(seen).splitlines()
    assert seen.entries()["health"] == (Health.NOT_WELL if is_error else Health.ATTENTION)


def test_what_has_failed_comes_before_what_is_only_to_be_looked_at() -> None:
    failures = {"submit_batches": "The API refuses the key: check OPENAI_API_KEY."}
    seen = replace(WELL, verdicts=[RAISED], failures=failures, run_id="r1")
    said = seen.entries()["overview"].md_str
    assert "`batch-assets logs r1` has all" in said
    first, second = [line for line in said.splitlines() if line.startswith("- ")]
    assert first.startswith("- Failed: submit_batches. The API refuses the key:")
    assert second.startswith("- backlog_age:")
    assert page(seen).startswith("## Not well: 2 things to look at\n")


def test_ops_that_failed_for_the_same_reason_are_one_thing() -> None:
    failures = dict.fromkeys(("check_batch_statuses", "submit_batches"), "The API is away.")
    said = page(replace(WELL, failures=failures))
    assert said.startswith("## Not well: 1 thing to look at\n")
    assert "check_batch_statuses and submit_batches. The API is away." in said


def test_what_is_on_hold_is_said_with_who_has_stopped_it_and_how_to_go_on() -> None:
    drain = Drain(datetime(2026, 11, 4, 9, tzinfo=UTC), "Ada")
    said = page(replace(WELL, hold=drain.hold))
    assert said.startswith("## Attention: 1 thing to look at\n")
    (line,) = [line for line in said.splitlines() if line.startswith("- ")]
    assert "Ada has stopped submissions at 2026-11-04 09:00:00 UTC" in line
    assert "*To do:* `batch-assets drain --resume` lets submissions go on" in line


def test_that_no_run_starts_by_itself_is_said() -> None:
    assert "BATCH_SCHEDULES_ENABLED is false" in page(replace(WELL, is_scheduled=False))


def test_who_waits_longest_is_named() -> None:
    seen = replace(WELL, behind=["Zorggroep Oost (12 requests, the oldest for 9 h)"])
    assert "- for Zorggroep Oost (12 requests, the oldest for 9 h)" in page(seen).splitlines()


def test_the_chart_has_a_bar_for_each_day_and_what_was_saved_on_top() -> None:
    address = page(WELL).partition("data:image/svg+xml,")[2].partition(")")[0]
    axis, spent, saved = ElementTree.fromstring(unquote(address))
    # Of four days two have cost something: the dearest fills the chart.
    assert axis.attrib["d"] == "M0,60.5H52"
    assert spent.attrib["d"] == "M18,60V30M44,60V45"
    assert saved.attrib["d"] == "M18,30V0M44,45V35"


def test_whatever_there_is_to_show_the_ui_shows_it_at_once() -> None:
    """It hides what has a thousand characters and more."""
    days = {date(2026, 12, day): PeriodMoney(9e6, 1e6, 1e6, 999, 9_999) for day in range(1, 32)}
    raised = [replace(RAISED, summary="Words. " * number) for number in (90, 3, 40, 90, 90)]
    failures = {"submit_batches": "The sentence of a failure. " * 40}
    seen = Overview(
        failures, raised, ["A long name " * 60] * 3, days, date(2026, 12, 31), run_id="r" * 36
    )
    shown = {
        name: len(one.md_str or "")
        for name, one in seen.entries().items()
        if isinstance(one, dg.MarkdownMetadataValue)
    }
    assert max(shown.values()) < 1_000, shown
    assert "more: `batch-assets status` has all." in page(seen)
    assert "further" not in WELL.entries()
    few = replace(seen, failures={}, verdicts=raised[1:])
    assert page(few).count("*To do:*") == len(few.verdicts), "each is shown, in one of two entries"


def test_a_month_before_its_first_batch_has_no_chart() -> None:
    assert "image/svg" not in page(replace(WELL, days={}))


def test_links_lead_to_the_ui_that_is_configured() -> None:
    assert "[Runs](/runs)" in page(WELL)
    assert "[Runs](https://ui.example/runs)" in page(replace(WELL, ui_url="https://ui.example"))
