"""Every way on which text from others leaves the project, each with every bad name."""

import ast
import csv
import json
import logging
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Final
from unittest.mock import patch

import dagster as dg
import pytest
from markdown_it import MarkdownIt
from opentelemetry.sdk.trace import Span, TracerProvider

import batch_assets
import batch_assets_local
from batch_assets.assets.report_charts import cost_chart
from batch_assets.cli import conventions, export
from batch_assets.cli.screen import Column, Screen
from batch_assets.domain.alerts.records import AlertState, Severity, Verdict
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.logs import open_log
from batch_assets.domain.report_data import CostReport, DayCost
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.overview import Overview
from batch_assets.ops.reporting import evaluation_of, shown
from batch_assets.receivers.pagerduty import event_of
from batch_assets.receivers.receiver import Notification, Sender, notification_of
from batch_assets.receivers.webhook import body_of
from batch_assets.settings import load_settings
from batch_assets.telemetry.tracing import mark_failed
from batch_assets.ticks.evaluator import Answer, TickEvaluator
from batch_assets_tests.hostile_text import HOSTILE, MARK, hidden_in, texts_in

PACKAGE: Final = Path(batch_assets.__file__).parent
LOCAL_STACK: Final = Path(batch_assets_local.__file__).parent
DOCUMENT: Final = PACKAGE.parent / "docs" / "text_from_others.md"
WORD_JOINER: Final = "\u2060"

ONLY_IN: Final[dict[str, set[str]]] = {
    # logs
    "logging.getLogger": {
        "domain/logs.py",
        "receivers/receiver.py",
        # It lets a library say less.
        "telemetry/otlp.py",
        "batch_assets_local/supervisor.py",
    },
    "context.log": {"ops/reporting.py"},
    # Dagster
    "add_output_metadata": {"ops/reporting.py"},
    "log_event": {"ops/reporting.py"},
    "add_run_tags": {"ops/reporting.py", "resources/run_executor.py"},
    "dg.AssetMaterialization": {"ops/reporting.py"},
    "dg.AssetCheckEvaluation": {"ops/reporting.py"},
    "dg.AssetCheckResult": {"ops/reporting.py"},
    "dg.MaterializeResult": {"ops/reporting.py"},
    "dg.MetadataValue.md": {"assets/reports.py", "ops/overview.py"},
    "dg.Failure": {"ops/failures.py"},
    "report_run_failed": {"resources/run_launcher.py"},
    "report_run_canceled": {"resources/run_launcher.py"},
    "report_engine_event": set(),
    "dg.ScheduleDefinition": {"schedules.py"},
    "dg.SensorDefinition": {"sensors/backlog.py", "sensors/completion.py", "sensors/failure.py"},
    # the terminal and files
    "typer.echo": set(),
    "typer.secho": set(),
    "click.echo": set(),
    "typer.prompt": set(),
    "typer.confirm": {"cli/conventions.py"},
    "Console": {"cli/screen.py"},
    "console.print": {"cli/screen.py"},
    "sys.stdout.write": {"cli/conventions.py"},
    "sys.stderr.write": {"batch_assets_local/batch_server/command.py"},
    "csv.writer": set(),
    "csv.DictWriter": {"cli/export.py"},
    # receivers of alerts, and charts
    "Webhook": {"settings/alerting.py"},
    "PagerDuty": {"settings/alerting.py"},
    "notification_of": {"stages/alerting.py"},
    "Notification": {"receivers/receiver.py"},
    "body_of": {"receivers/webhook.py"},
    "event_of": {"receivers/pagerduty.py"},
    "post_json": {"receivers/webhook.py", "receivers/pagerduty.py"},
    "set_status": {"openai_batch/spans.py", "telemetry/tracing.py"},
    "set_attribute": {"openai_batch/spans.py"},
    "savefig": {"assets/report_charts.py"},
}
"""What leads out, and the one place, or few, that may call it; `context.log` is looked up there."""


def said_on_a_screen(name: str) -> str:
    file = StringIO()
    Screen(file).say(f"Nothing of {name} waits.")
    return _one_line(file)


def _one_line(file: StringIO) -> str:
    """What was written, which must be a single line."""
    text = file.getvalue()
    assert text.count("\n") == 1
    return text.removesuffix("\n")


def field_on_a_screen(name: str) -> str:
    file = StringIO()
    Screen(file).field("Company", name)
    return _one_line(file)


def table_on_a_screen(name: str) -> str:
    file = StringIO()
    columns: list[Column[str]] = [Column("Company", lambda one: one)]
    Screen(file).show(columns, [name], [name])
    lines = file.getvalue().split("\n")
    assert len(lines) == 7, "a head, a row, a total, and what divides them"
    assert [line.replace("─", "").strip() for line in lines if not line.strip(" ─")] == [""] * 4
    return "".join(lines)


def question(name: str) -> str:
    asked: list[str] = []
    with patch("typer.confirm", lambda text, **_: asked.append(text)):
        conventions.confirmed(f"Cancel the batch of {name}?")
    return asked[0]


def json_document(name: str) -> str:
    file = StringIO()
    with redirect_stdout(file):
        conventions.print_json({"company": name})
    assert json.loads(file.getvalue()) == {"company": name}
    return file.getvalue().replace("\n", "")


def csv_cell(name: str) -> str:
    file = StringIO()
    export.write_csv(file, ["company", "cost"], [{"company": name, "cost": -1.5}])
    _, (cell, cost) = csv.reader(StringIO(file.getvalue()))
    assert cost == "-1.5"
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return cell


def record_of_a_log(name: str) -> str:
    said: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log = open_log(f"batch_assets.stages.{MARK}")
    handler = Kept()
    log.addHandler(handler)
    log.warning("Of %s or %d", name, 1)
    log.warning(f"Of {name} or 1")  # noqa: G004 (as sentences that are made elsewhere come)
    log.removeHandler(handler)
    assert said[0] == said[1]
    assert "://" not in said[0]
    return said[0].replace("[:]//", "://")


def metadata(name: str) -> str:
    table = dg.MetadataValue.table(
        [dg.TableRecord({"company": name})], dg.TableSchema([dg.TableColumn("company")])
    )
    document = dg.MetadataValue.json({name: [name, 1, {"company": name}]})
    entries = shown({"company": name, "companies": table, "by_company": document, "requests": 2})
    assert entries["requests"] == 2
    cell = entries["companies"].records[0].data["company"]
    ((key, (first, number, inner)),) = entries["by_company"].data.items()
    assert {cell, key, first, inner["company"]} == {entries["company"]}
    assert number == 1
    return str(entries["company"])


def metadata_of_a_check(name: str) -> str:
    said = evaluation_of(
        dg.AssetCheckKey(dg.AssetKey("backlog"), "dead_letters"),
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=name,
        entries={"behind": name},
    )
    assert said.metadata["behind"].value == said.description
    return str(said.description)


def page(name: str) -> str:
    raised = Verdict("backlog_age", True, True, Severity.WARN, f"Of {name}.", {}, advice="Wait.")
    failures = {"submit_batches": f"Nothing of {name} waits."}
    seen = Overview(failures, [raised], [f"{name} (1 request)"], {}, date(2026, 1, 1))
    text = _markdown(seen)
    rendered = MarkdownIt("commonmark", {"html": True}).enable(["strikethrough", "table"])
    usual = Overview(
        {"submit_batches": ""}, [replace(raised, summary="")], ["x"], {}, date(2026, 1, 1)
    )
    shown = [rendered.render(_markdown(one)) for one in (seen, usual)]
    assert shown[0].count("<") == shown[1].count("<")
    return str(text).replace("\n", "").replace(WORD_JOINER, "")


def _markdown(seen: Overview) -> str:
    entries = seen.entries().values()
    return "\n\n".join(
        one.md_str or "" for one in entries if isinstance(one, dg.MarkdownMetadataValue)
    )


def failure_of_an_op(name: str) -> str:
    with pytest.raises(dg.Failure) as failed, clear_failures():
        raise BatchAssetsError(f"Nothing of {name} waits.")
    return str(failed.value.description)


def _ticked(answer: Callable[[], Answer]) -> Answer:
    return TickEvaluator(load_settings({})).evaluate(_tick(), "a_job", lambda _: answer())


@cache
def _tick() -> dg.SensorEvaluationContext:
    return dg.build_sensor_context(instance=dg.DagsterInstance.ephemeral())


def reason_of_a_tick(name: str) -> str:
    def refuse() -> Answer:
        raise BatchAssetsError(name)

    skipped = _ticked(lambda: dg.SkipReason(name))
    assert skipped == _ticked(refuse)
    result = _ticked(lambda: dg.SensorResult(skip_reason=name, cursor="c"))
    assert isinstance(result, dg.SensorResult)
    assert (result.skip_reason, result.cursor) == (skipped, "c")
    assert isinstance(skipped, dg.SkipReason)
    return str(skipped.skip_message)


def tag_of_a_tick(name: str) -> str:
    request = dg.RunRequest(run_key="k", tags={"batch_assets/reason": name})
    started = _ticked(lambda: request)
    result = _ticked(lambda: dg.SensorResult(run_requests=[request], cursor="c"))
    assert isinstance(started, dg.RunRequest)
    assert isinstance(result, dg.SensorResult)
    assert result.run_requests == [started]
    assert started.run_key == "k"
    return str(started.tags["batch_assets/reason"])


def notification(name: str) -> Notification:
    sender = Sender("inst", "livedash", "run-1", "https://dagster.example")
    state = AlertState("error_rate", True, Severity.ERROR, f"Of {name}.", datetime.now(UTC))
    advice = f"See `batch-assets status --company {name}`."
    return notification_of(state, what_to_do=advice, behind=(f"Of {name}.",), sender=sender)


def webhook(name: str) -> str:
    body = body_of(notification(name))
    assert body["behind"] == [body["summary"]]
    said, what_to_do, link = str(body["text"]).split("\n")
    assert link == "https://dagster.example/runs/run-1"
    assert said.endswith(str(body["summary"]).replace("&", "&amp;"))
    everything = "".join(texts_in(body | {"run_url": "", "text": f"{said}{what_to_do}"}))
    for command in ("@channel", "@everyone", "https://e", "]("):
        assert command not in everything
    assert not {"<", ">"} & {*said, *what_to_do}
    for one in (str(body["summary"]), said):
        rendered = MarkdownIt("commonmark", {"html": True}).enable("strikethrough").render(one)
        assert rendered.count("<") == 2, rendered
    return everything.replace(WORD_JOINER, "")


def pagerduty(name: str) -> str:
    event = event_of(notification(name))
    payload = event["payload"]
    assert isinstance(payload, dict)
    summary, details = str(payload["summary"]), payload["custom_details"]
    (said,) = details["behind"]
    assert summary.startswith("error_rate on livedash: Of ")
    assert summary.endswith(said)
    everything = "".join(texts_in(event | {"links": [], "client_url": ""}))
    for command in ("@channel", "@everyone", "https://e", "]("):
        assert command not in everything
    rendered = MarkdownIt("commonmark", {"html": True}).enable("strikethrough").render(summary)
    assert rendered.count("<") == 2, rendered
    return everything.replace(WORD_JOINER, "")


def status_of_a_span(name: str) -> str:
    span = TracerProvider().get_tracer("a test's").start_span("submit_batches")
    mark_failed(span, f"Nothing of {name} waits.")
    assert isinstance(span, Span)
    return str(span.status.description)


WAYS: Final[dict[str, Callable[[str], str]]] = {
    "A sentence on a terminal": said_on_a_screen,
    "A field on a terminal": field_on_a_screen,
    "A table on a terminal": table_on_a_screen,
    "A question on a terminal": question,
    "`--json` and `export`": json_document,
    "A cell of CSV": csv_cell,
    "A record of a log": record_of_a_log,
    "Metadata of an asset or an op": metadata,
    "What a check says": metadata_of_a_check,
    "The overview": page,
    "The failure of an op": failure_of_an_op,
    "The reason of a tick": reason_of_a_tick,
    "A tag that a tick gives a run": tag_of_a_tick,
    "The body of a webhook": webhook,
    "An event for PagerDuty": pagerduty,
    "The status of a stage's span": status_of_a_span,
}
"""By the name that the document has for each."""
RECEIVERS: Final = {"webhook": "The body of a webhook", "pagerduty": "An event for PagerDuty"}
"""What each module of `receivers/` sends, among the ways."""
READ_AS_MARKUP: Final = frozenset({*RECEIVERS.values(), "The overview"})
"""Where marks are replaced by characters that look like them."""


@pytest.mark.parametrize("way", WAYS)
def test_whatever_a_name_holds_nothing_steers_or_hides(way: str) -> None:
    for bad, name in HOSTILE.items():
        text = WAYS[way](name)
        assert hidden_in(text) == [], bad
        if name.isascii() and name.isprintable() and way not in READ_AS_MARKUP:
            assert name in text or json.dumps(name)[1:-1] in text, f"{bad} is shown as it is"


def test_a_chart_shows_a_name_as_text() -> None:
    def drawn(name: str) -> bytes:
        return cost_chart(CostReport([DayCost(date(2026, 1, 1), name, 1.0, 2.0)]), 30)

    assert drawn("a\x1b\n\u202eb") == drawn(r"a\x1b \u202eb")
    assert len({drawn(name) for name in ("", "_Oost", "$x$", "x")}) == 4


@pytest.mark.parametrize("name", ONLY_IN)
def test_there_is_one_place_for_each_way_out(name: str) -> None:
    found = {place for place, used in _uses() if used == name or used.endswith(f".{name}")}
    assert found == ONLY_IN[name]


def test_what_each_receiver_sends_is_among_the_ways() -> None:
    modules = {path.stem for path in (PACKAGE / "receivers").glob("*.py")}
    assert set(RECEIVERS) == modules - {"__init__", "receiver"}
    assert set(RECEIVERS.values()) <= set(WAYS)


def test_every_tick_goes_through_the_evaluator() -> None:
    for place in ONLY_IN["dg.ScheduleDefinition"] | ONLY_IN["dg.SensorDefinition"]:
        source = (PACKAGE / place).read_text("utf-8")
        assert source.count("_fn=") == source.count("_fn=evaluate_tick,") == 1, place
        assert re.search(r"\bevaluator\.(evaluate|evaluate_each|sense)\(", source), place


def test_the_document_has_every_way() -> None:
    document = DOCUMENT.read_text("utf-8")
    assert [way for way in WAYS if f"| {way} |" not in document] == []


@cache
def _uses() -> set[tuple[str, str]]:
    """Where what is called, by its whole name as it is written there."""
    return {
        (path.relative_to(root).as_posix(), name)
        for root, package in ((PACKAGE, PACKAGE), (LOCAL_STACK.parent, LOCAL_STACK))
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (name := _named(node))
    }


def _named(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func)
    is_log = isinstance(node, ast.Attribute) and node.attr == "log"
    return ast.unparse(node) if is_log else ""
